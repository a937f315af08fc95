// SPDX-License-Identifier: Apache-2.0
// What the simulation issues, judged by the verifier: the honest order verifies, and each order with one thing wrong is
// refused for that very thing.
#include "sim/ca.h"

#include <gtest/gtest.h>

#include "enclayer/policy.h"
#include "enclayer/verify.h"
#include "fake/print_reason.h"
#include "sim/enclave.h"
#include "sim/quoting_enclave.h"

namespace enclayer::sim {
namespace {

using std::chrono::days;
using std::chrono::seconds;

const Time kNow = parse_time("2026-11-21T10:00:00Z").value();

class SimCaTest : public testing::Test {
 protected:
  Reason reason() {
    auto got = verification();
    detail_ = got.detail;
    return got.reason;
  }

  Verification verification(Time at = kNow) {
    Ca ca = make_ca(ca_order_).value();
    auto qe = QuotingEnclave::make(ca, SigningKey::generate().value(), qe_body_).value();
    auto report = ereport(enclave_body({}), qe->target()->qe);
    Bytes quote = qe->quote(report, std::nullopt)->quote;
    root_pem_ = ca.root.certificate;
    return verify(quote, issue_collateral(ca, order_).value(), TrustedRoot::from_pem(root_pem_).value(), at);
  }

  // What the tests change.
  CaOrder ca_order_ = ca_order(kNow);
  CollateralOrder order_ = collateral_order(kNow);
  ReportBody qe_body_ = qe_body();

  std::string root_pem_, detail_;
};

TEST_F(SimCaTest, honest_quote_verifies_up_to_date_and_is_known_as_simulated) {
  Verification got = verification();
  EXPECT_EQ(got.reason, Reason::kOk) << got.detail;
  EXPECT_EQ(got.tcb_status, TcbStatus::kUpToDate);
  EXPECT_TRUE(got.simulated);
  EXPECT_TRUE(got.custom_root);
  EXPECT_EQ(got.fmspc, kFmspc);
  EXPECT_TRUE(judge(got, {.allow_simulated = true}).trusted);
  EXPECT_EQ(judge(got, {}).reason, Reason::kSimulatedPlatform);
}

TEST_F(SimCaTest, honest_quote_is_refused_under_intels_root_and_under_another_simulations) {
  Ca ca = make_ca(ca_order_).value(), other = make_ca(ca_order_).value();
  auto qe = QuotingEnclave::make(ca, SigningKey::generate().value()).value();
  Bytes quote = qe->quote(ereport(enclave_body({}), qe->target()->qe), std::nullopt)->quote;
  Collateral collateral = issue_collateral(ca, order_).value();
  EXPECT_FALSE(verify(quote, collateral, TrustedRoot::intel(), kNow).verified());
  EXPECT_FALSE(verify(quote, collateral, TrustedRoot::from_pem(other.root.certificate).value(), kNow).verified());
  EXPECT_TRUE(verify(quote, collateral, TrustedRoot::from_pem(ca.root.certificate).value(), kNow).verified());
}

TEST_F(SimCaTest, collateral_lives_for_thirty_days_and_not_longer) {
  EXPECT_TRUE(verification(kNow - kClockSkew).verified());
  EXPECT_TRUE(verification(kNow + days(29)).verified());
  EXPECT_FALSE(verification(kNow + days(30)).verified());
  EXPECT_FALSE(verification(kNow - kClockSkew - seconds(1)).verified());
}

TEST_F(SimCaTest, revoked_pck_is_refused) {
  order_.pck_crl.revoked = {random_serial(), ca_order_.pck.serial, random_serial()};
  EXPECT_EQ(reason(), Reason::kSgxPckRevoked) << detail_;
}

TEST_F(SimCaTest, revoked_intermediate_is_refused) {
  order_.root_crl.revoked = {ca_order_.pck_ca.serial};
  EXPECT_EQ(reason(), Reason::kSgxIntermediateCaRevoked) << detail_;
}

TEST_F(SimCaTest, revoked_tcb_signing_certificate_is_refused) {
  order_.root_crl.revoked = {ca_order_.tcb_signing.serial};
  EXPECT_EQ(reason(), Reason::kSgxTcbSigningCertRevoked) << detail_;
}

TEST_F(SimCaTest, other_serial_numbers_on_the_lists_do_no_harm) {
  order_.pck_crl.revoked = order_.root_crl.revoked = {random_serial(), random_serial()};
  EXPECT_EQ(reason(), Reason::kOk) << detail_;
}

TEST_F(SimCaTest, expired_crls_are_refused) {
  order_.pck_crl.next_update = kNow - seconds(1);
  EXPECT_EQ(reason(), Reason::kSgxCrlExpired) << detail_;
  order_ = collateral_order(kNow);
  order_.root_crl.next_update = kNow - seconds(1);
  EXPECT_EQ(reason(), Reason::kSgxCrlExpired) << detail_;
}

TEST_F(SimCaTest, pck_certificate_past_its_life_is_refused) {
  ca_order_.pck.not_after = kNow - seconds(1);
  EXPECT_EQ(reason(), Reason::kSgxPckCertChainExpired) << detail_;
}

TEST_F(SimCaTest, pck_of_another_fmspc_is_a_mismatch_whatever_the_case_of_the_digits) {
  order_.fmspc = "53494D554c41";
  EXPECT_EQ(reason(), Reason::kOk) << detail_;
  ca_order_.pck.sgx->fmspc[0] ^= 1;
  EXPECT_EQ(reason(), Reason::kTcbInfoMismatch) << detail_;
}

TEST_F(SimCaTest, pck_certificate_spells_its_components_in_its_cpusvn_as_intels_do) {
  EXPECT_EQ(ca_order_.pck.sgx->cpu_svn, ca_order_.pck.sgx->components);
  EXPECT_EQ(ca_order_.pck.sgx->components, order_.tcb_levels[0].components);
}

TEST_F(SimCaTest, platform_behind_the_newest_level_gets_the_status_of_its_level) {
  TcbLevel newest = order_.tcb_levels[0];
  newest.components[3] = kSvn + 1;
  order_.tcb_levels[0].status = "OutOfDate";
  order_.tcb_levels[0].advisory_ids = {"INTEL-SA-00000"};
  order_.tcb_levels.insert(order_.tcb_levels.begin(), newest);
  Verification got = verification();
  EXPECT_EQ(got.tcb_status, TcbStatus::kOutOfDate) << got.detail;
  EXPECT_EQ(got.advisory_ids, std::vector<std::string>{"INTEL-SA-00000"});
  EXPECT_FALSE(judge(got, {.allow_simulated = true}).trusted);
}

TEST_F(SimCaTest, quoting_enclave_of_another_signer_is_refused) {
  qe_body_.mr_signer[0] ^= 1;
  EXPECT_EQ(reason(), Reason::kQeIdentityMismatch) << detail_;
}

TEST_F(SimCaTest, quoting_enclave_that_is_older_than_every_level_is_refused) {
  qe_body_.isv_svn = kSvn - 1;
  EXPECT_EQ(reason(), Reason::kSgxEnclaveReportIsvsvnNotSupported) << detail_;
}

TEST_F(SimCaTest, leaf_that_claims_to_be_an_authority_is_refused) {
  ca_order_.pck.basic_constraints = "critical,CA:TRUE";
  EXPECT_FALSE(verification().verified());
}

TEST_F(SimCaTest, authority_whose_key_may_not_sign_certificates_is_refused) {
  ca_order_.pck_ca.key_usage = "critical,digitalSignature";
  EXPECT_FALSE(verification().verified());
}

TEST_F(SimCaTest, every_certificate_says_that_it_is_simulated) {
  for (const CertificateOrder* order : {&ca_order_.root, &ca_order_.pck_ca, &ca_order_.tcb_signing, &ca_order_.pck}) {
    EXPECT_EQ(order->common_name.substr(0, 14), "SIMULATED SGX ");
    EXPECT_EQ(order->organization, "Simulation only - not Intel");
  }
}

}  // namespace
}  // namespace enclayer::sim
