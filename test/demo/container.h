// SPDX-License-Identifier: Apache-2.0
// As much of a container as the demo needs: a mount namespace in which exactly the devices and mounts that the device
// plugin and the pod asked for are there. No image, no cgroup, no isolation: `make e2e` has the real thing.
#pragma once

#include <string>
#include <vector>

#include "enclayer/error.h"

namespace enclayer::demo {

struct BindMount {
  std::string host_path, container_path;
  bool read_only = false;
};

// Moves the calling process into a mount namespace of its own: /dev holds null, zero, urandom and `devices`, /run holds
// `mounts` (container paths under /run or /var/run), the rest is the host's. `scratch` is an empty folder.
// kPermissionDenied where the machine does not let us (an unprivileged container, for example).
Result<> enter_container(const std::string& scratch, const std::vector<BindMount>& devices,
                         const std::vector<BindMount>& mounts);

}  // namespace enclayer::demo
