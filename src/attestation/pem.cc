// SPDX-License-Identifier: Apache-2.0
#include "attestation/pem.h"
#include "base/malformed.h"

#include <array>
#include <string>

namespace enclayer::attestation {
namespace {

struct Label {
  std::string_view name, begin, end;
};
constexpr Label kCertificate{"certificate", "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"};
constexpr Label kCrl{"CRL", "-----BEGIN X509 CRL-----", "-----END X509 CRL-----"};

constexpr base::Malformed malformed{"PEM: "};

// What a character is worth as a digit; kNoDigit for the others, kSpace for whitespace.
constexpr std::uint8_t kNoDigit = 0xff, kSpace = 0xfe;
constexpr std::array<std::uint8_t, 256> kDigits = [] {
  std::array<std::uint8_t, 256> digits{};
  digits.fill(kNoDigit);
  std::uint8_t value = 0;
  for (char c : std::string_view("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"))
    digits[static_cast<std::uint8_t>(c)] = value++;
  for (char c : std::string_view(" \t\r\n")) digits[static_cast<std::uint8_t>(c)] = kSpace;
  return digits;
}();

bool is_space(char c) { return kDigits[static_cast<std::uint8_t>(c)] == kSpace; }

// RFC 4648 with whitespace between the digits. Bits that are left over have to be zero: one certificate, one text.
Result<Bytes> from_base64(std::string_view text) {
  Bytes out(text.size() * 3 / 4);  // room for as many digits as there are characters
  std::size_t size = 0;            // of what has been written to it
  std::uint32_t bits = 0;
  int count = 0, digits = 0, padding = 0;
  auto value_at = [&](std::size_t at) { return kDigits[static_cast<std::uint8_t>(text[at])]; };
  for (std::size_t at = 0; at < text.size();) {
    if (count == 0 && padding == 0 && text.size() - at >= 4) {  // most come in fours, with nothing between them
      std::uint32_t a = value_at(at), b = value_at(at + 1), c = value_at(at + 2), d = value_at(at + 3);
      if ((a | b | c | d) < 64) {
        bits = a << 18 | b << 12 | c << 6 | d;
        for (int shift : {16, 8, 0}) out[size++] = static_cast<std::uint8_t>(bits >> shift);
        digits += 4;
        at += 4;
        continue;
      }
    }
    char c = text[at];
    std::uint8_t value = value_at(at++);
    if (value == kSpace) continue;
    ++digits;
    if (c == '=') {
      ++padding;
      continue;
    }
    if (value == kNoDigit || padding > 0) return malformed("a block is not base64");
    bits = (bits << 6 | value) & 0xffffff;
    count += 6;
    if (count >= 8) {
      count -= 8;
      out[size++] = static_cast<std::uint8_t>(bits >> count);
    }
  }
  bool left_over = (bits & ((1U << count) - 1)) != 0;
  if (digits % 4 != 0 || padding > 2 || padding * 2 != count || left_over)
    return malformed("a block's base64 does not end as it should");
  out.resize(size);
  return out;
}

// The blocks of this label, at most `most` of them, and nothing else.
Result<std::vector<Bytes>> blocks(std::string_view text, const Label& label, std::size_t most) {
  const std::string name(label.name);
  while (!text.empty() && (text.back() == '\0' || is_space(text.back()))) text.remove_suffix(1);
  std::vector<Bytes> out;
  while (true) {
    while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
    if (text.empty()) return out;
    if (!text.starts_with(label.begin)) return malformed("there is something else than a " + name + " in the text");
    text.remove_prefix(label.begin.size());
    std::size_t end = text.find(label.end);
    if (end == std::string_view::npos) return malformed("a " + name + " has no end");
    if (out.size() == most) return malformed("there is more than " + std::to_string(most) + " " + name);
    ENCLAYER_TRY(Bytes der, from_base64(text.substr(0, end)));
    out.push_back(std::move(der));
    text.remove_prefix(end + label.end.size());
  }
}

}  // namespace

Result<std::vector<Bytes>> certificates_in_pem(std::string_view text) {
  if (text.size() > kMaxPemSize)
    return malformed("the text has " + std::to_string(text.size()) + " bytes, at most " + std::to_string(kMaxPemSize) +
                     " are read");
  return blocks(text, kCertificate, kMaxPemCertificates);
}

Result<Bytes> crl_in_pem(std::string_view text) {
  ENCLAYER_TRY(std::vector<Bytes> found, blocks(text, kCrl, 1));
  if (found.empty()) return malformed("there is no CRL in the text");
  return std::move(found.front());
}

bool looks_like_pem_crl(std::string_view text) { return text.starts_with(kCrl.begin); }

}  // namespace enclayer::attestation
