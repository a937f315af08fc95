// SPDX-License-Identifier: Apache-2.0
#include "kubelet/plugin_sockets.h"

#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "base/error.h"
#include "base/file.h"
#include "base/hex.h"
#include "base/log.h"

namespace enclayer::kubelet {

namespace fs = std::filesystem;

fs::path PluginSockets::fresh() const {
  ByteArray<4> random{};
  if (::getrandom(random.data(), random.size(), 0) != static_cast<ssize_t>(random.size()))
    std::abort();  // never for 4 bytes
  return folder / (stem + "." + base::to_hex(random) + ".sock");
}

Result<> PluginSockets::check_path() const {
  const fs::path longest = fresh();
  if (longest.native().size() < sizeof(sockaddr_un::sun_path)) return {};
  return Error(ErrorKind::kInvalidArgument,
               "the path of our socket, " + longest.string() + ", has " + std::to_string(longest.native().size()) +
                   " bytes, and a unix socket has room for " + std::to_string(sizeof(sockaddr_un::sun_path) - 1) +
                   ": use a kubelet directory with a shorter path");
}

Result<> PluginSockets::check_room() const {
  fs::path probe = folder / ("." + stem + ".probe");
  ::unlink(probe.c_str());
  if (::mknod(probe.c_str(), S_IFSOCK | 0600, 0) != 0)
    return base::errno_error(errno, "cannot make a socket in " + folder.string());
  ::unlink(probe.c_str());
  return {};
}

void PluginSockets::remove_dead() const {
  for (const std::string& name : base::Root(folder).list("")) {
    if (!name.starts_with(stem + ".") || !name.ends_with(".sock") || name.size() != stem.size() + 1 + 8 + 5) continue;
    if (connect_error(folder / name) != ECONNREFUSED) continue;
    ::unlink((folder / name).c_str());
    base::log::info("dead socket of an earlier instance removed", {{"socket", (folder / name).string()}});
  }
}

int connect_error(const fs::path& socket) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket.native().size() >= sizeof address.sun_path) return ENAMETOOLONG;
  std::memcpy(address.sun_path, socket.c_str(), socket.native().size());
  base::UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return errno;
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) return 0;
  return errno == EAGAIN ? 0 : errno;  // EAGAIN: it listens, and its queue is full
}

}  // namespace enclayer::kubelet
