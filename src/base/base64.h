// SPDX-License-Identifier: Apache-2.0
// Base64 (RFC 4648), with whitespace between the digits. Bits that are left over have to be zero: one content, one text.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "enclayer/bytes.h"

namespace enclayer::base {

enum class Base64 {
  kPem,  // section 4, with padding
  kAny,  // section 4 or 5, not both in one text, with padding or without: as people paste it
};

// The bytes of such a text; nullopt for anything else.
std::optional<Bytes> from_base64(std::string_view text, Base64 form);

// Section 4, with padding, in one line.
std::string to_base64(ByteView bytes);

}  // namespace enclayer::base
