// SPDX-License-Identifier: Apache-2.0
// Bytes from outside that break their format, said alike for each of the formats:
//
//   constexpr base::Malformed bad_crl{"CRL: "};
//   if (!whole.done()) return bad_crl("bytes follow after its end");
#pragma once

#include <string>
#include <string_view>

#include "enclayer/error.h"

namespace enclayer::base {

struct Malformed {
  std::string_view prefix;

  Error operator()(std::string_view why) const {
    return {ErrorKind::kMalformed, std::string(prefix) + std::string(why)};
  }
};

inline constexpr Malformed malformed{""};  // where the caller knows what it was reading

}  // namespace enclayer::base
