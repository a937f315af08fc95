// SPDX-License-Identifier: Apache-2.0
#include "dra/node_devices.h"

#include <algorithm>

#include "device_plugin/node.h"

namespace enclayer::dra {

Result<NodeDevices> NodeDevices::beside(std::uint64_t plugin_mib) const {
  const std::uint64_t left = all_mib > plugin_mib ? all_mib - plugin_mib : 0;
  NodeDevices out = *this;
  if (left < epc_mib()) {
    ENCLAYER_TRY(out.sections, sections_of(left, numa_mib));
  }
  return out;
}

Result<std::vector<Section>> sections_of(std::uint64_t mib, const std::vector<std::uint64_t>& numa_mib) {
  std::vector<Section> sections;
  if (mib == 0) return sections;
  if (std::all_of(numa_mib.begin(), numa_mib.end(), [](std::uint64_t here) { return here == 0; })) {
    sections.push_back({.device = kEpcKind, .mib = mib});
    return sections;
  }
  const auto shares = device_plugin::spread(mib, numa_mib);
  for (unsigned numa = 0; numa < shares.size(); ++numa)
    if (shares[numa] > 0) sections.push_back({"epc-numa" + std::to_string(numa), numa, shares[numa]});
  if (sections.size() > kMostSections)
    return Error(ErrorKind::kExhausted, std::to_string(sections.size()) + " NUMA nodes have EPC, and a ResourceSlice " +
                                            "has room for " + std::to_string(kMostSections));
  return sections;
}

}  // namespace enclayer::dra
