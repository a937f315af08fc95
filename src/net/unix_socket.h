// SPDX-License-Identifier: Apache-2.0
// Unix stream sockets, as far as the frame server, its client and the fight for a path need them.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>

#include "base/file.h"
#include "enclayer/error.h"

namespace enclayer::net {

// Who is on the other end (SO_PEERCRED), as the kernel knows it. pid is 0 when the peer lives in a pid namespace that
// we cannot see into.
struct Peer {
  uid_t uid = static_cast<uid_t>(-1);
  pid_t pid = 0;
};
Peer peer_of(int socket);

// A number that tells the peer's process from others: its pid; where that is hidden the inode of its pidfd
// (SO_PEERPIDFD, Linux 6.5; distinct ones from 6.9 on); before that its user. Connections that are passed on stay their
// maker's.
std::uint64_t process_of(int socket, const Peer& peer);

// A blocking connection. kNotFound: nothing is at the path; kUnavailable: nobody listens behind it; kTimedOut: somebody
// listens, but their queue stayed full for `timeout`. The folder's path may have any length (it is reached through
// /proc/self/fd); kInvalidArgument for a last part of more than 80 bytes.
Result<base::UniqueFd> connect_to(const std::filesystem::path& path, std::chrono::milliseconds timeout);

// Whether clients may pass descriptors along (SCM_RIGHTS). They are refused where the kernel can do that
// (SO_PASSRIGHTS, Linux 6.16); accepted sockets inherit it from the listening one.
enum class Descriptors { kRefused, kAllowed };
bool refuses_descriptors(int socket);

// A listening socket, which does not block, of this name in a folder. It appears by rename, bound and listening
// already, so that a client finds either the socket that was there before or this one; its mode is 0666 less the umask.
// Whatever else stands there (a file, a folder, a link) is moved aside, to a name that begins with this one, and kept.
struct PlacedSocket {
  base::UniqueFd listener;
  struct stat status;  // of its file
};
Result<PlacedSocket> place_socket(int folder, const std::string& name, Descriptors descriptors = Descriptors::kRefused);

// At least 1 ms (0 would mean "for ever"): how long a blocking send, receive or connect may take.
void set_timeout(int socket, std::chrono::milliseconds timeout);

}  // namespace enclayer::net
