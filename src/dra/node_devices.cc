// SPDX-License-Identifier: Apache-2.0
#include "dra/node_devices.h"

#include <algorithm>
#include <charconv>

#include "base/printable.h"
#include "base/quantity.h"
#include "device_plugin/node.h"
#include "sgx/epc.h"

namespace enclayer::dra {

Result<std::uint64_t> driver_part(std::string_view text, std::uint64_t node_mib) {
  if (text.ends_with('%')) {
    unsigned percent = 0;
    const char* sign = text.data() + text.size() - 1;
    auto [end, error] = std::from_chars(text.data(), sign, percent);
    if (error != std::errc() || end != sign || percent > 100)
      return Error(ErrorKind::kInvalidArgument,
                   "'" + base::printable(text, 64) + "' is no part of the EPC: write 0% to 100%, or an amount as 64Gi");
    return node_mib / 100 * percent + node_mib % 100 * percent / 100;
  }
  ENCLAYER_TRY(std::uint64_t bytes, base::parse_quantity(text));
  if (bytes / sgx::kMiB > node_mib)
    return Error(ErrorKind::kInvalidArgument, "'" + base::printable(text, 64) + "' is more than the " +
                                                  std::to_string(node_mib) +
                                                  " MiB of EPC that this node has: give a smaller part, or 100%");
  return bytes / sgx::kMiB;
}

Result<std::vector<Section>> sections_of(std::uint64_t mib, const std::vector<std::uint64_t>& numa_bytes) {
  std::vector<Section> sections;
  if (mib == 0) return sections;
  if (std::all_of(numa_bytes.begin(), numa_bytes.end(), [](std::uint64_t here) { return here == 0; })) {
    sections.push_back({.device = kEpcKind, .mib = mib});
    return sections;
  }
  const auto shares = device_plugin::spread(mib, numa_bytes);
  for (unsigned numa = 0; numa < shares.size(); ++numa)
    if (shares[numa] > 0) sections.push_back({"epc-numa" + std::to_string(numa), numa, shares[numa]});
  if (sections.size() > kMostSections)
    return Error(ErrorKind::kExhausted, std::to_string(sections.size()) + " NUMA nodes have EPC, and a ResourceSlice " +
                                            "has room for " + std::to_string(kMostSections));
  return sections;
}

}  // namespace enclayer::dra
