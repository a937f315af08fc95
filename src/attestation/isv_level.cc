// SPDX-License-Identifier: Apache-2.0
#include "attestation/isv_level.h"

#include <algorithm>

#include "attestation/json_fields.h"

namespace enclayer::attestation {

Result<IsvLevels> parse_isv_levels(base::JsonValue json) {
  ENCLAYER_TRY(std::vector<base::JsonValue> listed, json.objects("tcbLevels"));
  if (listed.empty()) return malformed("there is no TCB level");
  IsvLevels out;
  for (base::JsonValue level_json : listed) {
    IsvLevel level;
    ENCLAYER_TRY(base::JsonValue tcb, level_json.object("tcb"));
    ENCLAYER_TRY(std::uint64_t isv_svn, tcb.number("isvsvn", 0xffff));
    level.isv_svn = static_cast<std::uint16_t>(isv_svn);
    ENCLAYER_CHECK(read_level_judgement(level_json, level));
    out.push_back(std::move(level));
  }
  std::stable_sort(out.begin(), out.end(), [](const IsvLevel& a, const IsvLevel& b) { return a.isv_svn > b.isv_svn; });
  auto twin = std::adjacent_find(out.begin(), out.end(),
                                 [](const IsvLevel& a, const IsvLevel& b) { return a.isv_svn == b.isv_svn; });
  if (twin != out.end()) return malformed("two TCB levels have the ISVSVN " + std::to_string(twin->isv_svn));
  return out;
}

const IsvLevel* level_of(const IsvLevels& levels, std::uint16_t isv_svn) {
  auto found =
      std::find_if(levels.begin(), levels.end(), [&](const IsvLevel& level) { return isv_svn >= level.isv_svn; });
  return found == levels.end() ? nullptr : &*found;
}

}  // namespace enclayer::attestation
