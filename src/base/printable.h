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

}  // namespace enclayer::base
