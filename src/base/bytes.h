// SPDX-License-Identifier: Apache-2.0
// Little-endian numbers in byte strings, and a reader that cannot run past the end.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>

#include "enclayer/bytes.h"

namespace enclayer::base {

inline std::uint16_t load_le16(const std::uint8_t* p) { return static_cast<std::uint16_t>(p[0] | p[1] << 8); }
inline std::uint32_t load_le32(const std::uint8_t* p) {
  return std::uint32_t{load_le16(p)} | std::uint32_t{load_le16(p + 2)} << 16;
}
inline std::uint64_t load_le64(const std::uint8_t* p) {
  return std::uint64_t{load_le32(p)} | std::uint64_t{load_le32(p + 4)} << 32;
}
inline void store_le16(std::uint8_t* p, std::uint16_t v) {
  p[0] = static_cast<std::uint8_t>(v);
  p[1] = static_cast<std::uint8_t>(v >> 8);
}
inline void store_le32(std::uint8_t* p, std::uint32_t v) {
  store_le16(p, static_cast<std::uint16_t>(v));
  store_le16(p + 2, static_cast<std::uint16_t>(v >> 16));
}
inline void store_le64(std::uint8_t* p, std::uint64_t v) {
  store_le32(p, static_cast<std::uint32_t>(v));
  store_le32(p + 4, static_cast<std::uint32_t>(v >> 32));
}

inline Bytes copy_of(ByteView bytes) { return Bytes(bytes.begin(), bytes.end()); }

// The N bytes at `offset`; the caller has checked that they are there.
template <std::size_t N>
ByteArray<N> array_at(ByteView bytes, std::size_t offset) {
  ByteArray<N> out{};
  std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(offset), N, out.begin());
  return out;
}

inline void append(Bytes& out, ByteView more) { out.insert(out.end(), more.begin(), more.end()); }

inline ByteView as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}
inline std::string_view as_text(ByteView bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

// Reads a byte string from front to back. A read that does not fit gives nullopt and moves nothing.
class ByteReader {
 public:
  explicit ByteReader(ByteView bytes) : rest_(bytes) {}

  std::size_t remaining() const { return rest_.size(); }
  ByteView rest() const { return rest_; }

  std::optional<ByteView> take(std::size_t n) {
    if (n > rest_.size()) return std::nullopt;
    ByteView out = rest_.first(n);
    rest_ = rest_.subspan(n);
    return out;
  }
  std::optional<std::uint16_t> le16() {
    auto b = take(2);
    return b ? std::optional(load_le16(b->data())) : std::nullopt;
  }
  std::optional<std::uint32_t> le32() {
    auto b = take(4);
    return b ? std::optional(load_le32(b->data())) : std::nullopt;
  }
  std::optional<std::uint64_t> le64() {
    auto b = take(8);
    return b ? std::optional(load_le64(b->data())) : std::nullopt;
  }

 private:
  ByteView rest_;
};

}  // namespace enclayer::base
