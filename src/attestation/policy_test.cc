// SPDX-License-Identifier: Apache-2.0
#include "enclayer/policy.h"

#include <gtest/gtest.h>

#include "attestation/tcb_status.h"
#include "fake/print_reason.h"
#include "fake/quote_case.h"

namespace enclayer {
namespace {

Verification verified(TcbStatus status, bool debug = false) {
  static const Quote kQuote = parse_quote(fake::quote_case("A_phala_sgx_processor").quote).value();
  Verification v;
  v.quote = kQuote;
  if (debug) std::get<ReportBody>(v.quote->body).attributes.flags |= Attributes::kDebug;
  v.tcb_status = status;
  v.reason = attestation::reason_of(status);
  return v;
}

TEST(Policy, only_up_to_date_is_trusted_by_default) {
  Verdict good = judge(verified(TcbStatus::kUpToDate), {});
  EXPECT_TRUE(good.trusted);
  EXPECT_EQ(good.reason, Reason::kOk);
  EXPECT_TRUE(good.misses.empty());
  for (TcbStatus status :
       {TcbStatus::kSwHardeningNeeded, TcbStatus::kConfigurationNeeded, TcbStatus::kConfigurationAndSwHardeningNeeded,
        TcbStatus::kOutOfDate, TcbStatus::kOutOfDateConfigurationNeeded, TcbStatus::kRevoked}) {
    Verdict verdict = judge(verified(status), {});
    EXPECT_FALSE(verdict.trusted);
    EXPECT_EQ(verdict.reason, attestation::reason_of(status));
  }
}

TEST(Policy, named_status_is_trusted_and_keeps_its_reason) {
  Verdict verdict = judge(verified(TcbStatus::kOutOfDate), {{TcbStatus::kOutOfDate}, false});
  EXPECT_TRUE(verdict.trusted);
  EXPECT_EQ(verdict.reason, Reason::kTcbOutOfDate);
  EXPECT_FALSE(judge(verified(TcbStatus::kUpToDate), {{TcbStatus::kOutOfDate}, false}).trusted) << "not in this list";
}

TEST(Policy, revoked_is_never_trusted) {
  EXPECT_FALSE(judge(verified(TcbStatus::kRevoked), {{TcbStatus::kRevoked}, true}).trusted);
}

TEST(Policy, debug_enclave_is_refused_unless_allowed) {
  Verdict refused = judge(verified(TcbStatus::kUpToDate, true), {});
  EXPECT_FALSE(refused.trusted);
  EXPECT_EQ(to_string(refused.reason), "DEBUG_ENCLAVE");
  EXPECT_TRUE(judge(verified(TcbStatus::kUpToDate, true), {{TcbStatus::kUpToDate}, true}).trusted);
}

TEST(Policy, simulated_platform_is_refused_unless_allowed) {
  Verification v = verified(TcbStatus::kUpToDate);
  v.simulated = true;
  EXPECT_EQ(to_string(judge(v, {}).reason), "SIMULATED_PLATFORM");
  EXPECT_TRUE(judge(v, {.allow_simulated = true}).trusted);
}

// The one miss of an otherwise good quote under this policy.
Reason only_miss(const Policy& policy) {
  Verification v = verified(TcbStatus::kUpToDate);
  Verdict verdict = judge(v, policy);
  EXPECT_EQ(verdict.trusted, verdict.misses.empty());
  EXPECT_LE(verdict.misses.size(), 1U);
  EXPECT_EQ(verdict.reason, verdict.misses.empty() ? Reason::kOk : verdict.misses.front().reason);
  return verdict.reason;
}

TEST(Policy, one_of_the_listed_enclaves_is_accepted) {
  const ReportBody report = verified(TcbStatus::kUpToDate).quote->report();
  ByteArray<32> other{};
  EXPECT_EQ(only_miss({.mr_enclave = {other, report.mr_enclave}}), Reason::kOk);
  EXPECT_EQ(only_miss({.mr_enclave = {other}}), Reason::kMrEnclaveNotAccepted);
  EXPECT_EQ(only_miss({.mr_enclave = {report.mr_signer}}), Reason::kMrEnclaveNotAccepted);
  EXPECT_EQ(only_miss({.mr_signer = {other, report.mr_signer}}), Reason::kOk);
  EXPECT_EQ(only_miss({.mr_signer = {other}}), Reason::kMrSignerNotAccepted);
  auto product = [&](int more) { return static_cast<std::uint16_t>(report.isv_prod_id + more); };
  EXPECT_EQ(only_miss({.isv_prod_id = {product(1), product(0)}}), Reason::kOk);
  EXPECT_EQ(only_miss({.isv_prod_id = {product(1)}}), Reason::kIsvProdIdNotAccepted);
}

TEST(Policy, isvsvn_is_a_minimum) {
  Verification v = verified(TcbStatus::kUpToDate);
  std::get<ReportBody>(v.quote->body).isv_svn = 7;
  EXPECT_TRUE(judge(v, {.min_isv_svn = 6}).trusted);
  EXPECT_TRUE(judge(v, {.min_isv_svn = 7}).trusted);
  EXPECT_EQ(judge(v, {.min_isv_svn = 8}).reason, Reason::kIsvSvnTooLow);
  EXPECT_EQ(judge(v, {.min_isv_svn = 8}).misses[0].detail, "ISVSVN 7 is less than 8");
}

TEST(Policy, report_data_is_compared_whole_by_its_start_or_under_a_mask) {
  const ByteArray<64> data = verified(TcbStatus::kUpToDate).quote->report().report_data;
  EXPECT_EQ(only_miss({.report_data = ReportDataRule::exact(data)}), Reason::kOk);
  for (std::size_t byte = 0; byte < data.size(); ++byte)
    for (int bit = 0; bit < 8; ++bit) {
      ByteArray<64> changed = data;
      changed[byte] ^= static_cast<std::uint8_t>(1 << bit);
      EXPECT_EQ(only_miss({.report_data = ReportDataRule::exact(changed)}), Reason::kReportDataNotAccepted);
      auto start = ReportDataRule::prefix(ByteView(changed).first(32)).value();
      EXPECT_EQ(only_miss({.report_data = start}), byte < 32 ? Reason::kReportDataNotAccepted : Reason::kOk);
      ReportDataRule rule = ReportDataRule::exact(changed);
      rule.mask[byte] = static_cast<std::uint8_t>(~(1 << bit));
      EXPECT_EQ(only_miss({.report_data = rule}), Reason::kOk);
    }
  EXPECT_FALSE(ReportDataRule::prefix({}));
  EXPECT_FALSE(ReportDataRule::prefix(Bytes(65)));
  EXPECT_EQ(ReportDataRule::prefix(data).value(), ReportDataRule::exact(data));
}

TEST(Policy, report_data_is_in_no_detail) {
  Verification v = verified(TcbStatus::kUpToDate);
  Verdict verdict = judge(v, {.report_data = ReportDataRule::exact({})});
  ASSERT_EQ(verdict.misses.size(), 1U);
  EXPECT_EQ(verdict.misses[0].detail, "report data is not as the policy asks for");
}

TEST(Policy, platform_family_has_to_be_listed) {
  Verification v = verified(TcbStatus::kUpToDate);
  const ByteArray<6> ours{0, 0xa0, 0x67, 0x11, 0, 0}, other{0, 0x90, 0x6e, 0xd5, 0, 0};
  EXPECT_EQ(judge(v, {.fmspc = {ours}}).reason, Reason::kFmspcNotAccepted) << "it is not known";
  v.fmspc = ours;
  EXPECT_TRUE(judge(v, {.fmspc = {other, ours}}).trusted);
  EXPECT_EQ(judge(v, {.fmspc = {other}}).reason, Reason::kFmspcNotAccepted);
  EXPECT_EQ(judge(v, {.fmspc = {other}}).misses[0].detail, "FMSPC 00a067110000 is not accepted (00906ed50000)");
}

TEST(Policy, every_advisory_has_to_be_accepted_when_they_are_listed) {
  Verification v = verified(TcbStatus::kUpToDate);
  using List = std::vector<std::string>;
  EXPECT_TRUE(judge(v, {.accepted_advisories = List{}}).trusted) << "none applies";
  v.advisory_ids = {"INTEL-SA-00001", "INTEL-SA-00002", "INTEL-SA-00003"};
  EXPECT_TRUE(judge(v, {}).trusted) << "the status alone decides";
  EXPECT_TRUE(judge(v, {.accepted_advisories = v.advisory_ids}).trusted);
  Verdict verdict = judge(v, {.accepted_advisories = List{"INTEL-SA-00002"}});
  EXPECT_EQ(verdict.reason, Reason::kAdvisoryNotAccepted);
  EXPECT_EQ(verdict.misses[0].detail, "advisories INTEL-SA-00001, INTEL-SA-00003 are not accepted (INTEL-SA-00002)");
  EXPECT_FALSE(judge(v, {.accepted_advisories = List{}}).trusted);
}

TEST(Policy, evaluation_number_is_a_minimum) {
  Verification v = verified(TcbStatus::kUpToDate);
  EXPECT_EQ(judge(v, {.min_tcb_evaluation_number = 1}).reason, Reason::kTcbEvaluationNumberTooLow) << "it is not known";
  v.tcb_evaluation_number = 17;
  EXPECT_TRUE(judge(v, {.min_tcb_evaluation_number = 17}).trusted);
  EXPECT_EQ(judge(v, {.min_tcb_evaluation_number = 18}).reason, Reason::kTcbEvaluationNumberTooLow);
}

TEST(Policy, all_misses_are_told) {
  Verification v = verified(TcbStatus::kOutOfDate, true);
  v.simulated = true;
  v.fmspc = ByteArray<6>{1};
  v.advisory_ids = {"INTEL-SA-00615"};
  v.tcb_evaluation_number = 16;
  Policy policy{.mr_enclave = {ByteArray<32>{1}},
                .mr_signer = {ByteArray<32>{1}},
                .isv_prod_id = {0xffff},
                .min_isv_svn = 0xffff,
                .report_data = ReportDataRule::exact(ByteArray<64>{1}),
                .fmspc = {ByteArray<6>{2}},
                .accepted_advisories = std::vector<std::string>{},
                .min_tcb_evaluation_number = 17};
  Verdict verdict = judge(v, policy);
  std::vector<Reason> reasons;
  for (const Miss& miss : verdict.misses) {
    reasons.push_back(miss.reason);
    EXPECT_FALSE(miss.detail.empty());
  }
  EXPECT_EQ(reasons, (std::vector<Reason>{Reason::kTcbOutOfDate, Reason::kSimulatedPlatform, Reason::kDebugEnclave,
                                          Reason::kMrEnclaveNotAccepted, Reason::kMrSignerNotAccepted,
                                          Reason::kIsvProdIdNotAccepted, Reason::kIsvSvnTooLow,
                                          Reason::kReportDataNotAccepted, Reason::kFmspcNotAccepted,
                                          Reason::kAdvisoryNotAccepted, Reason::kTcbEvaluationNumberTooLow}));
  EXPECT_EQ(verdict.reason, Reason::kTcbOutOfDate);
}

TEST(Policy, long_list_is_cut_in_a_detail) {
  Policy policy;
  for (std::uint8_t i = 1; i <= 100; ++i) policy.mr_enclave.push_back(ByteArray<32>{i});
  std::string detail = judge(verified(TcbStatus::kUpToDate), policy).misses.at(0).detail;
  EXPECT_NE(detail.find(" and 92 more)"), std::string::npos) << detail;
}

TEST(Policy, quote_that_did_not_verify_is_never_trusted) {
  Verification failed;
  failed.reason = Reason::kSgxCrlExpired;
  failed.detail = "why";
  Policy everything{{TcbStatus::kUpToDate, TcbStatus::kOutOfDate, TcbStatus::kRevoked}, true, true};
  Verdict verdict = judge(failed, everything);
  EXPECT_FALSE(verdict.trusted);
  EXPECT_EQ(verdict.reason, Reason::kSgxCrlExpired);
  ASSERT_EQ(verdict.misses.size(), 1U);
  EXPECT_EQ(verdict.misses[0].detail, "why");
  EXPECT_FALSE(judge(Verification{}, everything).trusted) << "nothing was verified at all";
}

}  // namespace
}  // namespace enclayer
