// SPDX-License-Identifier: Apache-2.0
// What one step of verification gives back: a value, or the reason why the quote is refused.
#pragma once

#include <string>
#include <tl/expected.hpp>
#include <utility>

#include "enclayer/verify.h"

namespace enclayer::attestation {

struct Refusal {
  Reason reason;
  std::string detail;  // for people
};

// Result's sibling: ENCLAYER_TRY and ENCLAYER_CHECK work with it.
template <class T = void>
class [[nodiscard]] Checked : public tl::expected<T, Refusal> {
 public:
  using tl::expected<T, Refusal>::expected;
  Checked(Refusal refusal)
      : tl::expected<T, Refusal>(tl::unexpected<Refusal>(std::move(refusal))) {}  // NOLINT: meant to
};

}  // namespace enclayer::attestation
