// SPDX-License-Identifier: Apache-2.0
// The kubelet's notes of devices: whatever they say, UIDs are fit for a message and devices are ours.
#include <cstdlib>
#include <string_view>

#include "base/dns_name.h"
#include "kubelet/checkpoint.h"
#include "kubelet/device_ids.h"

using namespace enclayer;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto uids = kubelet::parse_pod_uids({reinterpret_cast<const char*>(data), size}, "enclayer.io/quote");
  if (!uids) return 0;
  for (const auto& [device, uid] : *uids)
    if (device >= kubelet::kMaxDeviceIds || !base::is_dns_name(uid)) std::abort();
  return 0;
}
