// A text as the parser of the kubelet's checkpoint reads it.
#pragma once

#include <algorithm>
#include <cstring>
#include <string_view>

#include "pods/checkpoint.h"

namespace enclayer::fake {

// At most `piece` bytes at a time. The text outlives it.
inline pods::Source in_pieces(std::string_view text, std::size_t piece) {
  return [text, piece, at = std::size_t{0}](std::span<char> into) mutable -> Result<std::size_t> {
    std::size_t size = std::min({piece, into.size(), text.size() - at});
    std::memcpy(into.data(), text.data() + at, size);
    at += size;
    return size;
  };
}

}  // namespace enclayer::fake
