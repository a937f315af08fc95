// SPDX-License-Identifier: Apache-2.0
// Every case, judged by the verifier.
#include "sim/case.h"

#include <gtest/gtest.h>

#include <set>
#include <sstream>

#include "base/bytes.h"
#include "base/file.h"
#include "enclayer/policy.h"
#include "enclayer/verifier.h"
#include "fake/print_reason.h"

namespace enclayer::sim {
namespace {

const Time kAt = parse_time("2026-11-21T10:00:00Z").value();

Verification verification(const Evidence& evidence, Time at = kAt) {
  return verify(evidence.quote, evidence.collateral, TrustedRoot::from_pem(evidence.root).value(), at);
}

TEST(Case, each_gets_the_verdict_that_it_is_made_for) {
  const Policy usual{.allow_simulated = true};
  Policy patient = usual;  // trusts whatever can be trusted
  for (int status = 0; status <= static_cast<int>(TcbStatus::kRevoked); ++status)
    patient.accepted_tcb.push_back(static_cast<TcbStatus>(status));
  for (const Case& which : cases()) {
    SCOPED_TRACE(which.name);
    Evidence evidence = make_evidence(which, kAt).value();
    EXPECT_FALSE(verify(evidence.quote, evidence.collateral, TrustedRoot::intel(), kAt).verified());
    Verification v = verification(evidence);
    EXPECT_TRUE(v.simulated);
    EXPECT_TRUE(v.custom_root);
    Verdict verdict = judge(v, usual);
    EXPECT_EQ(verdict.reason, which.reason) << v.detail;
    EXPECT_EQ(verdict.trusted, which.trusted());
    EXPECT_EQ(judge(v, patient).trusted, which.acceptable());
    EXPECT_EQ(v.tcb_status, which.tcb_status);
    EXPECT_EQ(v.advisory_ids, which.advisory_ids);
    if (!v.verified()) continue;
    EXPECT_EQ(v.tcb_evaluation_number, which.tcb_evaluation_number);
  }
}

TEST(Case, good_platform_is_good_whenever_it_is_made) {
  for (const char* at :
       {"2001-01-01T00:00:00Z", "2049-12-31T23:59:59Z", "2050-01-01T00:00:00Z", "9000-06-30T12:00:00Z"}) {
    Time then = parse_time(at).value();
    EXPECT_EQ(verification(make_evidence(cases().front(), then).value(), then).reason, Reason::kOk) << at;
  }
}

TEST(Case, good_quotes_of_every_layout_are_refused_when_cut_anywhere) {
  for (const Case& which : cases()) {
    if (!which.tcb_status) continue;
    SCOPED_TRACE(which.name);
    Evidence evidence = make_evidence(which, kAt).value();
    const Bytes whole = evidence.quote;
    Quote quote = parse_quote(whole).value();
    const std::size_t size = quote.size + (quote.open_enclave_header ? 16 : 0);
    const TrustedRoot root = TrustedRoot::from_pem(evidence.root).value();
    auto verified = [&](std::size_t length) {
      return verify(ByteView(whole).first(length), evidence.collateral, root, kAt).verified();
    };
    for (std::size_t length = 0; length < size; ++length) ASSERT_FALSE(verified(length)) << length;
    EXPECT_TRUE(verified(size));
  }
}

TEST(Case, flipped_bits_before_the_certificates_are_refused_in_every_version) {
  for (const char* name : {"up-to-date", "quote-v4", "quote-v5", "td", "td-tdx15", "td-partitioned"}) {
    SCOPED_TRACE(name);
    Evidence evidence = make_evidence(*find_case(name), kAt).value();
    const TrustedRoot root = TrustedRoot::from_pem(evidence.root).value();
    Verifier verifier;
    auto verified = [&] { return verifier.verify(evidence.quote, evidence.collateral, root, kAt).verified(); };
    ASSERT_TRUE(verified());
    const std::size_t certificates = base::as_text(evidence.quote).find("-----BEGIN");
    ASSERT_GT(certificates, 1000U);
    for (std::size_t bit = 0; bit < certificates * 8; bit += 7) {
      auto& byte = evidence.quote[bit / 8];
      const auto before = byte;
      byte = static_cast<std::uint8_t>(byte ^ (1 << bit % 8));
      ASSERT_FALSE(verified()) << "bit " << bit % 8 << " of byte " << bit / 8;
      byte = before;
    }
    EXPECT_TRUE(verified());
  }
}

TEST(Case, names_are_unique_and_good_as_names_of_folders) {
  std::set<std::string> names, whats;
  for (const Case& which : cases()) {
    EXPECT_TRUE(names.insert(which.name).second) << which.name;
    EXPECT_TRUE(whats.insert(which.what).second) << which.what;
    EXPECT_EQ(which.name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-"), std::string::npos) << which.name;
    EXPECT_EQ(which.what.find('|'), std::string::npos) << "it stands in a table: " << which.name;
    EXPECT_EQ(find_case(which.name), &which);
  }
  EXPECT_EQ(find_case("no-such-case"), nullptr);
  EXPECT_EQ(find_case(""), nullptr);
}

// docs/sim-cases.md, section "The cases": | `name` | what | reason | TCB status |
TEST(Case, page_for_people_lists_exactly_these) {
  std::istringstream page(base::read_text(ENCLAYER_SOURCE_DIR "/docs/sim-cases.md", 1 << 18).value());
  std::vector<std::string> listed, wanted;
  bool here = false;
  for (std::string line; std::getline(page, line);) {
    if (line.starts_with("## ")) here = line == "## The cases";
    if (here && line.starts_with("| `")) listed.push_back(line);
  }
  for (const Case& which : cases())
    wanted.push_back("| `" + which.name + "` | " + which.what + " | " + std::string(to_string(which.reason)) + " | " +
                     (which.tcb_status ? std::string(to_string(*which.tcb_status)) : "") + " |");
  EXPECT_EQ(listed, wanted);
}

TEST(Case, platforms_differ_in_their_keys_each_time) {
  const Case& good = cases().front();
  Evidence one = make_evidence(good, kAt).value(), other = make_evidence(good, kAt).value();
  EXPECT_NE(one.root, other.root);
  EXPECT_EQ(one.collateral.tcb_info, other.collateral.tcb_info) << "what is signed is the same";
  EXPECT_EQ(one.collateral.qe_identity, other.collateral.qe_identity);
  EXPECT_NE(one.collateral.tcb_info_signature, other.collateral.tcb_info_signature);
}

}  // namespace
}  // namespace enclayer::sim
