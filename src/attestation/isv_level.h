// SPDX-License-Identifier: Apache-2.0
// Versions of what has one number for its version, each with its status: the Quoting Enclave (QE Identity) and a TDX
// module (TCB Info).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "enclayer/error.h"
#include "enclayer/time.h"

namespace enclayer::attestation {

struct IsvLevel {
  std::uint16_t isv_svn = 0;
  Time date;
  std::string status;  // as spelled: UpToDate, OutOfDate or Revoked
  std::vector<std::string> advisory_ids;
};

using IsvLevels = std::vector<IsvLevel>;  // best first: descending by ISVSVN

// "tcbLevels" of `json`. Without a level, and with two of the same ISVSVN, kMalformed.
Result<IsvLevels> parse_isv_levels(base::JsonValue json);

// The first level that `isv_svn` reaches; nullptr when it reaches none.
const IsvLevel* level_of(const IsvLevels& levels, std::uint16_t isv_svn);

}  // namespace enclayer::attestation
