// SPDX-License-Identifier: Apache-2.0
// The kubelet's answer to PodResourcesLister.List (pod-resources API v1), counted without being built: the kubelet
// sends one entry for each device, with the resource's name in it, so 262,144 devices are 12.6 MB on the wire and would
// be five times that as objects. What is wanted of them is one number a container, and of a second resource, which has
// few devices, which ones.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "enclayer/bytes.h"
#include "enclayer/error.h"

namespace enclayer::kubelet {

// Nodes have 110 pods by default and some have 1,000. A plugin's list has room for so many devices.
inline constexpr std::size_t kMaxPodsInReply = 8'192, kMaxContainersInReply = 65'536, kMaxListedInReply = 262'408;

struct ContainerDevices {
  std::string pod_namespace, pod, container;  // printable ASCII, 1 to 253 characters each
  std::uint64_t devices = 0;                  // of the resource that is counted
  std::vector<std::uint32_t> listed = {};     // indices (device_ids.h) of those of the other one

  bool operator==(const ContainerDevices&) const = default;
};

// The containers that have devices of `counted` or of `listed`, in the reply's order. A device that lies on several
// NUMA nodes is several entries of the reply and counts as often; ours lie on one. IDs that are none of ours are passed
// over. kMalformed when the bytes are no such message or break one of the limits above.
Result<std::vector<ContainerDevices>> count_devices(ByteView reply, std::string_view counted,
                                                    std::string_view listed = {});

}  // namespace enclayer::kubelet
