// SPDX-License-Identifier: Apache-2.0
// How sets of bits (TD attributes, XFAM) are written everywhere: "0x0000000010000000", the highest digit first.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/hex.h"
#include "enclayer/bytes.h"

namespace enclayer::attestation {

inline std::string hex64(std::uint64_t value) {
  ByteArray<8> bytes{};
  for (std::size_t i = 0; i < 8; ++i) bytes[i] = static_cast<std::uint8_t>(value >> (56 - 8 * i));
  return "0x" + base::to_hex(bytes);
}

// Of exactly this form, in both cases.
inline std::optional<std::uint64_t> hex64_from(std::string_view text) {
  if (!text.starts_with("0x") || text.size() != 18) return std::nullopt;
  auto bytes = base::from_hex(text.substr(2));
  if (!bytes) return std::nullopt;
  std::uint64_t out = 0;
  for (std::uint8_t byte : *bytes) out = out << 8 | byte;
  return out;
}

}  // namespace enclayer::attestation
