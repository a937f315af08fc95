// SPDX-License-Identifier: Apache-2.0
// holders.json: what is accepted has names that may be shown, and is read again as it is written.
#include <cstdlib>
#include <string_view>

#include "slots/slots.h"

using namespace enclayer;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto holders = slots::parse_holders({reinterpret_cast<const char*>(data), size});
  if (!holders) return 0;
  if (holders->size() > slots::kMostSlots) std::abort();
  for (const auto& [slot, holder] : *holders) {
    if (!slots::is_slot_name(slot)) std::abort();
    if (holder.named() && !(slots::is_holder_name(holder.pod_namespace) && slots::is_holder_name(holder.pod) &&
                            slots::is_holder_name(holder.container)))
      std::abort();
  }
  auto again = slots::parse_holders(slots::holders_json(*holders));
  if (!again || *again != *holders) std::abort();
  return 0;
}
