// SPDX-License-Identifier: Apache-2.0
// Amounts as Kubernetes writes them.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "enclayer/error.h"

namespace enclayer::base {

// "8Gi", "512Mi", "1048576": digits, then Ki, Mi, Gi, Ti or nothing, in bytes. kInvalidArgument for anything else (also
// for the decimal "8G": it is not 8 GiB, and whoever writes it mostly means that) and for what does not fit into 64
// bits.
Result<std::uint64_t> parse_quantity(std::string_view text);

// Any quantity of the API server: "10", "10Mi", "1k", "5e3", "1500m". A whole number, fractions rounded up. nullopt: no
// quantity, or more than 2^62.
std::optional<std::int64_t> whole_quantity(std::string_view text);

}  // namespace enclayer::base
