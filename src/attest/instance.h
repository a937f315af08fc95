// SPDX-License-Identifier: Apache-2.0
// What one instance of the service is, for all of its doors.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "enclayer/error.h"
#include "enclayer/time.h"

namespace enclayer::attest {

struct Instance {
  // A URL without a slash at its end. That of a simulated instance has "simulated" in it, that of another has not, so
  // that no relying party takes one for the other.
  std::string issuer;
  bool simulated = false;
  std::chrono::seconds token_life{600};
  std::vector<std::string> audiences;  // that door R makes tokens for
  bool legacy_claims = false;          // Azure's deprecated names beside the new ones
  bool demand_nonce = false;           // door R takes no evidence without one of our nonces in it
  bool subject_is_mrenclave = false;   // `sub` of door R: MRENCLAVE, not MRSIGNER and product
};

// kInvalidArgument: the issuer is no https URL (http on loopback will do), or its name says otherwise than `simulated`.
Result<> check(const Instance& instance);

// Of answers with status 503: a fetch of collateral takes a second or two.
inline constexpr auto kRetryAfter = "5";  // seconds

// Of tokens: how much earlier than now they begin to be valid, for clients whose clocks are behind.
inline constexpr std::chrono::seconds kBackdated{60};

}  // namespace enclayer::attest
