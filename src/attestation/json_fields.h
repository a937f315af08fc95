// SPDX-License-Identifier: Apache-2.0
// The fields that TCB Info and QE Identity have in common. For .cc files of this folder.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

#include "attestation/window.h"
#include "base/hex.h"
#include "base/json.h"
#include "base/malformed.h"
#include "enclayer/bytes.h"
#include "enclayer/time.h"

namespace enclayer::attestation {

using base::malformed;

template <std::size_t N>
Result<ByteArray<N>> hex_array(base::JsonValue json, std::string_view key) {
  ENCLAYER_TRY(std::string text, json.text(key));
  auto bytes = base::from_hex(text);
  if (!bytes || bytes->size() != N)
    return malformed("\"" + std::string(key) + "\" is not " + std::to_string(2 * N) + " hexadecimal digits");
  ByteArray<N> out{};
  std::copy(bytes->begin(), bytes->end(), out.begin());
  return out;
}

inline Result<Time> time_field(base::JsonValue json, std::string_view key) {
  ENCLAYER_TRY(std::string text, json.text(key));
  auto time = parse_time(text);
  if (!time) return time.error().with_context("\"" + std::string(key) + "\"");
  return time;
}

// issueDate .. nextUpdate.
inline Result<Window> issue_window(base::JsonValue json) {
  Window out;
  ENCLAYER_TRY(out.from, time_field(json, "issueDate"));
  ENCLAYER_TRY(out.until, time_field(json, "nextUpdate"));
  return out;
}

// tcbDate, tcbStatus and advisoryIDs (optional) of a level.
template <class Level>
Result<> read_level_judgement(base::JsonValue json, Level& level) {
  ENCLAYER_TRY(level.date, time_field(json, "tcbDate"));
  ENCLAYER_TRY(level.status, json.text("tcbStatus"));
  if (json.has("advisoryIDs")) {
    ENCLAYER_TRY(level.advisory_ids, json.texts("advisoryIDs"));
  }
  return {};
}

}  // namespace enclayer::attestation
