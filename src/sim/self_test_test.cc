// SPDX-License-Identifier: Apache-2.0
#include "sim/self_test.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fake/quote_source.h"
#include "sim/quoting_enclave.h"

namespace enclayer::sim {
namespace {

using testing::ElementsAre;
using testing::Field;
using testing::HasSubstr;

TEST(SimSelfTest, the_simulation_makes_a_quote_and_checks_it) {
  const Time now = parse_time("2026-11-21T10:00:00Z").value();
  auto ca = make_ca(ca_order(now)).value();
  auto qe = QuotingEnclave::make(ca, SigningKey::generate().value()).value();
  auto collateral = issue_collateral(ca, collateral_order(now)).value();
  quoting::SelfTest test = self_test(*qe, collateral, ca.root.certificate, now);
  EXPECT_TRUE(test.passed()) << to_text(test);
  using Step = quoting::SelfTest::Step;
  EXPECT_THAT(test.steps, ElementsAre(Field(&Step::name, "init"), Field(&Step::name, "size"),
                                      Field(&Step::name, "quote"), Field(&Step::name, "verify")));
  EXPECT_THAT(to_text(test), HasSubstr("SIMULATED"));
  EXPECT_FALSE(self_test(*qe, collateral, ca.root.certificate, now + std::chrono::years(1)).passed());
}

TEST(SimSelfTest, a_source_that_fails_fails_it) {
  fake::QuoteSource source;
  source.next_size = Error(ErrorKind::kUnavailable, "no certificate");
  quoting::SelfTest test = self_test(source, {}, {}, {});
  EXPECT_FALSE(test.passed());
  EXPECT_EQ(to_text(test).substr(to_text(test).find("FAILED"), 31), "FAILED  size    no certificate ");
}

}  // namespace
}  // namespace enclayer::sim
