// SPDX-License-Identifier: Apache-2.0
// TCB Info: Intel's list of patch levels of one kind of platform (FMSPC), each with its status.
// Source: Intel PCS API, "Get TCB Info" v4 (TCB Info version 3) and v3 (version 2).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "attestation/pck_extension.h"
#include "attestation/window.h"
#include "enclayer/error.h"
#include "enclayer/time.h"

namespace enclayer::attestation {

struct TcbLevel {
  PlatformTcb tcb;
  Time date;
  std::string status;  // as spelled; a word that we do not know matters only for the platforms at this level
  std::vector<std::string> advisory_ids;
};

struct TcbInfo {
  std::string id;  // "SGX" or "TDX"
  std::uint32_t version = 0;
  Window validity;  // issueDate .. nextUpdate
  ByteArray<6> fmspc{};
  ByteArray<2> pce_id{};
  std::uint32_t evaluation_number = 0;
  std::vector<TcbLevel> levels;  // best first: descending by components, then by PCESVN

  // The first level that `platform` reaches in all seventeen numbers; nullptr when it reaches none.
  const TcbLevel* level_of(const PlatformTcb& platform) const;
};

// The inner object, versions 2 and 3. kUnsupported: another version or TCB type. kMalformed: anything else that is
// wrong, two levels with the same numbers among it.
Result<TcbInfo> parse_tcb_info(std::string_view json);

}  // namespace enclayer::attestation
