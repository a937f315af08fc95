// SPDX-License-Identifier: Apache-2.0
#include "enclayer/policy.h"

#include <gtest/gtest.h>

#include <functional>

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

TEST(Policy, a_platform_that_is_out_of_date_has_its_grace) {
  Verification v = verified(TcbStatus::kOutOfDate);
  const Time since = *parse_time("2024-11-13T00:00:00Z");
  EXPECT_FALSE(judge(v, {.tcb_grace_days = 65535}).trusted) << "it is not known since when";
  v.lacking_since = since;
  v.at = since + std::chrono::days(30) - std::chrono::seconds(1);
  EXPECT_TRUE(judge(v, {.tcb_grace_days = 30}).trusted);
  EXPECT_EQ(judge(v, {.tcb_grace_days = 30}).reason, Reason::kTcbOutOfDate);
  EXPECT_FALSE(judge(v, {.tcb_grace_days = 29}).trusted);
  EXPECT_FALSE(judge(v, {}).trusted);
  v.at = since + std::chrono::days(30);
  EXPECT_FALSE(judge(v, {.tcb_grace_days = 30}).trusted);
  v.at = since;
  for (TcbStatus never : {TcbStatus::kRevoked, TcbStatus::kConfigurationNeeded}) {
    v.tcb_status = never;
    EXPECT_FALSE(judge(v, {.tcb_grace_days = 30}).trusted) << "no patch that is late";
  }
}

TEST(Policy, dates_of_platform_and_collateral_are_bounded) {
  Verification v = verified(TcbStatus::kUpToDate);
  const Time old = *parse_time("2023-02-15T00:00:00Z"), recent = *parse_time("2024-11-13T00:00:00Z");
  const TcbPart part{TcbStatus::kUpToDate, recent, {}};
  v.tcb = TcbEvaluation{part, std::nullopt, {TcbStatus::kUpToDate, old, {}}, TcbStatus::kUpToDate};
  EXPECT_EQ(judge(v, {.min_tcb_date = recent}).reason, Reason::kTcbDateTooOld) << "the QE's";
  EXPECT_TRUE(judge(v, {.min_tcb_date = old}).trusted);

  v.at = recent;
  EXPECT_EQ(judge(v, {.max_collateral_age_days = 30}).reason, Reason::kCollateralTooOld) << "it is not known";
  v.earliest_issue = recent - std::chrono::days(30);
  EXPECT_TRUE(judge(v, {.max_collateral_age_days = 30}).trusted);
  EXPECT_EQ(judge(v, {.max_collateral_age_days = 29}).reason, Reason::kCollateralTooOld);
}

TEST(Policy, a_rejected_advisory_is_refused_though_it_is_accepted_too) {
  Verification v = verified(TcbStatus::kUpToDate);
  v.advisory_ids = {"INTEL-SA-00001", "INTEL-SA-00002"};
  Verdict verdict = judge(v, {.accepted_advisories = v.advisory_ids, .rejected_advisories = {"INTEL-SA-00002"}});
  EXPECT_EQ(verdict.reason, Reason::kAdvisoryNotAccepted);
  EXPECT_EQ(verdict.misses[0].detail, "advisories INTEL-SA-00002 are rejected");
  EXPECT_TRUE(judge(v, {.rejected_advisories = {"INTEL-SA-00003"}}).trusted);
}

TEST(Policy, only_the_listed_machines_are_accepted) {
  Verification v = verified(TcbStatus::kUpToDate);
  const ByteArray<16> ours{1, 2, 3}, other{4};
  EXPECT_EQ(judge(v, {.ppid = {ours}}).reason, Reason::kPpidNotAccepted) << "it is not known";
  v.platform = PlatformIdentity{.ppid = ours};
  EXPECT_TRUE(judge(v, {.ppid = {other, ours}}).trusted);
  EXPECT_EQ(judge(v, {.ppid = {other}}).reason, Reason::kPpidNotAccepted);
  EXPECT_EQ(judge(v, {.platform_instance_id = {ours}}).reason, Reason::kPlatformInstanceIdNotAccepted);
  v.platform->platform_instance_id = ours;
  EXPECT_TRUE(judge(v, {.platform_instance_id = {ours}}).trusted);
  using SgxType = PlatformIdentity::SgxType;
  EXPECT_EQ(judge(v, {.sgx_type = {SgxType::kScalable}}).reason, Reason::kSgxTypeNotAccepted);
  EXPECT_TRUE(judge(v, {.sgx_type = {SgxType::kScalable, SgxType::kStandard}}).trusted);
}

TEST(Policy, what_is_forbidden_of_a_platform_has_to_be_known_not_to_be_so) {
  Verification v = verified(TcbStatus::kUpToDate);
  v.platform = PlatformIdentity{};
  std::optional<bool> PlatformIdentity::*known[] = {&PlatformIdentity::dynamic_platform, &PlatformIdentity::cached_keys,
                                                    &PlatformIdentity::smt_enabled};
  Policy policies[] = {{.allow_dynamic_platform = false}, {.allow_cached_keys = false}, {.allow_smt = false}};
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(judge(v, policies[i]).reason, Reason::kPlatformConfigurationNotAccepted) << i;
    (*v.platform).*known[i] = true;
    EXPECT_EQ(judge(v, policies[i]).reason, Reason::kPlatformConfigurationNotAccepted) << i;
    EXPECT_TRUE(judge(v, {}).trusted);
    (*v.platform).*known[i] = false;
    EXPECT_TRUE(judge(v, policies[i]).trusted) << i;
  }
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

// The TD of a real quote, UpToDate.
Verification verified_td(const std::function<void(TdReportBody&)>& change = nullptr) {
  Verification v = verified(TcbStatus::kUpToDate);
  v.quote = parse_quote(fake::quote_case("T4_phala_tdx_v4").quote).value();
  if (change) change(std::get<TdReportBody>(v.quote->body));
  return v;
}

Reason td_reason(const Policy& policy, const std::function<void(TdReportBody&)>& change = nullptr) {
  return judge(verified_td(change), policy).reason;
}

TEST(TdPolicy, usual_td_is_trusted_by_default) {
  EXPECT_EQ(td_reason({}), Reason::kOk);
  for (std::uint64_t harmless : {TdReportBody::kPks, TdReportBody::kKl, TdReportBody::kPerfmon})
    EXPECT_EQ(td_reason({}, [&](TdReportBody& td) { td.td_attributes |= harmless; }), Reason::kOk);
}

TEST(TdPolicy, debug_td_is_refused_unless_allowed_even_when_its_attributes_are_named) {
  auto debug = [](TdReportBody& td) { td.td_attributes |= TdReportBody::kDebug; };
  EXPECT_EQ(td_reason({}, debug), Reason::kDebugTd);
  EXPECT_EQ(td_reason({.td_attributes = {0x10000001}}, debug), Reason::kDebugTd);
  EXPECT_EQ(td_reason({.allow_debug = true}, debug), Reason::kOk);
}

TEST(TdPolicy, attributes_that_weaken_a_td_have_to_be_named_with_the_whole_value) {
  for (int bit = 0; bit < 64; ++bit) {
    const std::uint64_t one = 1ULL << bit;
    if (one == TdReportBody::kDebug || one == TdReportBody::kPks || one == TdReportBody::kKl ||
        one == TdReportBody::kPerfmon)
      continue;
    auto flipped = [&](TdReportBody& td) { td.td_attributes ^= one; };  // SEPT_VE_DISABLE goes, the others come
    EXPECT_EQ(td_reason({}, flipped), Reason::kTdAttributesNotAccepted) << bit;
    EXPECT_EQ(td_reason({.td_attributes = {1, 0x10000000 ^ one}}, flipped), Reason::kOk) << bit;
    EXPECT_EQ(td_reason({.td_attributes = {0x10000000}}, flipped), Reason::kTdAttributesNotAccepted) << bit;
  }
}

TEST(TdPolicy, service_td_has_to_be_named) {
  auto bound = [](TdReportBody& td) { td.tdx15.emplace().mr_service_td = {7}; };
  EXPECT_EQ(td_reason({}, bound), Reason::kServiceTdNotAccepted);
  EXPECT_EQ(td_reason({.mr_service_td = {{7}}}, bound), Reason::kOk);
  EXPECT_EQ(td_reason({.mr_service_td = {{8}}}, bound), Reason::kServiceTdNotAccepted);
  EXPECT_EQ(td_reason({.mr_service_td = {{7}}}), Reason::kServiceTdNotAccepted) << "TDX 1.0 does not say";
}

TEST(TdPolicy, all_that_a_td_reports_can_be_asked_for) {
  const TdReportBody td = verified_td().quote->td_report();
  const ByteArray<48> other{0x51};
  struct {
    Reason reason;
    std::function<void(Policy&, bool)> ask;  // for the TD's own value, or for another
  } rows[] = {
      {Reason::kMrTdNotAccepted, [&](Policy& p, bool own) { p.mr_td = {own ? td.mr_td : other}; }},
      {Reason::kRtmrNotAccepted, [&](Policy& p, bool own) { p.rtmr[0] = {own ? td.rtmr[0] : other}; }},
      {Reason::kRtmrNotAccepted, [&](Policy& p, bool own) { p.rtmr[1] = {own ? td.rtmr[1] : other}; }},
      {Reason::kRtmrNotAccepted, [&](Policy& p, bool own) { p.rtmr[2] = {own ? td.rtmr[2] : other}; }},
      {Reason::kRtmrNotAccepted, [&](Policy& p, bool own) { p.rtmr[3] = {own ? td.rtmr[3] : other}; }},
      {Reason::kMrConfigIdNotAccepted, [&](Policy& p, bool own) { p.mr_config_id = {own ? td.mr_config_id : other}; }},
      {Reason::kMrOwnerNotAccepted, [&](Policy& p, bool own) { p.mr_owner = {own ? td.mr_owner : other}; }},
      {Reason::kMrOwnerConfigNotAccepted,
       [&](Policy& p, bool own) { p.mr_owner_config = {own ? td.mr_owner_config : other}; }},
      {Reason::kXfamNotAccepted, [&](Policy& p, bool own) { p.xfam = {own ? td.xfam : td.xfam + 1}; }},
      {Reason::kMrSeamNotAccepted, [&](Policy& p, bool own) { p.mr_seam = {own ? td.mr_seam : other}; }},
      {Reason::kReportDataNotAccepted,
       [&](Policy& p, bool own) { p.report_data = ReportDataRule::exact(own ? td.report_data : ByteArray<64>{0x51}); }},
  };
  for (const auto& row : rows) {
    Policy policy;
    row.ask(policy, true);
    EXPECT_EQ(td_reason(policy), Reason::kOk) << to_string(row.reason);
    if (row.reason != Reason::kReportDataNotAccepted) {
      EXPECT_EQ(judge(verified(TcbStatus::kUpToDate), policy).reason, row.reason) << "an enclave has none";
    }
    row.ask(policy, false);
    EXPECT_EQ(td_reason(policy), row.reason);
  }
}

TEST(TdPolicy, what_only_enclaves_have_is_not_met_by_a_td) {
  EXPECT_EQ(td_reason({.mr_enclave = {{}}}), Reason::kMrEnclaveNotAccepted);
  EXPECT_EQ(td_reason({.mr_signer = {{}}}), Reason::kMrSignerNotAccepted);
  EXPECT_EQ(td_reason({.isv_prod_id = {0}}), Reason::kIsvProdIdNotAccepted);
  EXPECT_EQ(td_reason({.min_isv_svn = 1}), Reason::kIsvSvnTooLow);
}

}  // namespace
}  // namespace enclayer
