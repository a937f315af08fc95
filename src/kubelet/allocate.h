// SPDX-License-Identifier: Apache-2.0
// The Allocate call as bytes: what the kubelet asks, checked against the list that it was told, and what it is
// answered. Nothing of gRPC is in here, so that it can be fuzzed.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "enclayer/error.h"
#include "kubelet/device_list.h"
#include "kubelet/plugin.h"

namespace enclayer::kubelet {

// The most that a request may have, in bytes. All 262,408 devices in one AllocateRequest are 1.3 MB.
inline constexpr int kMaxRequestBytes = 8 << 20;

// Containers in one request. The kubelet has always asked for one; each one is answered with its own copy of the
// grant, and so many stay far below the 4,194,304 bytes that the kubelet reads.
inline constexpr int kMaxContainers = 1'024;

struct AllocateAnswer {
  std::string bytes;                    // an AllocateResponse: one answer for each container, in the request's order
  std::vector<std::size_t> containers;  // how many devices each container was given
};

// `request` is an AllocateRequest. Every container has to name at least one device, every device is one of `devices`
// and is named once; then `plugin.allocate` says what the container gets. A list that is lost refuses nothing by
// itself: what a container may have that comes while the devices are away, the plugin knows.
// kMalformed, kInvalidArgument, kNotFound or kExhausted for requests that are none, or what `plugin.allocate` says. The
// message is fit for a pod's events: short, printable, naming the resource.
Result<AllocateAnswer> answer_allocate(const Plugin& plugin, const DeviceList& devices, std::string_view request);

}  // namespace enclayer::kubelet
