#include "kubelet/folder_watch.h"

#include <sys/inotify.h>
#include <unistd.h>

#include <cstring>

#include "base/log.h"

namespace enclayer::kubelet {

FolderWatch::FolderWatch() : fd_(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) {
  if (!fd_)
    base::log::warn("inotify is not available, looking once a second instead", {{"reason", std::strerror(errno)}});
}

void FolderWatch::arm(const std::filesystem::path& folder) {
  constexpr std::uint32_t kEvents =
      IN_CREATE | IN_MOVED_TO | IN_DELETE | IN_MOVED_FROM | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;
  for (std::filesystem::path path = folder;; path = path.parent_path()) {
    if (::inotify_add_watch(fd_.get(), path.c_str(), kEvents) >= 0) {
      // A folder that was made between the try and this watch would go unseen: try again from its place.
      std::error_code ignored;
      if (path == folder || !std::filesystem::exists(folder, ignored)) return;
      if (::inotify_add_watch(fd_.get(), folder.c_str(), kEvents) >= 0) return;
    }
    if (path == path.parent_path()) return;
  }
}

void FolderWatch::drain() {
  char events[4096];
  while (::read(fd_.get(), events, sizeof events) > 0) {
  }
}

}  // namespace enclayer::kubelet
