// SPDX-License-Identifier: Apache-2.0
// Holds one resource against a second plugin on the same node: two that register the same name would take the kubelet
// from each other for ever. A lock on a file, so that the kernel frees it when its holder ends, however that ends.
#pragma once

#include <filesystem>

#include "base/file.h"
#include "enclayer/error.h"

namespace enclayer::kubelet {

class ResourceLock {
 public:
  // Makes the file (mode 0600) when it is not there; never waits. kConflict when somebody holds it: the message has his
  // process ID and host name as he knows them, which in a container are 1 and the pod's name.
  static Result<ResourceLock> take(const std::filesystem::path& file);

  // Whether the file that we hold is still the one at its path. It is not after somebody has deleted the folder, and
  // then the lock keeps nobody away any more: let go of it and take it anew.
  bool in_place() const;

 private:
  ResourceLock(std::filesystem::path file, base::UniqueFd fd) : file_(std::move(file)), fd_(std::move(fd)) {}

  std::filesystem::path file_;
  base::UniqueFd fd_;  // closing it unlocks; the file stays, since deleting it could take it from the next holder
};

}  // namespace enclayer::kubelet
