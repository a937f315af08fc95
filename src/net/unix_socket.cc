// SPDX-License-Identifier: Apache-2.0
#include "net/unix_socket.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <random>

#include "base/error.h"
#include "base/log.h"

namespace enclayer::net {
namespace {

// Clients that do not wait (EAGAIN from a full queue) lose their request: so as long as the kernel allows (somaxconn).
constexpr int kBacklog = 4096;

// Younger than the headers of Debian 12.
#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif
#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif

constexpr std::size_t kLongestName = 80;

// A socket's address has room for 107 bytes, a folder's path may be longer: it is named by its descriptor.
Result<sockaddr_un> address_of(int folder, const std::string& name) {
  if (name.empty() || name.size() > kLongestName || name.find_first_of(std::string_view("/\0", 2)) != name.npos)
    return Error(ErrorKind::kInvalidArgument, "\"" + name + "\" cannot be the name of a socket: it has " +
                                                  std::to_string(name.size()) + " bytes, 1 to 80 are possible");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = "/proc/self/fd/" + std::to_string(folder) + "/" + name;
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

Result<base::UniqueFd> open_folder(const std::filesystem::path& of) {
  const std::filesystem::path path = of.has_parent_path() ? of.parent_path() : ".";
  base::UniqueFd folder(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!folder) return base::errno_error(errno, "cannot open the folder of " + of.string());
  return folder;
}

Result<base::UniqueFd> new_socket(int flags = 0) {
  base::UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0));
  if (!fd) return base::errno_error(errno, "cannot make a unix socket");
  return fd;
}

}  // namespace

Peer peer_of(int socket) {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) return {};
  return {credentials.uid, credentials.pid};
}

std::uint64_t process_of(int socket, const Peer& peer) {
  constexpr std::uint64_t kInode = std::uint64_t{1} << 62, kUser = std::uint64_t{1} << 63;
  if (peer.pid > 0) return static_cast<std::uint64_t>(peer.pid);
  int pidfd = -1;
  socklen_t size = sizeof pidfd;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &size) == 0) {
    base::UniqueFd process(pidfd);
    struct stat found {};
    if (::fstat(pidfd, &found) == 0) return kInode | found.st_ino;
  }
  return kUser | peer.uid;
}

bool refuses_descriptors(int socket) {
  int allowed = 1;
  socklen_t size = sizeof allowed;
  return ::getsockopt(socket, SOL_SOCKET, SO_PASSRIGHTS, &allowed, &size) == 0 && allowed == 0;
}

void set_timeout(int socket, std::chrono::milliseconds timeout) {
  long ms = std::max<long>(1, timeout.count());
  timeval value{ms / 1000, ms % 1000 * 1000};
  ::setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &value, sizeof value);
  ::setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &value, sizeof value);
}

Result<base::UniqueFd> connect_to(const std::filesystem::path& path, std::chrono::milliseconds timeout) {
  ENCLAYER_TRY(base::UniqueFd folder, open_folder(path));
  ENCLAYER_TRY(sockaddr_un address, address_of(folder.get(), path.filename()));
  ENCLAYER_TRY(base::UniqueFd fd, new_socket());
  set_timeout(fd.get(), timeout);  // connect() on a unix socket obeys the send timeout
  while (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    if (errno == EINTR) continue;
    if (errno == EAGAIN)
      return Error(ErrorKind::kTimedOut, "cannot connect to " + path.string() + ": its queue of connections is full");
    return base::errno_error(errno, "cannot connect to " + path.string());
  }
  return fd;
}

Result<PlacedSocket> place_socket(int folder, const std::string& name, Descriptors descriptors) {
  char temporary[16];
  std::snprintf(temporary, sizeof temporary, ".%08x", std::random_device{}());
  ENCLAYER_TRY(sockaddr_un address, address_of(folder, temporary));
  PlacedSocket placed{};
  ENCLAYER_TRY(placed.listener, new_socket(SOCK_NONBLOCK));
  int socket = placed.listener.get(), no = 0;  // an older kernel does not know the option
  if (descriptors == Descriptors::kRefused) ::setsockopt(socket, SOL_SOCKET, SO_PASSRIGHTS, &no, sizeof no);
  struct stat there {};
  bool is_taken = ::fstatat(folder, name.c_str(), &there, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISSOCK(there.st_mode);
  // The mode before the name: afterwards somebody could have put a link to another file there.
  if (::fchmod(socket, 0666) != 0 || ::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(socket, kBacklog) != 0 || ::fstatat(folder, temporary, &placed.status, AT_SYMLINK_NOFOLLOW) != 0 ||
      ::renameat2(folder, temporary, folder, name.c_str(), is_taken ? RENAME_EXCHANGE : 0) != 0) {
    auto error = base::errno_error(errno, "cannot make the socket " + name);
    ::unlinkat(folder, temporary, 0);
    return error;
  }
  if (is_taken) {
    const std::string aside = name + ".moved-aside" + temporary;
    ::renameat(folder, temporary, folder, aside.c_str());
    base::log::warn("what stood in a socket's place was moved aside", {{"name", name}, {"to", aside}});
  }
  return placed;
}

}  // namespace enclayer::net
