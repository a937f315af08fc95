// SPDX-License-Identifier: Apache-2.0
#include "attest/nonces.h"

#include <gtest/gtest.h>

namespace enclayer::attest {
namespace {

const Time kNow = parse_time("2026-11-29T12:00:00Z").value();

TEST(Nonces, are_known_to_every_holder_of_the_key_for_their_life) {
  const std::string nonce = Nonces(ByteArray<32>{1}).make(kNow);
  EXPECT_EQ(nonce.size(), 54u);
  for (const auto later : {std::chrono::seconds(0), Nonces::kLife, -Nonces::kSkew})
    EXPECT_TRUE(Nonces(ByteArray<32>{1}).check(nonce, kNow + later));
  for (const auto later : {Nonces::kLife + std::chrono::seconds(1), -Nonces::kSkew - std::chrono::seconds(1)})
    EXPECT_EQ(Nonces(ByteArray<32>{1}).check(nonce, kNow + later).error().kind(), ErrorKind::kTimedOut);
  EXPECT_EQ(Nonces(ByteArray<32>{2}).check(nonce, kNow).error().kind(), ErrorKind::kMalformed);
}

TEST(Nonces, differ_and_with_any_character_changed_are_none) {
  const Nonces nonces(ByteArray<32>{1});
  const std::string nonce = nonces.make(kNow);
  EXPECT_NE(nonce, nonces.make(kNow));
  for (std::size_t at = 0; at < nonce.size(); ++at) {
    std::string other = nonce;
    other[at] = other[at] == 'A' ? 'B' : 'A';
    EXPECT_FALSE(nonces.check(other, kNow)) << at;
  }
  EXPECT_FALSE(nonces.check("", kNow));
  EXPECT_FALSE(nonces.check(nonce + "A", kNow));
}

}  // namespace
}  // namespace enclayer::attest
