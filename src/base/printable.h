// SPDX-License-Identifier: Apache-2.0
// Text from outside as it may be shown to people: in a log line, an error, a gRPC status.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

namespace enclayer::base {

// At most `most` bytes of it, with '?' for everything that is not printable ASCII.
inline std::string printable(std::string_view text, std::size_t most) {
  std::string out(text.substr(0, most));
  std::replace_if(
      out.begin(), out.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return out;
}

// All of it, as it may go to a terminal: UTF-8, line feeds and tabs stay, every control character and every byte that is
// no UTF-8 becomes '?'. What a cluster, a program or a file says must not move the cursor or set the window's title.
inline std::string for_terminal(std::string_view text) {
  std::string out(text);
  for (std::size_t i = 0; i < out.size();) {
    const auto first = static_cast<unsigned char>(out[i]);
    const std::size_t length = first < 0x80 ? 1 : first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
    bool good = first < 0x80 ? (first >= 0x20 && first != 0x7F) || first == '\n' || first == '\t'
                             : first >= 0xC2 && first < 0xF5 && i + length <= out.size();
    for (std::size_t j = 1; good && j < length; ++j) good = (static_cast<unsigned char>(out[i + j]) & 0xC0) == 0x80;
    // C1 controls; then what is longer than it need be, half of a pair of UTF-16, beyond U+10FFFF (RFC 3629, section 4).
    const unsigned second = good && length > 1 ? static_cast<unsigned char>(out[i + 1]) : 0;
    if (good && first == 0xC2) good = second >= 0xA0;
    if (good && first == 0xE0) good = second >= 0xA0;
    if (good && first == 0xED) good = second < 0xA0;
    if (good && first == 0xF0) good = second >= 0x90;
    if (good && first == 0xF4) good = second < 0x90;
    if (!good) out[i] = '?';
    i += good ? length : 1;
  }
  return out;
}

}  // namespace enclayer::base
