// SPDX-License-Identifier: Apache-2.0
#include "quoting/self_test.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fake/dcap_standin.h"

namespace enclayer::quoting {
namespace {

using fake::DcapStandin;
using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

constexpr std::chrono::milliseconds kPatience{30'000};

std::string names(const SelfTest& test) {
  std::string all;
  for (const auto& step : test.steps) all += step.name + " ";
  return all;
}

TEST(SelfTest, working_libraries_pass_every_step_that_is_possible) {
  DcapStandin standin;
  SelfTest test = test_dcap(standin.launch(), kPatience);
  EXPECT_TRUE(test.passed()) << to_text(test);
  EXPECT_EQ(names(test), "load init size quote verify ");
  EXPECT_THAT(to_text(test),
              AllOf(StartsWith("passed  load    "), HasSubstr("\npassed  quote   INVALID_REPORT (0xE015)"),
                    HasSubstr("\nnot run verify  ")));
}

TEST(SelfTest, a_missing_library_ends_it_at_the_first_step) {
  DcapStandin standin;
  standin.options().lib_dir = standin.folder();
  SelfTest test = test_dcap(standin.launch(), kPatience);
  EXPECT_FALSE(test.passed());
  EXPECT_THAT(to_text(test), AllOf(StartsWith("FAILED  load    "), HasSubstr("install package libsgx-dcap-ql")));
  EXPECT_EQ(names(test), "load ");
}

TEST(SelfTest, a_failure_comes_with_what_the_library_printed) {
  DcapStandin standin;
  standin.tell("init e019\nsay [QCNL] Encountered CURL error: (7)");
  SelfTest test = test_dcap(standin.launch(), kPatience);
  EXPECT_FALSE(test.passed());
  EXPECT_THAT(to_text(test), AllOf(HasSubstr("FAILED  init    preparing the attestation key failed with NETWORK_ERROR"),
                                   HasSubstr("the library said: [QCNL] Encountered CURL error: (7)")));
}

TEST(SelfTest, a_library_that_crashes_or_hangs_fails_it) {
  DcapStandin standin;
  standin.tell("crash size");
  EXPECT_THAT(to_text(test_dcap(standin.launch(), kPatience)),
              HasSubstr("FAILED  size    the quote worker was killed"));
  standin.tell("hang quote");
  EXPECT_THAT(to_text(test_dcap(standin.launch(), std::chrono::milliseconds(500))),
              HasSubstr("FAILED  quote   Intel's quote library did not answer within 500 ms"));
}

TEST(SelfTest, a_quote_without_a_certificate_fails_it) {
  DcapStandin standin;
  standin.tell("cert 404");
  SelfTest test = test_dcap(standin.launch(), kPatience);
  EXPECT_FALSE(test.passed());
  EXPECT_THAT(to_text(test), HasSubstr("a quote has 1456 bytes, so it would carry no PCK certificate"));
}

TEST(SelfTest, a_quoting_enclave_that_signs_anything_fails_it) {
  DcapStandin standin;
  standin.tell("qe -160");  // accepts reports whose MAC is zero
  SelfTest test = test_dcap(standin.launch(), kPatience);
  EXPECT_FALSE(test.passed());
  EXPECT_THAT(to_text(test), HasSubstr("an empty report was quoted"));
}

}  // namespace
}  // namespace enclayer::quoting
