// SPDX-License-Identifier: Apache-2.0
#include "quoting/source_facts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/metrics.h"
#include "sim/ca.h"
#include "sim/enclave.h"
#include "sim/quoting_enclave.h"

namespace enclayer::quoting {
namespace {

using nlohmann::json;
using testing::HasSubstr;

constexpr char kLib[] = "/usr/lib/x86_64-linux-gnu/";

ByteArray<32> filled(std::uint8_t with) {
  ByteArray<32> out{};
  out.fill(with);
  return out;
}

std::vector<DcapFile> files() {
  return {{std::string(kLib) + "libsgx_dcap_ql.so.1.22.100.3", {}},
          {std::string(kLib) + "libsgx_qe3_logic.so", {}},
          {std::string(kLib) + "libsgx_qe3.signed.so.1.22.100.1", {{filled(1), 1, 9}, {filled(2), 1, 11}}},
          {std::string(kLib) + "libsgx_pce.signed.so.1.25.100.1", {{filled(3), 1, 16}, {filled(4), 1, 16}}}};
}

TEST(SourceFacts, files_tell_versions_and_the_svn_of_the_enclave_that_answered) {
  SourceFacts facts = facts_of_files(files(), filled(2));
  EXPECT_EQ(facts.library_version(), "1.22.100.3");
  ASSERT_EQ(facts.files.size(), 4u);
  EXPECT_EQ(facts.files[1].version, "");
  EXPECT_EQ(facts.files[2].version, "1.22.100.1");
  EXPECT_EQ(facts.qe_svn, (SourceFacts::Svn{11, false}));
  EXPECT_EQ(facts.pce_svn, (SourceFacts::Svn{16, false}));
  EXPECT_EQ(facts.tcb, std::nullopt);
  EXPECT_NE(facts.tcb_unknown, "");
}

TEST(SourceFacts, what_files_leave_open_is_unknown) {
  auto two_versions = files();
  two_versions[3].sigstructs[1].isv_svn = 17;
  EXPECT_EQ(facts_of_files(two_versions, filled(2)).pce_svn, std::nullopt);
  EXPECT_EQ(facts_of_files(files(), filled(7)).qe_svn, std::nullopt) << "another QE answered than the file has";
  EXPECT_EQ(facts_of_files(files(), std::nullopt).qe_svn, std::nullopt);
  SourceFacts none = facts_of_files({{std::string(kLib) + "libsgx_dcap_ql.so.1", {}}}, std::nullopt);
  EXPECT_EQ(none.library_version(), "") << "1 is the interface's number";
  json told = json::parse(to_json(none, {"0.1.0", "hardware", "", 0}));
  for (const char* unknown : {"qe", "pce", "fmspc", "pck_tcb", "pck_ca", "tcb"})
    EXPECT_TRUE(told.at(unknown).is_null()) << unknown;
  EXPECT_TRUE(told.at("libraries").at(0).at("version").is_null());
  EXPECT_FALSE(told.contains("instance"));
  EXPECT_FALSE(told.contains("generation"));
}

class SimFactsTest : public testing::Test {
 protected:
  const Time now_ = parse_time("2026-07-01T12:00:00Z").value();
  const sim::Ca ca_ = sim::make_ca(sim::ca_order(now_)).value();
  std::unique_ptr<sim::QuotingEnclave> qe_ =
      sim::QuotingEnclave::make(ca_, sim::SigningKey::generate().value()).value();
  const Bytes quote_ = qe_->quote(sim::ereport(sim::enclave_body({}), qe_->target()->qe), std::nullopt)->quote;
  sim::CollateralOrder order_ = sim::collateral_order(now_);
  const attestation::PlatformTcb tcb_{{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, sim::kSvn};
  Verification verified() const {
    return verify(quote_, sim::issue_collateral(ca_, order_).value(),
                  TrustedRoot::from_pem(ca_.root.certificate).value(), now_);
  }
};

TEST_F(SimFactsTest, quote_tells_svns_and_platform_better_than_files_do) {
  SourceFacts facts = facts_of_files(files(), filled(2));
  learn_from_quote(facts, quote_);
  EXPECT_EQ(facts.qe_svn, (SourceFacts::Svn{sim::qe_body().isv_svn, true}));
  ASSERT_TRUE(facts.pce_svn);
  EXPECT_TRUE(facts.pce_svn->from_quote);
  EXPECT_EQ(facts.pck, (SourceFacts::Pck{{'S', 'I', 'M', 'U', 'L', 'A'}, tcb_, true}));
  EXPECT_EQ(facts.tcb, std::nullopt) << "nobody has verified it";
  SourceFacts same = facts;
  learn_from_quote(facts, ByteView(quote_).first(100));
  EXPECT_EQ(facts, same);
}

TEST_F(SimFactsTest, verification_tells_the_level_and_json_and_metric_say_all_of_it) {
  SourceFacts facts;
  learn_from_quote(facts, quote_);
  learn_from_verification(facts, verified());
  ASSERT_TRUE(facts.tcb) << facts.tcb_unknown;
  EXPECT_EQ(facts.tcb->status, TcbStatus::kUpToDate);
  json told = json::parse(to_json(facts, {"0.1.0", "sim", "uid-1", 3}));
  EXPECT_EQ(told.at("version"), "0.1.0");
  EXPECT_EQ(told.at("platform"), "sim");
  EXPECT_EQ(told.at("instance"), "uid-1");
  EXPECT_EQ(told.at("generation"), 3);
  EXPECT_EQ(told.at("qe").at("isvsvn"), sim::qe_body().isv_svn);
  EXPECT_EQ(told.at("qe").at("from"), "quote");
  EXPECT_EQ(told.at("tcb").at("status"), "UpToDate");
  EXPECT_EQ(told.at("fmspc"), "53494d554c41");
  EXPECT_EQ(told.at("pck_tcb"), to_string(tcb_));
  EXPECT_EQ(told.at("pck_ca"), "platform");
  EXPECT_FALSE(told.contains("tcb_unknown"));

  base::Metrics metrics;
  show_source_info(facts, metrics);
  EXPECT_THAT(metrics.text(), HasSubstr("fmspc=\"53494d554c41\""));
  EXPECT_THAT(metrics.text(), HasSubstr("tcb=\"" + to_string(tcb_) + "\",tcb_status=\"UpToDate\"} 1\n"));
  EXPECT_THAT(metrics.text(), HasSubstr("library_version=\"unknown\""));
}

TEST_F(SimFactsTest, level_that_is_out_of_date_and_quote_that_does_not_verify_are_told_apart) {
  SourceFacts facts;
  order_.qe_levels.front().status = "OutOfDate";
  order_.qe_levels.front().advisory_ids = {"INTEL-SA-99999"};
  learn_from_verification(facts, verified());
  ASSERT_TRUE(facts.tcb) << facts.tcb_unknown;
  EXPECT_EQ(facts.tcb->status, TcbStatus::kOutOfDate);
  EXPECT_EQ(facts.tcb->advisory_ids, std::vector<std::string>{"INTEL-SA-99999"});
  order_.qe_levels.clear();
  learn_from_verification(facts, verified());
  EXPECT_EQ(facts.tcb, std::nullopt);
  EXPECT_THAT(facts.tcb_unknown, HasSubstr("the quote does not verify: "));
}

}  // namespace
}  // namespace enclayer::quoting
