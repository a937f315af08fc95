// DER, as far as the SGX extension needs it: one-byte tags, definite lengths in their shortest form, nothing copied.
// OpenSSL reads certificates and CRLs; this reads the one extension that it does not know, in a page that can be
// checked by eye and fuzzed on its own, where OpenSSL would want ASN.1 templates or one decoded object per field.
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
  static constexpr std::uint8_t kBoolean = 0x01, kInteger = 0x02, kOctetString = 0x04, kOid = 0x06, kEnumerated = 0x0a,
                                kSequence = 0x30;

  explicit DerReader(ByteView bytes) : rest_(bytes) {}

  bool done() const { return rest_.empty(); }

  // The next element; nullopt when what is left does not begin with a whole one.
  std::optional<DerElement> next() {
    if (rest_.size() < 2 || (rest_[0] & 0x1f) == 0x1f) return std::nullopt;
    std::size_t header = 2, size = rest_[1];
    if (size >= 0x80) {
      std::size_t digits = size & 0x7f;
      if (digits == 0 || digits > 2 || rest_.size() < 2 + digits) return std::nullopt;  // more than 64 KB: not here
      size = digits == 1 ? rest_[2] : static_cast<std::size_t>(rest_[2] << 8 | rest_[3]);
      if (size < (digits == 1 ? 0x80U : 0x100U)) return std::nullopt;
      header += digits;
    }
    if (rest_.size() - header < size) return std::nullopt;
    DerElement element{rest_[0], rest_.subspan(header, size)};
    rest_ = rest_.subspan(header + size);
    return element;
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
