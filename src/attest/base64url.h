// SPDX-License-Identifier: Apache-2.0
// Base64url without padding, as all of JOSE has it (RFC 7515 section 2). One content has one text: padding, whitespace,
// the two characters of plain base64 and bits that are left over are refused.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "enclayer/bytes.h"

namespace enclayer::attest {

std::string to_base64url(ByteView bytes);
std::optional<Bytes> from_base64url(std::string_view text);

}  // namespace enclayer::attest
