// SPDX-License-Identifier: Apache-2.0
// What a Verifier remembers, when a certificate authority changes its mind: another revocation list, another root,
// other TCB levels. verifier_test.cc has what needs no authority.
#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <functional>
#include <memory>

#include "enclayer/verifier.h"
#include "fake/same_verification.h"
#include "sim/ca.h"
#include "sim/enclave.h"
#include "sim/quoting_enclave.h"

namespace enclayer::sim {
namespace {

using fake::expect_same;

const Time kNow = parse_time("2026-11-21T10:00:00Z").value();

struct Platform {
  CaOrder order = ca_order(kNow);
  Ca ca = make_ca(order).value();
  TrustedRoot root = TrustedRoot::from_pem(ca.root.certificate).value();
  std::unique_ptr<QuotingEnclave> qe = QuotingEnclave::make(ca, SigningKey::generate().value()).value();

  Bytes quote(std::uint8_t data = 0) const {
    ByteArray<64> report_data{data};
    return qe->quote(ereport(enclave_body(report_data), qe->target()->qe), std::nullopt)->quote;
  }
  Collateral collateral(const std::function<void(CollateralOrder&)>& change = {}) const {
    CollateralOrder wish = collateral_order(kNow);
    if (change) change(wish);
    return issue_collateral(ca, wish).value();
  }
};

class VerifierOfAPlatform : public testing::Test {
 protected:
  VerifierOfAPlatform() { EXPECT_EQ(reason(collateral_), Reason::kOk); }

  Verification judge(const Collateral& collateral, const TrustedRoot& root, Time at = kNow) {
    Verification v = verifier_.verify(quote_, collateral, root, at);
    expect_same(v, verify(quote_, collateral, root, at));
    return v;
  }
  Reason reason(const Collateral& collateral) { return judge(collateral, platform_.root).reason; }

  Platform platform_;
  Bytes quote_ = platform_.quote();
  Collateral collateral_ = platform_.collateral();
  Verifier verifier_;
};

TEST_F(VerifierOfAPlatform, another_revocation_list_revokes_what_was_good_and_only_while_it_is_given) {
  auto with = [&](CrlOrder CollateralOrder::*list, const Serial& serial) {
    return platform_.collateral([&](CollateralOrder& wish) { (wish.*list).revoked = {serial}; });
  };
  const CaOrder& order = platform_.order;
  EXPECT_EQ(reason(with(&CollateralOrder::pck_crl, order.pck.serial)), Reason::kSgxPckRevoked);
  EXPECT_EQ(reason(with(&CollateralOrder::root_crl, order.pck_ca.serial)), Reason::kSgxIntermediateCaRevoked);
  EXPECT_EQ(reason(with(&CollateralOrder::root_crl, order.tcb_signing.serial)), Reason::kSgxTcbSigningCertRevoked);
  EXPECT_EQ(reason(with(&CollateralOrder::pck_crl, order.pck_ca.serial)), Reason::kOk) << "another serial";
  EXPECT_EQ(reason(collateral_), Reason::kOk);
}

TEST_F(VerifierOfAPlatform, another_certificate_of_the_ca_in_the_crl_issuer_chain_can_be_revoked_too) {
  CertificateOrder again = platform_.order.pck_ca;
  again.serial = random_serial();
  auto collateral = platform_.collateral([&](CollateralOrder& wish) { wish.root_crl.revoked = {again.serial}; });
  EXPECT_EQ(reason(collateral), Reason::kOk);
  collateral.pck_crl_issuer_chain =
      issue_certificate(again, platform_.ca.pck_ca.key, &platform_.ca.root).value() + platform_.ca.root.certificate;
  EXPECT_EQ(reason(collateral), Reason::kSgxIntermediateCaRevoked);
}

TEST_F(VerifierOfAPlatform, another_root_refuses_what_was_good) {
  Platform other;
  EXPECT_EQ(judge(collateral_, other.root).reason, Reason::kSgxPckCertChainUntrusted);
  EXPECT_EQ(judge(collateral_, TrustedRoot::intel()).reason, Reason::kSgxPckCertChainUntrusted);
  EXPECT_EQ(reason(collateral_), Reason::kOk);
  // Its own evidence is judged beside, not mixed in.
  EXPECT_EQ(verifier_.verify(other.quote(), other.collateral(), other.root, kNow).reason, Reason::kOk);
  EXPECT_EQ(judge(other.collateral(), platform_.root).reason,
            verify(quote_, other.collateral(), platform_.root, kNow).reason);
  EXPECT_EQ(reason(collateral_), Reason::kOk);
}

TEST_F(VerifierOfAPlatform, other_tcb_levels_change_the_status_at_once) {
  auto status = [&](const char* platform, const char* qe) {
    return judge(platform_.collateral([&](CollateralOrder& wish) {
             wish.tcb_levels[0].status = platform;
             wish.qe_levels[0].status = qe;
           }),
                 platform_.root)
        .tcb_status;
  };
  EXPECT_EQ(status("OutOfDate", "UpToDate"), TcbStatus::kOutOfDate);
  EXPECT_EQ(status("UpToDate", "Revoked"), TcbStatus::kRevoked);
  EXPECT_EQ(status("UpToDate", "UpToDate"), TcbStatus::kUpToDate);
}

TEST_F(VerifierOfAPlatform, each_part_of_the_evidence_expires_by_itself) {
  using std::chrono::days;
  using std::chrono::seconds;
  auto expires = [&](const std::function<void(CollateralOrder&)>& change) {
    Collateral collateral = platform_.collateral(change);
    EXPECT_EQ(judge(collateral, platform_.root).earliest_expiry, kNow + days(1));
    EXPECT_TRUE(judge(collateral, platform_.root, kNow + days(1)).verified());
    EXPECT_FALSE(judge(collateral, platform_.root, kNow + days(1) + seconds(1)).verified());
  };
  expires([](CollateralOrder& wish) { wish.expires = kNow + days(1); });
  expires([](CollateralOrder& wish) { wish.root_crl.next_update = kNow + days(1); });
  expires([](CollateralOrder& wish) { wish.pck_crl.next_update = kNow + days(1); });
}

TEST(VerifierOfManyPlatforms, keeps_within_its_capacity_and_serves_on) {
  constexpr std::size_t kCapacity = 256 << 10;
  Verifier verifier(kCapacity);
  Platform first;
  Bytes quote = first.quote();
  Collateral collateral = first.collateral();
  std::size_t most = 0;
  for (int i = 0; i < 40; ++i) {
    Platform other;
    EXPECT_EQ(verifier.verify(other.quote(), other.collateral(), other.root, kNow).reason, Reason::kOk);
    EXPECT_EQ(verifier.verify(quote, collateral, first.root, kNow).reason, Reason::kOk);
    EXPECT_LE(verifier.remembered(), kCapacity);
    most = std::max(most, verifier.remembered());
  }
  EXPECT_GT(most, kCapacity / 2) << "the stream was long enough to fill it";
}

TEST(VerifierOfManyPlatforms, does_not_remember_what_strangers_made) {
  Verifier verifier;
  Platform first;
  EXPECT_EQ(verifier.verify(first.quote(), first.collateral(), first.root, kNow).reason, Reason::kOk);
  std::size_t before = verifier.remembered();
  for (int i = 0; i < 10; ++i) {
    Platform stranger;
    EXPECT_FALSE(verifier.verify(stranger.quote(), stranger.collateral(), first.root, kNow).verified());
    EXPECT_FALSE(verifier.verify(stranger.quote(), first.collateral(), first.root, kNow).verified());
  }
  EXPECT_EQ(verifier.remembered(), before);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // they have allocators of their own
TEST(VerifierOfManyPlatforms, its_count_of_bytes_is_an_estimate_from_above) {
  std::vector<Platform> platforms(20);
  std::vector<std::pair<Bytes, Collateral>> evidence;
  for (const Platform& p : platforms) {
    evidence.emplace_back(p.quote(), p.collateral([](CollateralOrder& wish) {
      wish.pck_crl.revoked.assign(100, {});
      for (Serial& serial : wish.pck_crl.revoked) serial = random_serial();
    }));
  }
  EXPECT_TRUE(verify(evidence[0].first, evidence[0].second, platforms[0].root, kNow).verified());
  Verifier verifier;
  std::size_t before = mallinfo2().uordblks;
  for (std::size_t i = 0; i < platforms.size(); ++i)
    EXPECT_TRUE(verifier.verify(evidence[i].first, evidence[i].second, platforms[i].root, kNow).verified());
  std::size_t taken = mallinfo2().uordblks - before;
  EXPECT_LE(taken, verifier.remembered());
  EXPECT_GT(taken, verifier.remembered() / 4) << "not much too high either";
}
#endif

}  // namespace
}  // namespace enclayer::sim
