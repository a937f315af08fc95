// SPDX-License-Identifier: Apache-2.0
// Bytes as lower-case hexadecimal digits, two a byte, and back.
#pragma once

#include <string>
#include <string_view>

#include "enclayer/bytes.h"
#include "enclayer/error.h"

namespace enclayer::base {

std::string to_hex(ByteView bytes);

// Both cases of digits, nothing else; an odd count or another character is kMalformed and the message names its place.
Result<Bytes> from_hex(std::string_view text);

}  // namespace enclayer::base
