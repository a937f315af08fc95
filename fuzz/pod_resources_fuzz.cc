// SPDX-License-Identifier: Apache-2.0
// The kubelet's pod-resources reply: what is accepted has printable names and no more devices than bytes, and what is
// listed of one resource changes nothing of what is counted of the other.
#include <algorithm>
#include <cstdlib>

#include "kubelet/pod_resources_wire.h"

using namespace enclayer;

namespace {
bool printable(const std::string& name) {
  return !name.empty() && name.size() <= 253 &&
         std::all_of(name.begin(), name.end(), [](char c) { return c > ' ' && c <= '~'; });
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto counted = kubelet::count_devices({data, size}, "example.com/epc", "example.com/quote");
  auto without = kubelet::count_devices({data, size}, "example.com/epc");
  if (!counted) return 0;
  if (!without) std::abort();
  std::uint64_t devices = 0, of_epc = 0;
  for (const auto& container : *counted) {
    devices += container.devices + container.listed.size();
    of_epc += container.devices;
    if ((container.devices == 0 && container.listed.empty()) || !printable(container.pod_namespace) ||
        !printable(container.pod) || !printable(container.container))
      std::abort();
  }
  for (const auto& container : *without) of_epc -= container.devices;
  if (of_epc != 0 || devices > size / 2 || counted->size() > kubelet::kMaxContainersInReply) std::abort();
  return 0;
}
