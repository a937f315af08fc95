// SPDX-License-Identifier: Apache-2.0
#include "sim/signing_key.h"

#include <gtest/gtest.h>

#include <thread>

#include "attestation/p256.h"
#include "base/bytes.h"

namespace enclayer::sim {
namespace {

using attestation::P256Key;

TEST(SigningKey, signatures_verify_with_the_public_key) {
  auto key = SigningKey::generate().value();
  auto verifier = P256Key::from_point(key.public_key());
  ASSERT_TRUE(verifier);
  // r and s are numbers of differing length; 64 signatures meet leading zeros with some luck, and every one has to
  // verify.
  for (int i = 0; i < 64; ++i) {
    std::string message = "message " + std::to_string(i);
    auto signature = key.sign(base::as_bytes(message)).value();
    EXPECT_TRUE(verifier->signed_this(base::as_bytes(message), signature));
    signature[10] ^= 1;
    EXPECT_FALSE(verifier->signed_this(base::as_bytes(message), signature));
  }
}

TEST(SigningKey, pem_goes_round) {
  auto key = SigningKey::generate().value();
  std::string pem = key.to_pem().value();
  EXPECT_EQ(pem.substr(0, 28), "-----BEGIN PRIVATE KEY-----\n");
  EXPECT_EQ(SigningKey::from_pem(pem)->public_key(), key.public_key());
}

TEST(SigningKey, what_is_no_whole_p256_key_is_malformed) {
  std::string pem = SigningKey::generate()->to_pem().value();
  for (std::size_t size = 0; size < pem.size() - 2; size += 7) {
    auto read = SigningKey::from_pem(pem.substr(0, size));
    ASSERT_FALSE(read) << size;
    EXPECT_EQ(read.error().kind(), ErrorKind::kMalformed);
  }
  std::string encrypted =
      "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIHjME4GCSqGSIb3DQEFDTBBMCkGCSqGSIb3DQEFDDAcBAg=\n-----END ENCRYPTED "
      "PRIVATE "
      "KEY-----\n";
  EXPECT_FALSE(SigningKey::from_pem(encrypted));
  std::string p384 =
      "-----BEGIN PRIVATE KEY-----\n"
      "MIG2AgEAMBAGByqGSM49AgEGBSuBBAAiBIGeMIGbAgEBBDCGvv9RLTkTaTzYiVJo\n"
      "-----END PRIVATE KEY-----\n";
  EXPECT_FALSE(SigningKey::from_pem(p384));
}

TEST(SigningKey, private_part_that_does_not_fit_the_public_one_is_found) {
  std::string pem = SigningKey::generate()->to_pem().value();
  // The private number begins 36 bytes into the DER: base64 digit 48 and the following ones of the body.
  std::size_t digit = pem.find('\n') + 1 + 52;
  pem[digit] = pem[digit] == 'A' ? 'B' : 'A';
  auto read = SigningKey::from_pem(pem);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().message(), "the private and the public part of the key do not fit together");
}

TEST(SigningKey, several_threads_sign_at_once) {
  auto key = SigningKey::generate().value();
  auto verifier = P256Key::from_point(key.public_key()).value();
  auto sign = [&] {
    for (int i = 0; i < 50; ++i) {
      auto signature = key.sign(base::as_bytes("message"));
      EXPECT_TRUE(signature && verifier.signed_this(base::as_bytes("message"), *signature));
    }
  };
  std::thread first(sign), second(sign);
  first.join();
  second.join();
}

}  // namespace
}  // namespace enclayer::sim
