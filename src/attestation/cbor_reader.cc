// SPDX-License-Identifier: Apache-2.0
#include "attestation/cbor_reader.h"

#include <utility>

namespace enclayer::attestation {

// Section 3: three bits are the major type, the other five the argument itself, up to 23, or say with 24 to 27 that it
// is in the 1, 2, 4 or 8 bytes that follow, the greatest first.
std::optional<std::uint64_t> CborReader::argument(MajorType wanted) {
  const ByteView here = std::exchange(rest_, {});
  if (here.empty() || here[0] >> 5 != wanted) return std::nullopt;
  const unsigned low = here[0] & 0x1fu;
  if (low > 27) return std::nullopt;
  const std::size_t size = low < 24 ? 0 : std::size_t{1} << (low - 24);
  if (here.size() - 1 < size) return std::nullopt;
  std::uint64_t value = size == 0 ? low : 0;
  for (std::uint8_t byte : here.subspan(1, size)) value = value << 8 | byte;
  rest_ = here.subspan(1 + size);
  return value;
}

std::optional<ByteView> CborReader::content(MajorType wanted) {
  const auto size = argument(wanted);
  const ByteView here = std::exchange(rest_, {});
  if (!size || *size > here.size()) return std::nullopt;
  rest_ = here.subspan(static_cast<std::size_t>(*size));
  return here.first(static_cast<std::size_t>(*size));
}

}  // namespace enclayer::attestation
