// SPDX-License-Identifier: Apache-2.0
// Amounts of memory as Kubernetes writes them.
#pragma once

#include <cstdint>
#include <string_view>

#include "enclayer/error.h"

namespace enclayer::base {

// "8Gi", "512Mi", "1048576": digits, then Ki, Mi, Gi, Ti or nothing, in bytes. kInvalidArgument for anything else (also
// for the decimal "8G": it is not 8 GiB, and whoever writes it mostly means that) and for what does not fit into 64
// bits.
Result<std::uint64_t> parse_quantity(std::string_view text);

}  // namespace enclayer::base
