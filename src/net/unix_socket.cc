#include "net/unix_socket.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/error.h"

namespace enclayer::net {
namespace {

// Clients that do not wait (EAGAIN from a full queue) lose their request: so as long as the kernel allows (somaxconn).
constexpr int kBacklog = 4096;

Result<sockaddr_un> address_of(const std::filesystem::path& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string& text = path.native();
  if (text.empty() || text.size() >= sizeof address.sun_path || text.find('\0') != std::string::npos)
    return Error(ErrorKind::kInvalidArgument, "\"" + text + "\" cannot be the path of a socket: it has " +
                                                  std::to_string(text.size()) + " bytes, 1 to 107 are possible");
  std::memcpy(address.sun_path, text.data(), text.size());
  return address;
}

Result<base::UniqueFd> new_socket() {
  base::UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return base::errno_error(errno, "cannot make a unix socket");
  return fd;
}

}  // namespace

Peer peer_of(int socket) {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) return {};
  return {credentials.uid, credentials.gid, credentials.pid};
}

void set_timeout(int socket, std::chrono::milliseconds timeout) {
  long ms = std::max<long>(1, timeout.count());
  timeval value{ms / 1000, ms % 1000 * 1000};
  ::setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &value, sizeof value);
  ::setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &value, sizeof value);
}

Result<base::UniqueFd> connect_to(const std::filesystem::path& path, std::chrono::milliseconds timeout) {
  ENCLAYER_TRY(sockaddr_un address, address_of(path));
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

Result<base::UniqueFd> listen_at(const std::filesystem::path& path) {
  ENCLAYER_TRY(sockaddr_un address, address_of(path));
  ENCLAYER_TRY(base::UniqueFd fd, new_socket());
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return base::errno_error(errno, "cannot make the socket " + path.string());
  if (::chmod(path.c_str(), 0666) != 0 || ::listen(fd.get(), kBacklog) != 0) {
    auto error = base::errno_error(errno, "cannot listen on " + path.string());
    ::unlink(path.c_str());
    return error;
  }
  return fd;
}

}  // namespace enclayer::net
