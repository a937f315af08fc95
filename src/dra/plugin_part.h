// SPDX-License-Identifier: Apache-2.0
// The device plugin's side of "two doors, one EPC". The parts of both doors add up (device_plugin::epc_parts()); while a
// setting changes, pods may still hold what is the other door's by now. Then neither door gives what the other holds:
//
//   the driver   writes each claim into its ledger before it gives it, and gives no more than what is left beside the
//                number in `plugin`
//   the plugin   fixes its list: its part, less what the ledger's claims hold beyond the driver's; and writes into
//                `plugin` what it gives from then on, with what pods hold of earlier, longer lists
//
// Each does so under the ledger's lock, with files of a folder that both mount, so there is no moment in which both give
// the same, whichever of them is updated first, killed or not there at all. What a door cannot learn counts as held.
#pragma once

#include <cstdint>
#include <functional>

#include "dra/ledger.h"
#include "enclayer/error.h"

namespace enclayer::dra {

struct PluginPart {
  std::uint64_t offered_mib = 0;  // the length of the list
  bool settled = true;            // nobody holds anything of the other's part: it stays so until a setting changes

  bool operator==(const PluginPart&) const = default;
};

// MiB that pods hold of the plugin's resource beyond a list of that length.
using HeldBeyond = std::function<Result<std::uint64_t>(std::uint64_t list)>;

// To be called while the plugin serves no list that is longer than the answer. `part_mib` of `all_mib` are the plugin's.
// While `held_beyond` fails, the number that was written before stays, and without one all EPC is the plugin's. Errors
// are those of the folder and the ledger: without it nothing may be offered.
Result<PluginPart> settle_plugin_part(const Checkpoint& checkpoint, std::uint64_t part_mib, std::uint64_t all_mib,
                                      const HeldBeyond& held_beyond);

}  // namespace enclayer::dra
