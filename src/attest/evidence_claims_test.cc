// SPDX-License-Identifier: Apache-2.0
#include "attest/evidence_claims.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "base/hex.h"
#include "sim/case.h"

namespace enclayer::attest {
namespace {

const Time kAt = parse_time("2026-11-21T10:00:00Z").value();

Verification verified(const char* name) {
  sim::Evidence evidence = sim::make_evidence(*sim::find_case(name), kAt).value();
  return verify(evidence.quote, evidence.collateral, TrustedRoot::from_pem(evidence.root).value(), kAt);
}

std::vector<ClaimValue> values_of(const std::vector<Claim>& claims, std::string_view type) {
  std::vector<ClaimValue> out;
  for (const Claim& claim : claims)
    if (claim.type == type) out.push_back(claim.value);
  return out;
}
ClaimValue value_of(const std::vector<Claim>& claims, std::string_view type) {
  auto values = values_of(claims, type);
  return values.size() == 1 ? values[0] : ClaimValue(std::string("(not there once)"));
}

TEST(EvidenceClaims, say_of_an_enclave_what_azures_tokens_say) {
  const Verification v = verified("up-to-date");
  const auto claims = claims_of(v);
  const ReportBody& report = v.quote->report();
  EXPECT_EQ(value_of(claims, "x-ms-attestation-type"), ClaimValue("sgx"));
  EXPECT_EQ(value_of(claims, "x-ms-sgx-is-debuggable"), ClaimValue(false));
  EXPECT_EQ(value_of(claims, "x-ms-sgx-mrenclave"), ClaimValue(base::to_hex(report.mr_enclave)));
  EXPECT_EQ(value_of(claims, "x-ms-sgx-mrsigner"), ClaimValue(base::to_hex(report.mr_signer)));
  EXPECT_EQ(value_of(claims, "x-ms-sgx-product-id"), ClaimValue(std::int64_t{report.isv_prod_id}));
  EXPECT_EQ(value_of(claims, "x-ms-sgx-svn"), ClaimValue(std::int64_t{report.isv_svn}));
  EXPECT_EQ(value_of(claims, "attester_tcb_status"), ClaimValue("UpToDate"));
  EXPECT_EQ(value_of(claims, "x-enclayer-simulated"), ClaimValue(true));
  for (const Claim& claim : claims) EXPECT_EQ(claim.issuer, ClaimIssuer::kAttestationService) << claim.type;
}

TEST(EvidenceClaims, say_of_a_td_what_azures_profile_of_tdx_says) {
  const Verification v = verified("td-tdx15");
  const auto claims = claims_of(v);
  const TdReportBody& td = v.quote->td_report();
  EXPECT_EQ(value_of(claims, "x-ms-attestation-type"), ClaimValue("tdxvm"));
  EXPECT_EQ(value_of(claims, "tdx_mrtd"), ClaimValue(base::to_hex(td.mr_td)));
  EXPECT_EQ(value_of(claims, "tdx_rtmr3"), ClaimValue(base::to_hex(td.rtmr[3])));
  EXPECT_EQ(value_of(claims, "tdx_td_attributes"), ClaimValue("0000001000000000")) << "the lowest byte first";
  EXPECT_EQ(value_of(claims, "x-enclayer-tdx-usual-attributes"), ClaimValue(true));
  EXPECT_EQ(value_of(claims, "x-enclayer-tdx-service-td"), ClaimValue(false));
  EXPECT_TRUE(values_of(claims, "x-ms-sgx-mrenclave").empty());
}

TEST(EvidenceClaims, name_each_advisory_and_the_seconds_since_a_level_is_missing) {
  Verification v = verified("out-of-date");
  ASSERT_FALSE(v.advisory_ids.empty());
  v.lacking_since = kAt - std::chrono::hours(25);
  const auto claims = claims_of(v);
  EXPECT_EQ(values_of(claims, "x-enclayer-advisory").size(), v.advisory_ids.size());
  EXPECT_EQ(value_of(claims, "x-enclayer-lacking-seconds"), ClaimValue(std::int64_t{90000}));
}

TEST(EvidenceClaims, say_nothing_of_what_did_not_verify) { EXPECT_TRUE(claims_of(verified("pck-revoked")).empty()); }

// Tokens travel: a claim by which one machine could be followed from service to service must never come in by accident.
// And only what has several values is there several times.
TEST(EvidenceClaims, never_name_the_machine_and_have_each_type_once_but_advisories) {
  for (const sim::Case& which : sim::cases()) {
    const Verification v = verified(which.name.c_str());
    std::set<std::string> seen;
    for (const Claim& claim : claims_of(v)) {
      const bool first = seen.insert(claim.type).second;
      EXPECT_TRUE(first || claim.type == "x-enclayer-advisory") << which.name << ": " << claim.type;
      EXPECT_NE(claim.value, ClaimValue(base::to_hex(v.platform->ppid))) << claim.type;
      if (auto id = v.platform->platform_instance_id) {
        EXPECT_NE(claim.value, ClaimValue(base::to_hex(*id))) << claim.type;
      }
    }
    EXPECT_EQ(seen.empty(), !v.verified()) << which.name;
  }
}

TEST(Appraisal, permits_by_no_policy_what_does_not_verify_or_is_revoked) {
  const PolicyText everything = PolicyText::parse("version=1.0; authorizationrules { => permit(); };").value();
  EXPECT_TRUE(appraise(verified("out-of-date"), everything).permitted);
  for (const char* name : {"pck-revoked", "tcb-revoked", "qe-revoked"}) {
    const Evaluation found = appraise(verified(name), everything);
    EXPECT_FALSE(found.permitted) << name;
    EXPECT_NE(found.refusal, "") << name;
  }
}

}  // namespace
}  // namespace enclayer::attest
