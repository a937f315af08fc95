// SPDX-License-Identifier: Apache-2.0
// The body of a request: one JSON object with the keys that a door knows and no others, bytes in base64url without
// padding (RFC 4648, section 5). A key that is there twice, more than a door needs of anything, and a key that is not
// known are refused: what one reader skips another may believe.
#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "enclayer/bytes.h"
#include "enclayer/error.h"

namespace enclayer::attest {

inline constexpr std::size_t kMaxEvidence = 64 << 10;      // bytes of a quote or certificate; real ones have 5 to 10 KB
inline constexpr std::size_t kMaxRuntimeData = 256 << 10;  // bytes

// kMalformed: anything else, or a key that is not in `known`. kUnsupported: one of `not_built` is there.
Result<base::JsonDocument> parse_request(std::string_view body, std::initializer_list<std::string_view> known,
                                         std::initializer_list<std::string_view> not_built = {});

// Of `key`; kMalformed names it: it is not base64url, or longer than `max` bytes.
Result<Bytes> bytes_of(base::JsonValue request, std::string_view key, std::size_t max);

// What the bytes say, where they are one JSON object within bounds, no key twice in it; else kMalformed.
Result<base::JsonDocument> parse_runtime_json(std::string_view bytes);

}  // namespace enclayer::attest
