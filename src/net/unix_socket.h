// Unix stream sockets, as far as the frame server, its client and the fight for a path need them.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>

#include "base/file.h"
#include "enclayer/error.h"

namespace enclayer::net {

// Who is on the other end (SO_PEERCRED), as the kernel knows it. pid is 0 when the peer lives in a pid namespace that
// we cannot see into.
struct Peer {
  uid_t uid = static_cast<uid_t>(-1);
  gid_t gid = static_cast<gid_t>(-1);
  pid_t pid = 0;
};
Peer peer_of(int socket);

// A blocking connection. kNotFound: nothing is at the path; kUnavailable: nobody listens behind it; kTimedOut: somebody
// listens, but their queue stayed full for `timeout`. kInvalidArgument for paths of more than 107 bytes.
Result<base::UniqueFd> connect_to(const std::filesystem::path& path, std::chrono::milliseconds timeout);

// A listening socket at `path`, which must not be there yet. Everybody may connect (mode 0666).
Result<base::UniqueFd> listen_at(const std::filesystem::path& path);

// At least 1 ms (0 would mean "for ever"): how long a blocking send, receive or connect may take.
void set_timeout(int socket, std::chrono::milliseconds timeout);

}  // namespace enclayer::net
