// SPDX-License-Identifier: Apache-2.0
// RA-TLS certificates around quotes of the simulated platform, whose report data can be chosen: the whole way to a
// trusted verdict, which no certificate around somebody's old quote can go.
#include "enclayer/ra_tls.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/digest.h"
#include "enclayer/evidence.h"
#include "enclayer/policy.h"
#include "enclayer/verifier.h"
#include "fake/ra_tls.h"
#include "sim/enclave.h"
#include "sim/quoting_enclave.h"

namespace enclayer::sim {
namespace {

using fake::RaTlsMaker;
using testing::ElementsAre;

const Time kNow = parse_time("2026-11-21T10:00:00Z").value();

struct Platform {
  Ca ca = make_ca(ca_order(kNow)).value();
  SigningKey key = SigningKey::generate().value();
  std::unique_ptr<QuotingEnclave> qe = QuotingEnclave::make(ca, key).value();
  Collateral collateral = issue_collateral(ca, collateral_order(kNow)).value();
  TrustedRoot root = TrustedRoot::from_pem(ca.root.certificate).value();

  // The quote of an enclave that put this digest and 32 zero bytes into its report.
  Bytes quote(const ByteArray<32>& digest) const {
    ByteArray<64> report_data{};
    std::copy(digest.begin(), digest.end(), report_data.begin());
    return qe->quote(ereport(enclave_body(report_data), qe->target()->qe), std::nullopt)->quote;
  }
};

const Platform& platform() {
  static const Platform kPlatform;
  return kPlatform;
}

Policy simulated_is_good() {
  Policy out;
  out.allow_simulated = true;
  return out;
}

TEST(RaTlsOfTheSimulation, bound_certificates_are_trusted_and_their_key_is_told) {
  for (const char* key : {"P-256", "P-384", "RSA", "ED25519"}) {
    RaTlsMaker maker(key);
    const Bytes claims = fake::claims(maker.public_key(), 7, Bytes(8, 0x11));
    maker.add(fake::kGramineOid, platform().quote(base::sha256(maker.public_key())));
    maker.add(fake::kDiceOid, fake::dice(platform().quote(base::sha256(claims)), claims));
    Verifier verifier;
    for (Verifier* with : {static_cast<Verifier*>(nullptr), &verifier, &verifier}) {
      Verification v = verify_ra_tls(maker.make(), &platform().collateral, platform().root, kNow, with);
      ASSERT_TRUE(v.verified()) << key << v.detail;
      EXPECT_TRUE(judge(v, simulated_is_good()).trusted) << key;
      EXPECT_FALSE(judge(v, Policy{}).trusted) << "it says SIMULATED";
      ASSERT_TRUE(v.attested_key);
      EXPECT_EQ(v.attested_key->sha256, base::sha256(maker.public_key()));
      EXPECT_THAT(v.attested_key->evidence, ElementsAre("gramine", "dice"));
      EXPECT_EQ(v.attested_key->nonce, Bytes(8, 0x11));
    }
  }
}

TEST(RaTlsOfTheSimulation, collateral_that_the_certificate_carries_is_enough) {
  RaTlsMaker maker;
  maker.add(fake::kGramineOid, platform().quote(base::sha256(maker.public_key())));
  maker.add(fake::kEndorsementsOid, fake::endorsements(platform().collateral, false));
  EXPECT_TRUE(verify_ra_tls(maker.make(), nullptr, platform().root, kNow).verified());
  EXPECT_EQ(verify_ra_tls(maker.make(), nullptr, platform().root, kNow + std::chrono::days(40)).reason,
            Reason::kSgxCrlExpired)
      << "it is judged like any other";
  EXPECT_FALSE(verify_ra_tls(maker.make(), nullptr, TrustedRoot::intel(), kNow).verified());
}

TEST(RaTlsOfTheSimulation, end_of_the_certificate_is_an_end_of_the_verdict) {
  RaTlsMaker maker;
  maker.until = "261122000000Z";
  maker.add(fake::kGramineOid, platform().quote(base::sha256(maker.public_key())));
  Verification v = verify_ra_tls(maker.make(), &platform().collateral, platform().root, kNow);
  EXPECT_EQ(v.earliest_expiry, parse_time("2026-11-22T00:00:00Z").value());
}

// A relay: somebody shows a genuine quote of a good enclave in a certificate of their own key.
TEST(RaTlsOfTheSimulation, genuine_quote_does_not_make_another_key_good) {
  RaTlsMaker enclave, thief;
  const Bytes claims = fake::claims(enclave.public_key());
  thief.add(fake::kDiceOid, fake::dice(platform().quote(base::sha256(claims)), claims));
  EXPECT_EQ(verify_ra_tls(thief.make(), &platform().collateral, platform().root, kNow).reason,
            Reason::kRaTlsKeyNotBound);
  // Nor a second quote, of the thief's own enclave, beside it.
  RaTlsMaker both;
  const Bytes own = fake::claims(both.public_key());
  both.add(fake::kGramineOid, platform().quote(base::sha256(both.public_key())));
  both.add(fake::kDiceOid, fake::dice(platform().quote(base::sha256(claims)), own));
  EXPECT_EQ(verify_ra_tls(both.make(), &platform().collateral, platform().root, kNow).reason,
            Reason::kRaTlsKeyNotBound);
}

}  // namespace
}  // namespace enclayer::sim
