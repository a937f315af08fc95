// SPDX-License-Identifier: Apache-2.0
#include "addon/helper_facts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace enclayer::addon {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::string_view kHardware = R"({"version":"0.1.0","platform":"hardware","generation":3,
  "libraries":[{"file":"/usr/lib/libsgx_urts.so.2.25","version":"2.25"},{"file":"/usr/lib/libsgx_dcap_ql.so.1.22.100.3","version":"1.22.100.3"}],
  "qe":{"mr_enclave":"00","isvsvn":6,"from":"quote"},"pce":{"isvsvn":13,"from":"file"},"fmspc":"00606a000000",
  "tcb":null,"tcb_unknown":"no collateral"})";

constexpr std::string_view kTcbInfo = R"({"tcbInfo":{"tcbLevels":[
  {"tcb":{"pcesvn":13},"tcbStatus":"UpToDate"},{"tcb":{"pcesvn":11},"tcbStatus":"OutOfDate"}]},"signature":"00"})";
constexpr std::string_view kQeIdentity = R"({"enclaveIdentity":{"tcbLevels":[
  {"tcb":{"isvsvn":8},"tcbStatus":"UpToDate"},{"tcb":{"isvsvn":6},"tcbStatus":"OutOfDate"}]},"signature":"00"})";

TEST(HelperFacts, are_read_from_what_a_helper_prints) {
  HelperFacts facts = parse_helper_facts(kHardware).value();
  EXPECT_EQ(facts.libraries, "1.22.100.3");
  EXPECT_EQ(facts.qe_svn, 6);
  EXPECT_EQ(facts.pce_svn, 13);
  EXPECT_EQ(facts.fmspc, "00606a000000");
  EXPECT_EQ(facts.tcb_status, "");
  EXPECT_EQ(facts.tcb_unknown, "no collateral");
}

TEST(HelperFacts, of_other_types_are_not_there_and_what_is_no_object_is_refused) {
  HelperFacts facts = parse_helper_facts(R"({"qe":{"isvsvn":-1},"pce":7,"libraries":{},"tcb":{"status":5}})").value();
  EXPECT_EQ(facts.qe_svn, std::nullopt);
  EXPECT_EQ(facts.pce_svn, std::nullopt);
  EXPECT_EQ(facts.tcb_status, "");
  for (std::string bad : {std::string(""), std::string("[]"), std::string("{"), std::string(kMostHelperFacts + 1, ' ')})
    EXPECT_EQ(parse_helper_facts(bad).error().kind(), ErrorKind::kMalformed);
}

TEST(HelperFacts, are_compared_with_the_newest_up_to_date_level) {
  HelperFacts facts = parse_helper_facts(kHardware).value();
  facts.node = "sgx-1";
  NeededSvns needed = needed_svns(kTcbInfo, kQeIdentity);
  EXPECT_EQ(needed.qe, 8);
  EXPECT_EQ(needed.pce, 13);
  EXPECT_THAT(warnings_of(facts, needed),
              ElementsAre(HasSubstr("QE of ISVSVN 6, an up-to-date platform 00606a000000 has 8")));
  facts.qe_svn = 8;
  EXPECT_THAT(warnings_of(facts, needed), IsEmpty());
  EXPECT_THAT(warnings_of(facts, needed_svns("", "[]")), IsEmpty()) << "nothing is known of what is needed";
}

TEST(HelperFacts, a_platform_that_is_behind_is_warned_about_with_its_advisories) {
  HelperFacts facts;
  facts.node = "sgx-1";
  facts.tcb_status = "OutOfDate";
  facts.advisories = {"INTEL-SA-00001", "INTEL-SA-00002"};
  EXPECT_THAT(warnings_of(facts, {}),
              ElementsAre("quotes of sgx-1 reach TCB status OutOfDate only: INTEL-SA-00001, INTEL-SA-00002"));
  facts.tcb_status = "UpToDate";
  EXPECT_THAT(warnings_of(facts, {}), IsEmpty());
  facts.trouble = "it does not answer";
  EXPECT_THAT(warnings_of(facts, {}), ElementsAre(HasSubstr("it does not answer")));
}

}  // namespace
}  // namespace enclayer::addon
