// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "enclayer/bytes.h"

namespace enclayer::base {

ByteArray<32> sha256(ByteView first, ByteView second = {});  // of both, one after the other

std::string sha256_hex(std::string_view text);

}  // namespace enclayer::base
