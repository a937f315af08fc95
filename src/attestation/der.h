// SPDX-License-Identifier: Apache-2.0
// DER, as far as certificates and CRLs need it: one-byte tags, definite lengths in their shortest form, nothing copied.
// OpenSSL takes BER as well, and makes dozens of objects of a certificate and several of each entry of a list, which
// takes longer than to check its signature; this is a page that can be checked by eye and fuzzed on its own.
#pragma once

#include <optional>

#include "enclayer/bytes.h"

namespace enclayer::attestation {

struct DerElement {
  std::uint8_t tag = 0;
  ByteView content;
};

class DerReader {
 public:
  static constexpr std::uint8_t kBoolean = 0x01, kInteger = 0x02, kBitString = 0x03, kOctetString = 0x04, kOid = 0x06,
                                kEnumerated = 0x0a, kUtf8String = 0x0c, kPrintableString = 0x13, kUtcTime = 0x17,
                                kGeneralizedTime = 0x18, kSequence = 0x30, kSet = 0x31;
  // [n], of a value that is explicitly (or implicitly, for one that is not made of others) tagged so.
  static constexpr std::uint8_t constructed(int n) { return static_cast<std::uint8_t>(0xa0 | n); }
  static constexpr std::uint8_t primitive(int n) { return static_cast<std::uint8_t>(0x80 | n); }

  explicit DerReader(ByteView bytes) : rest_(bytes) {}

  bool done() const { return rest_.empty(); }
  bool at(std::uint8_t tag) const { return !rest_.empty() && rest_[0] == tag; }

  // The next element; nullopt when what is left does not begin with a whole one.
  std::optional<DerElement> next() {
    if (rest_.size() < 2 || (rest_[0] & 0x1f) == 0x1f) return std::nullopt;
    std::size_t header = 2, size = rest_[1];
    if (size >= 0x80) {
      std::size_t digits = size & 0x7f;
      if (digits == 0 || digits > 3 || rest_.size() < 2 + digits) return std::nullopt;  // more than 16 MB: not here
      size = 0;
      for (std::uint8_t digit : rest_.subspan(2, digits)) size = size << 8 | digit;
      if (size < 0x80 || size >> 8 * (digits - 1) == 0) return std::nullopt;
      header += digits;
    }
    if (rest_.size() - header < size) return std::nullopt;
    DerElement element{rest_[0], rest_.subspan(header, size)};
    rest_ = rest_.subspan(header + size);
    return element;
  }

  // The next element with its tag and length, if it has this tag.
  std::optional<ByteView> whole(std::uint8_t tag) {
    ByteView before = rest_;
    return next(tag) ? std::optional(before.first(before.size() - rest_.size())) : std::nullopt;
  }

  // The content of the next element, if it has this tag.
  std::optional<ByteView> next(std::uint8_t tag) {
    auto element = next();
    return element && element->tag == tag ? std::optional(element->content) : std::nullopt;
  }

  // A number from 0 to `max` with the tag INTEGER or ENUMERATED.
  static std::optional<std::uint32_t> number(const DerElement& element, std::uint8_t tag, std::uint32_t max) {
    ByteView c = element.content;
    if (element.tag != tag || c.empty() || c.size() > 3 || c[0] >= 0x80) return std::nullopt;
    if (c.size() > 1 && c[0] == 0 && c[1] < 0x80) return std::nullopt;  // not the shortest form
    std::uint32_t value = 0;
    for (std::uint8_t byte : c) value = value << 8 | byte;
    return value <= max ? std::optional(value) : std::nullopt;
  }

 private:
  ByteView rest_;
};

}  // namespace enclayer::attestation
