// SPDX-License-Identifier: Apache-2.0
// Base64 as people paste it (RFC 4648, sections 4 and 5).
#pragma once

#include <optional>
#include <string_view>

#include "enclayer/bytes.h"

namespace enclayer::attestation {

// The bytes of base64 or base64url text, with or without padding, whitespace anywhere; nullopt for anything else: digits
// of both alphabets in one text, padding in the middle, bits that are left over and not zero.
std::optional<Bytes> from_base64(std::string_view text);

}  // namespace enclayer::attestation
