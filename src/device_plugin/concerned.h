// SPDX-License-Identifier: Apache-2.0
// The pods that something which is wrong on the node concerns: those that have some of what is lost.
#pragma once

#include <filesystem>
#include <vector>

#include "kubelet/checkpoint.h"
#include "kubelet/pod_resources_wire.h"
#include "troubles/troubles.h"

namespace enclayer::device_plugin {

// Of EPC that is lost who has EPC, of quotes who has quotes, of everything else nobody. Asks the kubelet, which takes
// two seconds at most and at a large node megabytes; where it does not answer none are known.
std::vector<troubles::Pod> concerned_by(const troubles::Kind& kind, const std::filesystem::path& kubelet_dir);

// Each pod of `containers` once, with its UID where `uids` has the lowest of those devices that are listed.
std::vector<troubles::Pod> pods_of(const std::vector<kubelet::ContainerDevices>& containers,
                                   const kubelet::PodUids& uids);

}  // namespace enclayer::device_plugin
