// The kubelet's checkpoint of who has which devices: /var/lib/kubelet/device-plugins/kubelet_internal_checkpoint.
//   {"Data":{"PodDeviceEntries":[{"PodUID":"...","ContainerName":"...","ResourceName":"...",
//                                 "DeviceIDs":{"-1":["id",...]},"AllocResp":"base64"},...],
//            "RegisteredDevices":{"<resource>":["id",...]}},"Checksum":123}
// The same since Kubernetes 1.20; before, DeviceIDs was the bare list. The list of entries is null when there is none.
// It is no promised interface, so what does not look like this is refused, never guessed at.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>

#include "enclayer/error.h"

namespace enclayer::pods {

// 256 GiB as 262,144 devices are 2.3 MB, and as much again when all are given away.
inline constexpr std::size_t kMaxCheckpointBytes = std::size_t{16} << 20;
inline constexpr int kMaxCheckpointDepth = 8;         // real ones nest 5 deep
inline constexpr std::size_t kMaxPodsHolding = 4096;  // a node runs some hundred

// Fills the front of the buffer; 0 at the end.
using Source = std::function<Result<std::size_t>(std::span<char>)>;

// UIDs of the pods that have at least one device of `resource`. Read in pieces: what is kept is one string and what is
// found. kMalformed for any other text, or beyond the limits above.
Result<std::unordered_set<std::string>> pods_holding(const Source& source, std::string_view resource,
                                                     std::size_t max_bytes = kMaxCheckpointBytes);

}  // namespace enclayer::pods
