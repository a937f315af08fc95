// SPDX-License-Identifier: Apache-2.0
#include "attest/policy_text_conversion.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "attest/evidence_claims.h"
#include "sim/case.h"

namespace enclayer::attest {
namespace {

using testing::HasSubstr;
using testing::Not;

const Time kAt = parse_time("2026-11-21T10:00:00Z").value();

std::string text_of(const std::string& keys) {
  auto text = policy_text_of(parse_policy_json("{\"version\": 1" + keys + "}").value());
  return text ? *text : text.error().message();
}

TEST(PolicyTextConversion, says_the_usual_policy_in_one_rule_that_people_can_read) {
  const std::string signer(64, 'a');
  EXPECT_EQ(text_of(",\"mr_signer\": [\"" + signer + "\"], \"isv_prod_id\": [1], \"min_isv_svn\": 4"),
            "version=1.0;\n"
            "authorizationrules {\n"
            "  [type==\"x-ms-attestation-type\", value==\"sgx\"] &&\n"
            "  [type==\"x-ms-sgx-is-debuggable\", value==false] &&\n"
            "  [type==\"x-ms-sgx-mrsigner\", value==\"" +
                signer +
                "\"] &&\n"
                "  [type==\"x-ms-sgx-product-id\", value==1] &&\n"
                "  [type==\"x-ms-sgx-svn\", value>=4] &&\n"
                "  [type==\"attester_tcb_status\", value==\"UpToDate\"] &&\n"
                "  [type==\"x-enclayer-simulated\", value==false]\n"
                "    => permit();\n"
                "};\n");
}

TEST(PolicyTextConversion, names_all_that_cannot_be_said_and_gives_no_text) {
  const std::string id(32, '0');
  const std::string said = text_of(",\"ppid\": [\"" + id + "\"], \"platform_instance_id\": [\"" + id +
                                   "\"], \"report_data\": {\"prefix\": \"00\"}");
  EXPECT_THAT(said, HasSubstr("cannot say \"ppid\""));
  EXPECT_THAT(said, HasSubstr("\"platform_instance_id\""));
  EXPECT_THAT(said, HasSubstr("\"report_data\" with a prefix or a mask"));
  EXPECT_THAT(said, Not(HasSubstr("version=")));
  EXPECT_THAT(text_of(",\"min_isv_svn\": 1, \"xfam\": [\"0x0000000000000003\"]"), HasSubstr("no quote meets"));
}

TEST(PolicyTextConversion, lists_that_are_too_long_for_a_text_are_refused) {
  Policy policy;
  for (std::uint8_t i = 0; i < 200; ++i) {
    policy.mr_enclave.push_back({i});
    policy.mr_signer.push_back({i});
  }
  auto text = policy_text_of(policy);
  ASSERT_FALSE(text);
  EXPECT_EQ(text.error().kind(), ErrorKind::kUnsupported);
  EXPECT_THAT(text.error().message(), HasSubstr("too long"));
}

// The promise of the header, tried with policies that are near to what each piece of evidence is.
TEST(PolicyTextConversion, text_permits_what_the_policy_trusts_and_nothing_else) {
  std::mt19937 random(20261129);
  auto below = [&](std::size_t n) { return std::uniform_int_distribution<std::size_t>(0, n - 1)(random); };
  auto chance = [&](std::size_t in) { return below(in) == 0; };

  std::vector<Verification> all;
  for (const sim::Case& which : sim::cases()) {
    sim::Evidence evidence = sim::make_evidence(which, kAt).value();
    all.push_back(verify(evidence.quote, evidence.collateral, TrustedRoot::from_pem(evidence.root).value(), kAt));
    if (!all.back().verified()) continue;
    Verification lacking = all.back();
    lacking.simulated = false;
    lacking.lacking_since = kAt - std::chrono::days(29) - std::chrono::seconds(below(3) * 43200);
    all.push_back(lacking);
  }

  auto near = [&](const Verification& v) {
    Policy p;
    p.allow_simulated = !chance(6);
    p.allow_debug = chance(3);
    for (int status = 1; status < static_cast<int>(TcbStatus::kRevoked); ++status)
      if (chance(3)) p.accepted_tcb.push_back(static_cast<TcbStatus>(status));
    if (chance(3)) p.tcb_grace_days = static_cast<std::uint16_t>(28 + below(4));
    // Now and then a list with the value that was found, another one, or both.
    auto list = [&](auto& out, const auto& found) {
      using Value = std::decay_t<decltype(found)>;
      if (!chance(12)) return;
      if (chance(3)) out.push_back(Value{});
      if (!chance(4) || out.empty())
        out.insert(out.begin() + static_cast<std::ptrdiff_t>(below(out.size() + 1)), found);
    };
    if (v.quote && v.quote->sgx()) {
      const ReportBody& r = v.quote->report();
      list(p.mr_enclave, r.mr_enclave);
      list(p.mr_signer, r.mr_signer);
      list(p.isv_prod_id, r.isv_prod_id);
      if (chance(8)) p.min_isv_svn = static_cast<std::uint16_t>(r.isv_svn + below(2));
      if (chance(20)) p.report_data = ReportDataRule::exact(chance(2) ? r.report_data : ByteArray<64>{1});
    } else if (v.quote) {
      const TdReportBody& t = v.quote->td_report();
      list(p.mr_td, t.mr_td);
      for (std::size_t i = 0; i < 4; ++i) list(p.rtmr[i], t.rtmr[i]);
      list(p.mr_config_id, t.mr_config_id);
      list(p.mr_owner, t.mr_owner);
      list(p.mr_owner_config, t.mr_owner_config);
      list(p.td_attributes, t.td_attributes);
      list(p.xfam, t.xfam);
      list(p.mr_seam, t.mr_seam);
      if (t.tdx15) list(p.mr_service_td, t.tdx15->mr_service_td);
      if (chance(20)) p.report_data = ReportDataRule::exact(chance(2) ? t.report_data : ByteArray<64>{1});
    }
    if (chance(30)) p.mr_td.push_back({1});  // of the other kind
    if (v.fmspc) list(p.fmspc, *v.fmspc);
    if (v.platform) list(p.sgx_type, v.platform->sgx_type);
    p.allow_dynamic_platform = !chance(10);
    p.allow_cached_keys = !chance(10);
    p.allow_smt = !chance(10);
    if (chance(6)) {
      p.accepted_advisories.emplace();
      for (const std::string& id : v.advisory_ids)
        if (!chance(4)) p.accepted_advisories->push_back(id);
    }
    for (const std::string& id : v.advisory_ids)
      if (chance(8)) p.rejected_advisories.push_back(id);
    if (chance(8)) p.rejected_advisories.push_back("INTEL-SA-99999");
    if (v.tcb && chance(8)) p.min_tcb_date = v.tcb->date() + std::chrono::seconds(below(2));
    if (v.earliest_issue && chance(8)) {
      const auto age = std::chrono::floor<std::chrono::days>(v.at - *v.earliest_issue).count();
      p.max_collateral_age_days = static_cast<std::uint16_t>(age + static_cast<std::int64_t>(below(2)));
    }
    if (chance(8))
      p.min_tcb_evaluation_number = v.tcb_evaluation_number.value_or(0) + static_cast<std::uint32_t>(below(2));
    return p;
  };

  std::size_t trusted = 0, refused = 0, unmeetable = 0;
  for (int round = 0; round < 12; ++round)
    for (const Verification& v : all) {
      const Policy policy = near(v);
      auto text = policy_text_of(policy);
      const Verdict verdict = judge(v, policy);
      if (!text) {  // nothing here is unsaid
        ASSERT_EQ(text.error().kind(), ErrorKind::kInvalidArgument) << text.error().message();
        ASSERT_FALSE(verdict.trusted);
        ++unmeetable;
        continue;
      }
      const Evaluation found = appraise(v, PolicyText::parse(*text).value());
      ASSERT_EQ(found.permitted, verdict.trusted)
          << *text << found.refusal << (verdict.misses.empty() ? "" : verdict.misses[0].detail);
      ++(found.permitted ? trusted : refused);
    }
  EXPECT_GT(trusted, 200u);
  EXPECT_GT(refused, 500u);
  EXPECT_GT(unmeetable, 0u);
}

}  // namespace
}  // namespace enclayer::attest
