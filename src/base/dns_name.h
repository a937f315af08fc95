// SPDX-License-Identifier: Apache-2.0
// Names as Kubernetes gives them to most objects.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string_view>

namespace enclayer::base {

// Characters a-z, 0-9, '-' and '.', first and last a letter or digit, at most `most` of them (RFC 1123 has 253): what may
// become part of a path or URL as it is.
inline bool is_dns_name(std::string_view text, std::size_t most = 253) {
  auto alphanumeric = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  return !text.empty() && text.size() <= most && alphanumeric(text.front()) && alphanumeric(text.back()) &&
         std::all_of(text.begin(), text.end(), [&](char c) { return alphanumeric(c) || c == '-' || c == '.'; });
}

}  // namespace enclayer::base
