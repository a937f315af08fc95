// SPDX-License-Identifier: Apache-2.0
// An alarm clock that rings when something happens in a folder. It does not say what: whoever is woken looks for
// himself, so no event can be lost, misread or come in the wrong order.
#pragma once

#include <filesystem>

#include "base/file.h"

namespace enclayer::base {

class FolderWatch {
 public:
  FolderWatch();

  // From now on also for this folder: entries that come, go, or change mode or owner, and the folder itself going.
  // While it is not there, for the nearest parent that is. Asking again is free, and needed after the folder went away.
  // Arm first, then look.
  void arm(const std::filesystem::path& folder);

  // Readable after something happened; -1 where the node has run out of inotify instances
  // (fs.inotify.max_user_instances).
  int fd() const { return fd_.get(); }

  // Stops the ringing.
  void drain();

 private:
  base::UniqueFd fd_;
};

}  // namespace enclayer::base
