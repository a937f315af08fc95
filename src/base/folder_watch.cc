// SPDX-License-Identifier: Apache-2.0
#include "base/folder_watch.h"

#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include "base/log.h"

namespace enclayer::base {

FolderWatch::FolderWatch() : fd_(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) {
  if (!fd_) log::warn("inotify is not available, looking once a second instead", {{"reason", std::strerror(errno)}});
}

void FolderWatch::arm(const std::filesystem::path& folder) {
  constexpr std::uint32_t kEvents =
      IN_CREATE | IN_MOVED_TO | IN_DELETE | IN_MOVED_FROM | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;
  if (!fd_) return;
  int failed = 0;  // why a folder that may be there is not watched
  auto add = [&](const std::filesystem::path& path) {
    if (::inotify_add_watch(fd_.get(), path.c_str(), kEvents) >= 0) return true;
    if (errno != ENOENT && errno != ENOTDIR) failed = errno;
    return false;
  };
  std::vector<std::filesystem::path> missing;
  std::filesystem::path path = folder;
  while (!add(path) && path != path.parent_path()) {
    missing.push_back(path);
    path = path.parent_path();
  }
  // What was made on the way down since we passed it would go unseen.
  while (!missing.empty() && add(missing.back())) missing.pop_back();

  if (failed == 0) {
    if (unwatched_.erase(folder) > 0) log::info("folder is watched again", {{"folder", folder.string()}});
  } else if (unwatched_.insert(folder).second) {
    log::warn(
        "folder cannot be watched, looking once a second instead",
        {{"folder", folder.string()},
         {"reason", failed == ENOSPC ? "this node's inotify watches are used up: raise fs.inotify.max_user_watches"
                                     : std::strerror(failed)}});
  }
}

std::chrono::milliseconds FolderWatch::patience(std::chrono::milliseconds usual) const {
  return blind() ? std::min(usual, std::chrono::milliseconds(1'000)) : usual;
}

void FolderWatch::drain() {
  char events[4096];
  while (::read(fd_.get(), events, sizeof events) > 0) {
  }
}

}  // namespace enclayer::base
