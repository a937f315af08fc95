// SPDX-License-Identifier: Apache-2.0
// A frame of the AESM socket: its length in front, 4 bytes, little endian.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/bytes.h"

namespace enclayer::fake {

inline Bytes framed(ByteView content) {
  Bytes frame(4);
  base::store_le32(frame.data(), static_cast<std::uint32_t>(content.size()));
  base::append(frame, content);
  return frame;
}

inline Bytes framed(std::string_view content) { return framed(base::as_bytes(content)); }

}  // namespace enclayer::fake
