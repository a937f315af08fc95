// SPDX-License-Identifier: Apache-2.0
#include "attestation/p256.h"

#define OPENSSL_SUPPRESS_DEPRECATED  // as p256.cc
#include <gtest/gtest.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/obj_mac.h>

#include "attestation/openssl.h"
#include "base/bytes.h"
#include "base/digest.h"
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

TEST(P256Key, table_changes_no_answer) {
  auto plain = P256Key::from_point(point());
  P256Key table = plain->with_table();
  EXPECT_EQ(table, *plain);
  Bytes good = *base::from_hex(kSignature);
  EXPECT_TRUE(table.signed_this(base::as_bytes("sample"), good));
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
    Bytes changed = good;
    changed[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
    EXPECT_FALSE(table.signed_this(base::as_bytes("sample"), changed)) << bit;
  }
  // Numbers of 0, of the order and beyond; n is the order (SEC 2, 2.4.2).
  const Bytes zero(32, 0), n = *base::from_hex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551"),
                           beyond(32, 0xff), r(good.begin(), good.begin() + 32), s(good.begin() + 32, good.end());
  auto joined = [](const Bytes& a, const Bytes& b) {
    Bytes out = a;
    out.insert(out.end(), b.begin(), b.end());
    return out;
  };
  for (const Bytes& bad : {zero, n, beyond})
    for (const Bytes& signature : {joined(bad, s), joined(r, bad), joined(bad, bad)})
      EXPECT_FALSE(table.signed_this(base::as_bytes("sample"), signature));
  // The sum is the point at infinity: Q is the generator, u1 = e / s, u2 = r / s, r = -e.
  auto generator = P256Key::from_point(base::array_at<64>(
      *base::from_hex(
          "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c2964fe342e2fe1a7f9b8ee7eb4a7c0f9e162b"
          "ce33576b315ececbb6406837bf51f5"),
      0));
  ByteArray<32> one{}, minus_one = base::array_at<32>(n, 0);
  one[31] = 1;
  --minus_one[31];
  const Bytes r_s = joined(Bytes(minus_one.begin(), minus_one.end()), Bytes(one.begin(), one.end()));
  EXPECT_FALSE(generator->signed_digest(one, r_s));
  EXPECT_FALSE(generator->with_table().signed_digest(one, r_s));
}

// Digests and signatures at random of keys at random, as ECDSA verifies them with and without the table.
TEST(P256Key, table_agrees_with_openssl_for_signatures_at_random) {
  OpensslPtr<EC_KEY, EC_KEY_free> key(EC_KEY_new_by_curve_name(NID_X9_62_prime256v1));
  for (int keys = 0; keys < 3; ++keys) {
    ASSERT_EQ(EC_KEY_generate_key(key.get()), 1);
    unsigned char encoded[65];
    ASSERT_EQ(EC_POINT_point2oct(EC_KEY_get0_group(key.get()), EC_KEY_get0_public_key(key.get()),
                                 POINT_CONVERSION_UNCOMPRESSED, encoded, sizeof encoded, nullptr),
              sizeof encoded);
    P256Key table = P256Key::from_point(base::array_at<64>(encoded, 1))->with_table();
    for (int i = 0; i < 300; ++i) {
      std::uint32_t number = static_cast<std::uint32_t>(i);
      ByteArray<4> bytes{};
      base::store_le32(bytes.data(), number);
      ByteArray<32> digest = base::sha256(bytes);
      OpensslPtr<ECDSA_SIG, ECDSA_SIG_free> made(ECDSA_do_sign(digest.data(), digest.size(), key.get()));
      ASSERT_TRUE(made);
      Bytes r_s(64);
      BN_bn2binpad(ECDSA_SIG_get0_r(made.get()), r_s.data(), 32);
      BN_bn2binpad(ECDSA_SIG_get0_s(made.get()), r_s.data() + 32, 32);
      ASSERT_TRUE(table.signed_digest(digest, r_s));
      digest[number % 32] ^= 1;
      ASSERT_FALSE(table.signed_digest(digest, r_s));
    }
  }
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
