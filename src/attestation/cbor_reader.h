// SPDX-License-Identifier: Apache-2.0
// CBOR (RFC 8949), item by item, where it lies: nothing is allocated, and a length is only believed as far as there are
// bytes. Reading a known structure this way has the depth of that structure.
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
  // ("indefinite"), and nothing more can be read. A number may be written longer than it has to be.
  std::optional<std::uint64_t> number() { return argument(kNumber); }  // 0 or more
  std::optional<std::uint64_t> tag() { return argument(kTag); }
  std::optional<std::uint64_t> array() { return argument(kArray); }  // how many items follow
  std::optional<std::uint64_t> map() { return argument(kMap); }      // how many pairs of items follow
  std::optional<ByteView> bytes() { return content(kBytes); }
  std::optional<std::string_view> text() {
    auto found = content(kText);
    return found ? std::optional(base::as_text(*found)) : std::nullopt;
  }

 private:
  enum MajorType { kNumber = 0, kBytes = 2, kText = 3, kArray = 4, kMap = 5, kTag = 6 };  // section 3.1

  std::optional<std::uint64_t> argument(MajorType wanted);
  std::optional<ByteView> content(MajorType wanted);

  ByteView rest_;
};

}  // namespace enclayer::attestation
