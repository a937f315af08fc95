// SPDX-License-Identifier: Apache-2.0
// Whose devices are, by the UIDs of pods: the kubelet's own notes, device-plugins/kubelet_internal_checkpoint. No API of
// the kubelet tells UIDs, and the form of the notes is nobody's promise (that of Kubernetes 1.20 to 1.36 is read here): so
// nothing but names in messages may depend on them.
//
//   {"Data": {"PodDeviceEntries": [{"PodUID": "...", "ContainerName": "...", "ResourceName": "enclayer.io/quote",
//      "DeviceIDs": {"-1": ["A", "B"]}, "AllocResp": "..."}, ...], "RegisteredDevices": {...}}, "Checksum": 1}
//
// With 262,144 devices it has some megabytes, of which nothing is kept but what is asked for.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>

#include "enclayer/error.h"
#include "kubelet/pod_resources_wire.h"

namespace enclayer::kubelet {

inline constexpr std::size_t kMostNotes = std::size_t{16} << 20;  // bytes

// The pod of each container that has devices of `resource`, by the lowest of them (device_ids.h). Where two pods have it,
// one has ended, and the notes do not tell which: neither is there. IDs that are none of ours are passed over, and UIDs
// that could not be a part of an object's name. kMalformed for what is no such file.
using PodUids = std::map<std::uint32_t, std::string>;
Result<PodUids> parse_pod_uids(std::string_view json, std::string_view resource);

Result<PodUids> read_pod_uids(const std::filesystem::path& kubelet_dir, std::string_view resource);

// By its devices that are listed; empty: not known.
std::string uid_of(const ContainerDevices& container, const PodUids& uids);

}  // namespace enclayer::kubelet
