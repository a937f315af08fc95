// SPDX-License-Identifier: Apache-2.0
// troubles.json: what is accepted may be shown to people and become part of an Event, and is read again as it is written.
#include <cstdlib>
#include <string_view>

#include "base/dns_name.h"
#include "base/printable.h"
#include "troubles/troubles.h"

using namespace enclayer;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto troubles = troubles::parse_troubles({reinterpret_cast<const char*>(data), size});
  if (!troubles) return 0;
  if (troubles->size() > troubles::kKinds.size()) std::abort();
  for (const auto& trouble : *troubles) {
    if (trouble.says.empty() || trouble.says != base::printable(trouble.says, troubles::kMostSays)) std::abort();
    if (trouble.first > trouble.last || trouble.count == 0 || trouble.pods.size() > troubles::kMostPods) std::abort();
    for (const auto& pod : trouble.pods)
      if (!base::is_dns_name(pod.space) || !base::is_dns_name(pod.name) ||
          !(pod.uid.empty() || base::is_dns_name(pod.uid)))
        std::abort();
  }
  auto again = troubles::parse_troubles(troubles::to_json(*troubles));
  if (!again || *again != *troubles) std::abort();
  return 0;
}
