// SPDX-License-Identifier: Apache-2.0
// Nonces that need no memory: signed and dated, so that any replica with the same key knows one that another gave out.
// One is good for kLife, and any number of times: who must exclude a replay within it compares eat_nonce for himself.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "enclayer/bytes.h"
#include "enclayer/error.h"
#include "enclayer/time.h"

namespace enclayer::attest {

class Nonces {
 public:
  static constexpr std::chrono::seconds kLife{300};
  static constexpr std::chrono::seconds kSkew{60};  // how far another replica's clock may be ahead

  explicit Nonces(const ByteArray<32>& key) : key_(key) {}

  // base64url of seconds since 1970 (8 bytes, big-endian), 16 random bytes, and 16 of HMAC-SHA256 over both: 54 digits.
  std::string make(Time now) const;

  // kMalformed: not one of ours. kTimedOut: too old, or from the future.
  Result<> check(std::string_view nonce, Time now) const;

 private:
  ByteArray<16> mac(ByteView content) const;
  ByteArray<32> key_;
};

}  // namespace enclayer::attest
