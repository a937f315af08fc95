// SPDX-License-Identifier: Apache-2.0
#include "attest/outlook.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/metrics.h"
#include "fake/temp_folder.h"
#include "sim/case.h"

namespace enclayer::attest {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

const Time kNow = parse_time("2026-11-29T12:00:00Z").value();
constexpr auto kTcb =
    "01010101010101010101010101010101"
    "0100";

std::unique_ptr<PlatformCollateral> early_is(const Collateral& collateral) {
  return PlatformCollateral::of_file(to_json(collateral)).value();
}

// One platform, and what Intel would say of it by one edition or another.
class OutlookTest : public testing::Test {
 protected:
  explicit OutlookTest(sim::Order order = sim::good_order(kNow)) : order_(std::move(order)) {}

  Collateral edition(std::uint32_t number, const std::function<void(sim::CollateralOrder&)>& departs = nullptr) const {
    sim::CollateralOrder order = order_.collateral;
    order.tcb_evaluation_data_number = number;
    if (departs) departs(order);
    return sim::issue_collateral(ca_, order).value();
  }
  // The newest level asks for more than the platform has, whose own is then old.
  static void recovery(sim::CollateralOrder& order) {
    sim::TcbLevel old = order.tcb_levels.front();
    order.tcb_levels.front().components[0] = 2;
    old.status = "OutOfDate";
    old.advisory_ids = {"INTEL-SA-99999"};
    order.tcb_levels.push_back(old);
  }
  Verification standard(Time at = kNow) const { return verify(quote_, edition(17), root_, at); }
  std::string page(Outlook& outlook, Time at = kNow) {
    outlook.show(metrics_, at);
    return metrics_.text();
  }

  // The page of metrics after the quote was seen once, beside this early collateral.
  std::string told_by(const Collateral& early) {
    const auto source = early_is(early);
    Outlook outlook(source.get(), root_);
    outlook.saw(quote_, standard(), kNow);
    return page(outlook);
  }

  sim::Order order_;
  const sim::Ca ca_ = sim::make_ca(order_.ca).value();
  const Bytes quote_ = sim::issue_quote(order_.quote, ca_, sim::SigningKey::generate().value()).value();
  const TrustedRoot root_ = TrustedRoot::from_pem(ca_.root.certificate).value();
  base::Metrics metrics_;
};

class OutlookOfTdTest : public OutlookTest {
 protected:
  OutlookOfTdTest() : OutlookTest(sim::good_td_order(kNow)) {}
};

TEST_F(OutlookTest, platform_that_is_good_today_and_not_by_the_early_tcb_info_is_told) {
  EXPECT_THAT(
      told_by(edition(18, recovery)),
      AllOf(HasSubstr(std::string(R"(enclayer_attest_platform_info{early_status="OutOfDate",)") +
                      R"(fmspc="53494d554c41",qe_isvsvn="1",status="UpToDate",tcb=")" + kTcb + R"(",tee="sgx"} 1)"),
            HasSubstr(R"({edition="standard",fmspc="53494d554c41",tee="sgx"} 17)"),
            HasSubstr(R"({edition="early",fmspc="53494d554c41",tee="sgx"} 18)")));
}

TEST_F(OutlookTest, platform_that_the_early_tcb_info_has_no_level_for_is_not_supported) {
  EXPECT_THAT(told_by(edition(18, [](sim::CollateralOrder& order) { order.tcb_levels.front().components[0] = 2; })),
              HasSubstr(R"(early_status="TCB_NOT_SUPPORTED")"));
}

TEST_F(OutlookTest, quoting_enclave_that_early_qe_identity_calls_old_counts) {
  EXPECT_THAT(told_by(edition(18, [](sim::CollateralOrder& order) { order.qe_levels.front().status = "OutOfDate"; })),
              HasSubstr(R"(early_status="OutOfDate")"));
}

TEST_F(OutlookOfTdTest, td_is_told_by_its_own_numbers_too) {
  EXPECT_THAT(told_by(edition(18, [](sim::CollateralOrder& order) { order.qe_levels.front().status = "OutOfDate"; })),
              AllOf(HasSubstr(R"(early_status="OutOfDate")"), HasSubstr(std::string("tcb=\"") + kTcb + "."),
                    HasSubstr(R"(tee="tdx")")));
}

// ---- Unknown, never fine ----

TEST_F(OutlookTest, it_is_unknown_where_there_is_no_early_collateral) {
  Outlook outlook(nullptr, root_);
  outlook.saw(quote_, standard(), kNow);
  EXPECT_THAT(page(outlook), AllOf(HasSubstr(R"(early_status="unknown")"), Not(HasSubstr(R"(edition="early")"))));
}

TEST_F(OutlookTest, it_is_unknown_where_the_early_collateral_is_older_than_the_standard_one) {
  EXPECT_THAT(told_by(edition(16)), HasSubstr(R"(early_status="unknown")"));
}

TEST_F(OutlookTest, it_is_unknown_where_the_early_collateral_does_not_verify) {
  Collateral tampered = edition(18, recovery);
  tampered.tcb_info_signature.front() ^= 1;
  EXPECT_THAT(told_by(tampered), HasSubstr(R"(early_status="unknown")"));
}

TEST_F(OutlookTest, what_was_not_there_is_looked_for_again_and_what_is_known_is_judged_anew_after_a_while) {
  fake::TempFolder folder;
  std::atomic<std::int64_t> later = 0;
  auto early =
      PlatformCollateral::of_cache({.cache = folder.path(), .edition = collateral::Edition::early(), .now = [&] {
                                      return kNow + std::chrono::seconds(later);
                                    }});
  Outlook outlook(early.get(), root_);
  outlook.saw(quote_, standard(), kNow);
  EXPECT_THAT(page(outlook), HasSubstr(R"(early_status="unknown")"));
  const std::string url = collateral::Edition::early().with_url("https://pccs");
  const collateral::Cache cache(folder.path());
  ASSERT_TRUE(cache.keep(collateral::make_entry(url, kNow, edition(18)).value()));
  later = PlatformCollateral::kLookEvery.count();
  const auto deadline = std::chrono::steady_clock::now() + 20s;
  while (!early->for_quote(quote_) && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  outlook.saw(quote_, standard(), kNow + Outlook::kRetry - 1s);
  EXPECT_THAT(page(outlook), HasSubstr(R"(early_status="unknown")"));
  outlook.saw(quote_, standard(), kNow + Outlook::kRetry);
  EXPECT_THAT(page(outlook), HasSubstr(R"(early_status="UpToDate")"));
}

TEST_F(OutlookTest, quote_that_does_not_verify_says_nothing_of_a_platform) {
  const auto early = early_is(edition(18, recovery));
  Outlook outlook(early.get(), root_);
  outlook.saw(quote_, verify(quote_, edition(17), TrustedRoot::intel(), kNow), kNow);
  outlook.saw(quote_, Verification{}, kNow);
  EXPECT_THAT(page(outlook), Not(HasSubstr("enclayer_attest_platform_info{")));
}

TEST_F(OutlookTest, platform_that_is_not_seen_any_more_is_forgotten_and_so_is_the_oldest_of_too_many) {
  Outlook outlook(nullptr, root_);
  Verification seen = standard();
  for (std::size_t i = 0; i <= Outlook::kMost; ++i) {
    seen.platform->tcb_components[15] = static_cast<std::uint8_t>(i);
    outlook.saw(quote_, seen, kNow + std::chrono::seconds(i));
  }
  const std::string text = page(outlook, kNow + 1h);
  std::size_t series = 0;
  for (std::size_t at = 0; (at = text.find("enclayer_attest_platform_info{", at)) != text.npos; ++at) ++series;
  EXPECT_EQ(series, Outlook::kMost);
  EXPECT_THAT(text, Not(HasSubstr(R"(tcb="010101010101010101010101010101000100")")));  // the first of them
  EXPECT_THAT(page(outlook, kNow + 30h), Not(HasSubstr("enclayer_attest_platform_info{")));
}

}  // namespace
}  // namespace enclayer::attest
