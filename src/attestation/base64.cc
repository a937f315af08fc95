// SPDX-License-Identifier: Apache-2.0
#include "attestation/base64.h"

#include <array>

namespace enclayer::attestation {
namespace {

// What a character is worth as a digit; above 63: none.
constexpr std::uint8_t kNone = 0xff, kSpace = 0xfe;
constexpr std::array<std::uint8_t, 256> kDigits = [] {
  std::array<std::uint8_t, 256> digits{};
  digits.fill(kNone);
  std::uint8_t value = 0;
  for (char c : std::string_view("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"))
    digits[static_cast<std::uint8_t>(c)] = value++;
  for (char c : std::string_view("+-")) digits[static_cast<std::uint8_t>(c)] = 62;
  for (char c : std::string_view("/_")) digits[static_cast<std::uint8_t>(c)] = 63;
  for (char c : std::string_view(" \t\r\n")) digits[static_cast<std::uint8_t>(c)] = kSpace;
  return digits;
}();

}  // namespace

std::optional<Bytes> from_base64(std::string_view text) {
  Bytes out;
  out.reserve(text.size() / 4 * 3 + 3);
  std::uint32_t bits = 0;
  int count = 0;  // of bits that wait for more
  std::size_t padding = 0, digits = 0;
  bool standard = false, url = false;
  for (char c : text) {
    const std::uint8_t value = kDigits[static_cast<std::uint8_t>(c)];
    if (value == kSpace) continue;
    if (c == '=') {
      ++padding;
      continue;
    }
    if (value == kNone || padding > 0) return std::nullopt;
    standard |= c == '+' || c == '/';
    url |= c == '-' || c == '_';
    ++digits;
    bits = (bits << 6 | value) & 0xffffff;
    count += 6;
    if (count < 8) continue;
    count -= 8;
    out.push_back(static_cast<std::uint8_t>(bits >> count));
  }
  const bool left_over = (bits & ((1U << count) - 1)) != 0;
  const bool padded = padding == 0 || (padding < 3 && (digits + padding) % 4 == 0);
  if (digits % 4 == 1 || left_over || !padded || (standard && url)) return std::nullopt;
  return out;
}

}  // namespace enclayer::attestation
