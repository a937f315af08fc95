// SPDX-License-Identifier: Apache-2.0
// Words for byte strings. Everything that looks at bytes takes a ByteView; everything that owns them is Bytes or
// ByteArray<N>.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace enclayer {

using Bytes = std::vector<std::uint8_t>;
using ByteView = std::span<const std::uint8_t>;

template <std::size_t N>
using ByteArray = std::array<std::uint8_t, N>;

}  // namespace enclayer
