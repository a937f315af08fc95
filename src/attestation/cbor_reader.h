// SPDX-License-Identifier: Apache-2.0
// CBOR (RFC 8949), item by item: libcbor's streaming decoder, which allocates nothing, so that a length is only believed
// as far as there are bytes. Reading a known structure this way has the depth of that structure.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "enclayer/bytes.h"

namespace enclayer::attestation {

class CborReader {
 public:
  explicit CborReader(ByteView bytes) : rest_(bytes) {}

  bool done() const { return rest_.empty(); }

  // The next item, if it is of this kind; nullopt: it is of another, is not whole, or has no length in front of it
  // ("indefinite"), and nothing more can be read.
  std::optional<std::uint64_t> number() { return next(Kind::kNumber); }  // 0 or more
  std::optional<std::uint64_t> tag() { return next(Kind::kTag); }
  std::optional<std::uint64_t> array() { return next(Kind::kArray); }  // how many items follow
  std::optional<std::uint64_t> map() { return next(Kind::kMap); }      // how many pairs of items follow
  std::optional<ByteView> bytes() { return next(Kind::kBytes) ? std::optional(content_) : std::nullopt; }
  std::optional<std::string_view> text() {
    return next(Kind::kText) ? std::optional(base::as_text(content_)) : std::nullopt;
  }

 private:
  enum class Kind { kNone, kNumber, kTag, kArray, kMap, kBytes, kText };
  std::optional<std::uint64_t> next(Kind wanted);

  struct Callbacks;
  ByteView rest_, content_;
  Kind kind_ = Kind::kNone;
  std::uint64_t value_ = 0;
};

}  // namespace enclayer::attestation
