// SPDX-License-Identifier: Apache-2.0
// An alarm clock that rings when something happens in a folder. It does not say what: whoever is woken looks for
// himself, so no event can be lost, misread or come in the wrong order.
#pragma once

#include <chrono>
#include <filesystem>
#include <set>

#include "base/file.h"

namespace enclayer::base {

class FolderWatch {
 public:
  FolderWatch();

  // From now on also for this folder: entries that come, go, or change mode or owner, and the folder itself going.
  // While it is not there, for the nearest parent that is. Asking again is free, and needed after the folder went away.
  // Arm first, then look.
  void arm(const std::filesystem::path& folder);

  // Readable after something happened; -1 where the node has run out of inotify instances.
  int fd() const { return fd_.get(); }

  // Whether something may happen unheard: the node has run out of inotify instances (fs.inotify.max_user_instances) or
  // watches (fs.inotify.max_user_watches), or a folder may not be read. The log says so once, and when it is over.
  bool blind() const { return !fd_ || !unwatched_.empty(); }

  // How long to wait for fd(): `usual`, and at most a second while blind.
  std::chrono::milliseconds patience(std::chrono::milliseconds usual) const;

  // Stops the ringing.
  void drain();

 private:
  base::UniqueFd fd_;
  std::set<std::filesystem::path> unwatched_;
};

}  // namespace enclayer::base
