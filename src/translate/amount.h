// SPDX-License-Identifier: Apache-2.0
// Kubernetes' quantities (apimachinery/pkg/api/resource), as far as amounts of EPC go.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace enclayer::translate {

struct Amount {
  std::int64_t value;
  std::string text;  // as the API server writes it: 1536Mi for 1.5Gi, 1M for 1000000
  bool binary;       // written with Ki, Mi, ...

  bool operator==(const Amount& other) const { return value == other.value; }
};

// Whole numbers that CEL's quantity() counts, too: nullopt for fractions, for more than about 99Ti under a binary
// suffix, and for what is no quantity.
std::optional<Amount> parse_amount(std::string_view text);

}  // namespace enclayer::translate
