// SPDX-License-Identifier: Apache-2.0
#include "base/base64.h"

#include <openssl/evp.h>

#include <array>

namespace enclayer::base {
namespace {

// What a character is worth as a digit; above 63: none.
constexpr std::uint8_t kNone = 0xff, kSpace = 0xfe;
using Digits = std::array<std::uint8_t, 256>;
constexpr Digits digits_with(std::string_view last_two) {
  Digits digits{};
  digits.fill(kNone);
  std::uint8_t value = 0;
  for (std::string_view part :
       {std::string_view("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"), last_two})
    for (char c : part) digits[static_cast<std::uint8_t>(c)] = value++;
  for (char c : std::string_view(" \t\r\n")) digits[static_cast<std::uint8_t>(c)] = kSpace;
  return digits;
}
constexpr Digits kStandard = digits_with("+/"), kUrl = digits_with("-_");

}  // namespace

std::optional<Bytes> from_base64(std::string_view text, Base64 form) {
  const bool url = form == Base64::kAny && (text.find('-') != text.npos || text.find('_') != text.npos);
  const Digits& digits = url ? kUrl : kStandard;
  Bytes out(text.size() / 4 * 3 + 3);  // room for as many digits as there are characters
  std::size_t size = 0;                // of what has been written to it
  std::uint32_t bits = 0;
  int count = 0;  // of bits that wait for more
  std::size_t padding = 0;
  auto value_at = [&](std::size_t at) { return digits[static_cast<std::uint8_t>(text[at])]; };
  for (std::size_t at = 0; at < text.size();) {
    if (count == 0 && padding == 0 && text.size() - at >= 4) {  // most come in fours, with nothing between them
      std::uint32_t a = value_at(at), b = value_at(at + 1), c = value_at(at + 2), d = value_at(at + 3);
      if ((a | b | c | d) < 64) {
        bits = a << 18 | b << 12 | c << 6 | d;
        for (int shift : {16, 8, 0}) out[size++] = static_cast<std::uint8_t>(bits >> shift);
        at += 4;
        continue;
      }
    }
    const char c = text[at];
    const std::uint8_t value = value_at(at++);
    if (value == kSpace) continue;
    if (c == '=') {
      ++padding;
      continue;
    }
    if (value == kNone || padding > 0) return std::nullopt;
    bits = (bits << 6 | value) & 0xffffff;
    count += 6;
    if (count < 8) continue;
    count -= 8;
    out[size++] = static_cast<std::uint8_t>(bits >> count);
  }
  const bool left_over = count == 6 || (bits & ((1U << count) - 1)) != 0;  // 6: a digit that makes no byte
  const bool padded = padding * 2 == static_cast<std::size_t>(count) || (form == Base64::kAny && padding == 0);
  if (left_over || !padded) return std::nullopt;
  out.resize(size);
  return out;
}

std::string to_base64(ByteView bytes) {
  std::string out((bytes.size() + 2) / 3 * 4 + 1, '\0');  // OpenSSL ends it with a zero
  const int size =
      ::EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()), bytes.data(), static_cast<int>(bytes.size()));
  out.resize(static_cast<std::size_t>(size));
  return out;
}

}  // namespace enclayer::base
