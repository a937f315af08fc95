// SPDX-License-Identifier: Apache-2.0
#include "dra/plugin_part.h"

#include <algorithm>
#include <chrono>

#include "base/log.h"

namespace enclayer::dra {

Result<PluginPart> settle_plugin_part(const Checkpoint& checkpoint, std::uint64_t part_mib, std::uint64_t all_mib,
                                      const HeldBeyond& held_beyond) {
  ENCLAYER_TRY(const auto lock, checkpoint.lock(std::chrono::seconds(10)));
  ENCLAYER_TRY(const Ledger ledger, checkpoint.load());
  const std::uint64_t claimed = std::min(ledger.held_mib(), all_mib);
  PluginPart part{std::min(part_mib, all_mib - claimed)};
  auto beyond = held_beyond(part.offered_mib);
  if (!beyond)
    base::log::warn("who holds EPC is not known: as much as before counts as held, or all",
                    {{"reason", beyond.error().message()}});
  // What was written before covers all that pods hold, since none were given more.
  const auto before = checkpoint.plugin_mib();
  const std::uint64_t mib = beyond                                  ? part.offered_mib + *beyond
                            : before && *before >= part.offered_mib ? *before
                                                                    : all_mib;
  ENCLAYER_CHECK(checkpoint.set_plugin_mib(std::min(mib, all_mib)));
  part.settled = part.offered_mib == part_mib && beyond && *beyond == 0;
  if (!part.settled)
    base::log::info("EPC is still held through the other door", {{"part_mib", part_mib},
                                                                 {"offered_mib", part.offered_mib},
                                                                 {"claims_mib", claimed},
                                                                 {"written_mib", std::min(mib, all_mib)}});
  return part;
}

}  // namespace enclayer::dra
