// SPDX-License-Identifier: Apache-2.0
#include "base/folder_watch.h"

#include <sys/inotify.h>
#include <unistd.h>

#include <cstring>
#include <vector>

#include "base/log.h"

namespace enclayer::base {

FolderWatch::FolderWatch() : fd_(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) {
  if (!fd_) log::warn("inotify is not available, looking once a second instead", {{"reason", std::strerror(errno)}});
}

void FolderWatch::arm(const std::filesystem::path& folder) {
  constexpr std::uint32_t kEvents =
      IN_CREATE | IN_MOVED_TO | IN_DELETE | IN_MOVED_FROM | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;
  auto add = [&](const std::filesystem::path& path) {
    return ::inotify_add_watch(fd_.get(), path.c_str(), kEvents) >= 0;
  };
  std::vector<std::filesystem::path> missing;
  std::filesystem::path path = folder;
  for (; !add(path); path = path.parent_path()) {
    if (path == path.parent_path()) return;
    missing.push_back(path);
  }
  // What was made on the way down since we passed it would go unseen.
  while (!missing.empty() && add(missing.back())) missing.pop_back();
}

void FolderWatch::drain() {
  char events[4096];
  while (::read(fd_.get(), events, sizeof events) > 0) {
  }
}

}  // namespace enclayer::base
