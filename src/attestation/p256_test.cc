// SPDX-License-Identifier: Apache-2.0
#include "attestation/p256.h"

#include <gtest/gtest.h>

#include "base/bytes.h"
#include "base/hex.h"

namespace enclayer::attestation {
namespace {

// RFC 6979, A.2.5: P-256, SHA-256, message "sample".
constexpr char kPoint[] =
    "60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb67903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177"
    "a3c294d4462299";
constexpr char kSignature[] =
    "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064d"
    "c4ab2f843acda8";

ByteArray<64> point() { return base::array_at<64>(*base::from_hex(kPoint), 0); }

TEST(P256Key, signature_of_the_rfc_is_good_and_no_other) {
  auto key = P256Key::from_point(point());
  ASSERT_TRUE(key);
  Bytes signature = *base::from_hex(kSignature);
  EXPECT_TRUE(key->signed_this(base::as_bytes("sample"), signature));
  EXPECT_FALSE(key->signed_this(base::as_bytes("Sample"), signature));
  for (std::size_t i = 0; i < signature.size(); ++i) {
    Bytes changed = signature;
    changed[i] ^= 1;
    EXPECT_FALSE(key->signed_this(base::as_bytes("sample"), changed)) << i;
  }
}

TEST(P256Key, signature_of_another_length_or_of_zeros_is_bad) {
  auto key = P256Key::from_point(point());
  Bytes signature = *base::from_hex(kSignature);
  EXPECT_FALSE(key->signed_this(base::as_bytes("sample"), {}));
  EXPECT_FALSE(key->signed_this(base::as_bytes("sample"), ByteView(signature).first(63)));
  signature.push_back(0);
  EXPECT_FALSE(key->signed_this(base::as_bytes("sample"), signature));
  EXPECT_FALSE(key->signed_this(base::as_bytes("sample"), Bytes(64, 0)));
  EXPECT_FALSE(key->signed_this(base::as_bytes("sample"), Bytes(64, 0xff)));
}

TEST(P256Key, only_points_of_the_curve_are_keys) {
  ByteArray<64> off = point();
  off[63] ^= 1;
  EXPECT_FALSE(P256Key::from_point(off));
  EXPECT_FALSE(P256Key::from_point({}));
  off.fill(0xff);
  EXPECT_FALSE(P256Key::from_point(off));
}

}  // namespace
}  // namespace enclayer::attestation
