// SPDX-License-Identifier: Apache-2.0
// ECDSA on P-256 with SHA-256: the only signature that DCAP knows.
#pragma once

#include <memory>
#include <optional>

#include "enclayer/bytes.h"

struct ec_key_st;
struct ec_group_st;

namespace enclayer::attestation {

class P256Key {
 public:
  // x || y, 32 bytes each, big endian; nullopt when that is no point of the curve.
  static std::optional<P256Key> from_point(const ByteArray<64>& point);

  // The same key with a table of its multiples: a signature is checked in about half of the time. The table takes some 25
  // ms to make and kTableSize of memory, so it is for keys that sign much and are known not to be a stranger's.
  P256Key with_table() const;
  static constexpr std::size_t kTableSize = 160 << 10;  // bytes, from above

  // Whether r || s (64 bytes, big endian) is this key's signature of SHA-256(message). False for any other length.
  bool signed_this(ByteView message, ByteView r_s) const;
  // The same, where SHA-256(message) is known.
  bool signed_digest(const ByteArray<32>& digest, ByteView r_s) const;
  // The same of a signature in the form of certificates, an ECDSA-Sig-Value in DER.
  bool signed_this_der(ByteView message, ByteView signature) const;

  const ByteArray<64>& point() const { return point_; }

  bool operator==(const P256Key& other) const { return point_ == other.point_; }

 private:
  P256Key(const ByteArray<64>& point, std::shared_ptr<ec_key_st> key) : point_(point), key_(std::move(key)) {}

  ByteArray<64> point_;
  std::shared_ptr<ec_key_st> key_;
  std::shared_ptr<const ec_group_st> table_;  // null without one: the curve with this key for its generator
};

}  // namespace enclayer::attestation
