// SPDX-License-Identifier: Apache-2.0
#include "attestation/pem.h"

#include <gtest/gtest.h>

#include <numeric>

namespace enclayer::attestation {
namespace {

std::string block(const std::string& base64) {
  return "-----BEGIN CERTIFICATE-----\n" + base64 + "\n-----END CERTIFICATE-----\n";
}

TEST(Pem, blocks_come_out_in_order_with_whitespace_between_and_nuls_at_the_end) {
  auto out = certificates_in_pem(" \n" + block("YWJj") + "\r\n\t" + block("YW\nI=") + std::string("\0\n\0", 3));
  ASSERT_TRUE(out) << out.error().message();
  EXPECT_EQ(*out, (std::vector<Bytes>{{'a', 'b', 'c'}, {'a', 'b'}}));
}

TEST(Pem, empty_text_has_no_certificates) {
  EXPECT_TRUE(certificates_in_pem("")->empty());
  EXPECT_TRUE(certificates_in_pem(std::string_view("\n\0", 2))->empty());
}

TEST(Pem, anything_but_certificates_is_refused) {
  for (const std::string& text :
       {"junk" + block("YWJj"), block("YWJj") + "junk", block("YWJj") + "junk" + block("YWJj"),
        std::string(1, '\0') + block("YWJj"), block("YWJj") + std::string(1, '\0') + block("YWJj"),
        std::string("-----BEGIN CERTIFICATE-----\nYWJj\n"), std::string("-----BEGIN CERTIFICATE-----"),
        std::string("-----BEGIN PRIVATE KEY-----\nYWJj\n-----END PRIVATE KEY-----\n"),
        std::string("-----END CERTIFICATE-----\n")})
    EXPECT_FALSE(certificates_in_pem(text)) << text;
}

TEST(Pem, base64_has_one_way_to_be_written) {
  for (const char* text :
       {"YWJ", "YWJj=", "YW=I", "YWI", "YWJ=", "YX==", "Y===", "====", "YWJj!", "YWJ\x80", "YWJj-_=="})
    EXPECT_FALSE(certificates_in_pem(block(text))) << text;
  EXPECT_TRUE(certificates_in_pem(block("YQ==")));
}

TEST(Pem, lines_may_end_anywhere) {
  const std::string base64 = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGw==";
  Bytes wanted(28);
  std::iota(wanted.begin(), wanted.end(), std::uint8_t{0});
  for (std::size_t length = 1; length <= base64.size(); ++length) {
    std::string lines;
    for (std::size_t at = 0; at < base64.size(); at += length) lines += base64.substr(at, length) + "\r\n";
    auto out = certificates_in_pem(block(lines));
    ASSERT_TRUE(out) << length << ": " << out.error().message();
    EXPECT_EQ(out->front(), wanted) << length;
    for (std::size_t at = 0; at < base64.size(); ++at) {
      std::string changed = base64;
      changed[at] = '-';
      EXPECT_FALSE(certificates_in_pem(block(changed))) << at;
    }
  }
}

TEST(Pem, too_many_certificates_and_too_long_a_text_are_refused) {
  std::string eight;
  for (std::size_t i = 0; i < kMaxPemCertificates; ++i) eight += block("YWJj");
  EXPECT_EQ(certificates_in_pem(eight)->size(), kMaxPemCertificates);
  EXPECT_FALSE(certificates_in_pem(eight + block("YWJj")));
  EXPECT_FALSE(certificates_in_pem(std::string(kMaxPemSize + 1, '\n')));
}

}  // namespace
}  // namespace enclayer::attestation
