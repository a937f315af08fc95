// SPDX-License-Identifier: Apache-2.0
// Who has how many devices: asked of the kubelet, on <kubelet-dir>/pod-resources/kubelet.sock (pod-resources API v1).
#pragma once

#include <chrono>
#include <filesystem>
#include <string_view>
#include <vector>

#include "enclayer/error.h"
#include "kubelet/pod_resources_wire.h"

namespace enclayer::kubelet {

// Bytes of a reply that is taken: every device of `resource` in an entry of its own, on a NUMA node, and 2 MiB for the
// rest of the node. 16.2 MiB for kubernetes.azure.com/sgx_epc_mem_in_MiB; gRPC's default would be 4 MiB, which is over
// at 87,000 devices of that name.
std::size_t pod_resources_limit(std::string_view resource);

// The containers of this node that have devices of `counted`, or of `listed` (pod_resources_wire.h). A connection of
// its own, closed afterwards: the kubelet may be another one by the next time. At the limit it takes twice the reply's
// size of memory while it runs. kUnavailable when nobody answers there, kTimedOut, kExhausted for a longer reply than
// the limit, kMalformed.
Result<std::vector<ContainerDevices>> list_pod_devices(const std::filesystem::path& kubelet_dir,
                                                       std::string_view counted, std::string_view listed,
                                                       std::chrono::milliseconds deadline = std::chrono::seconds(2));

}  // namespace enclayer::kubelet
