// SPDX-License-Identifier: Apache-2.0
#include "attest/platform_collateral.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

#include "fake/temp_folder.h"
#include "sim/case.h"

namespace enclayer::attest {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

const Time kNow = parse_time("2026-11-29T12:00:00Z").value();

class PlatformCollateralTest : public testing::Test {
 protected:
  const sim::Evidence evidence_ = sim::make_evidence(sim::cases().front(), kNow).value();
  const collateral::PlatformKind kind_ = collateral::platform_of_quote(evidence_.quote)->kind;
  std::atomic<std::int64_t> later_ = 0;  // seconds
  std::atomic<int> asked_ = 0;
  std::atomic<bool> away_ = false;
  fake::TempFolder folder_;

  PlatformCollateral::Options options(std::vector<ByteArray<6>> allowed) {
    return {.cache = folder_.path() / "cache",
            .service = "https://pccs",
            .ask = [this](const collateral::PlatformKind&) -> Result<Collateral> {
              ++asked_;
              if (away_) return Error(ErrorKind::kUnavailable, "the service is away");
              return evidence_.collateral;
            },
            .fmspc = std::move(allowed),
            .now = [this] { return kNow + std::chrono::seconds(later_); }};
  }
  // Until it answers otherwise than that it is being fetched.
  Result<std::shared_ptr<const Collateral>> settled(PlatformCollateral& collateral) {
    const auto deadline = std::chrono::steady_clock::now() + 20s;
    while (true) {
      auto answer = collateral.for_quote(evidence_.quote);
      const bool fetching = !answer && answer.error().message().find("is being fetched") != std::string::npos;
      if (!fetching || std::chrono::steady_clock::now() > deadline) return answer;
      std::this_thread::yield();
    }
  }
};

TEST_F(PlatformCollateralTest, file_is_for_every_quote_and_a_broken_one_is_refused) {
  auto of_file = PlatformCollateral::of_file(to_json(evidence_.collateral));
  ASSERT_TRUE(of_file);
  EXPECT_EQ(**(*of_file)->for_quote(evidence_.quote), evidence_.collateral);
  EXPECT_EQ((*of_file)->first_expiry(), collateral::contents_of(evidence_.collateral)->validity.until);
  EXPECT_EQ(PlatformCollateral::of_file("{}").error().kind(), ErrorKind::kMalformed);
}

TEST_F(PlatformCollateralTest, who_comes_first_is_told_to_come_back_and_then_the_cache_answers_without_asking) {
  auto collateral = PlatformCollateral::of_cache(options({kind_.fmspc}));
  auto first = collateral->for_quote(evidence_.quote);
  ASSERT_FALSE(first);
  EXPECT_EQ(first.error().kind(), ErrorKind::kUnavailable);
  ASSERT_TRUE(settled(*collateral));
  EXPECT_EQ(asked_, 1);
  collateral = PlatformCollateral::of_cache(options({}));  // known by the cache
  EXPECT_TRUE(collateral->for_quote(evidence_.quote));
  EXPECT_EQ(asked_, 1);
}

TEST_F(PlatformCollateralTest, strangers_platforms_are_not_asked_for) {
  auto collateral = PlatformCollateral::of_cache(options({}));
  auto answer = collateral->for_quote(evidence_.quote);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind(), ErrorKind::kNotFound);
  EXPECT_THAT(answer.error().message(), HasSubstr("--fmspc 53494d554c41"));
  EXPECT_EQ(asked_, 0);
}

TEST_F(PlatformCollateralTest, failure_is_remembered_for_a_while) {
  away_ = true;
  auto collateral = PlatformCollateral::of_cache(options({kind_.fmspc}));
  for (int i = 0; i < 100; ++i) {
    auto answer = settled(*collateral);
    ASSERT_FALSE(answer);
    EXPECT_THAT(answer.error().message(), HasSubstr("the service is away"));
  }
  EXPECT_EQ(asked_, 1);
  EXPECT_EQ(collateral->failures(), 1u);
  away_ = false;
  later_ = PlatformCollateral::kPause.count();
  EXPECT_TRUE(settled(*collateral));
}

TEST_F(PlatformCollateralTest, what_is_due_is_fetched_while_the_old_answers_and_what_has_expired_answers_no_more) {
  auto collateral = PlatformCollateral::of_cache(options({kind_.fmspc}));
  ASSERT_TRUE(settled(*collateral));
  away_ = true;
  later_ = 25L * 3600;
  const auto deadline = std::chrono::steady_clock::now() + 20s;
  while (asked_ < 2 && std::chrono::steady_clock::now() < deadline) EXPECT_TRUE(collateral->for_quote(evidence_.quote));
  EXPECT_GE(asked_, 2);
  EXPECT_TRUE(collateral->for_quote(evidence_.quote));
  later_ = 40L * 24 * 3600;
  auto answer = settled(*collateral);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind(), ErrorKind::kUnavailable);
}

TEST_F(PlatformCollateralTest, editions_of_one_platform_are_told_apart_also_where_nobody_is_asked) {
  const sim::Order order = sim::good_order(kNow);
  const sim::Ca ca = sim::make_ca(order.ca).value();
  sim::CollateralOrder older = order.collateral;
  older.issued -= 1h;
  const Collateral standard = sim::issue_collateral(ca, older).value(),
                   early = sim::issue_collateral(ca, order.collateral).value();
  const Bytes quote = sim::issue_quote(order.quote, ca, sim::SigningKey::generate().value()).value();
  const collateral::Cache cache(folder_.path() / "cache");
  const collateral::Edition editions[] = {collateral::Edition(), collateral::Edition::early()};
  for (const auto& [url, what] : {std::pair("https://pccs", standard), {"https://pccs?update=early", early}})
    ASSERT_TRUE(cache.keep(collateral::make_entry(url, kNow, what).value()));
  for (const char* service : {"", "https://pccs"})
    for (const collateral::Edition& edition : editions) {
      PlatformCollateral::Options offline = options({});
      offline.ask = nullptr;
      offline.service = service;
      offline.edition = edition;
      auto found = PlatformCollateral::of_cache(offline)->for_quote(quote);
      ASSERT_TRUE(found) << found.error().message();
      EXPECT_EQ(**found, edition == collateral::Edition::early() ? early : standard) << service << edition.query;
    }
}

TEST_F(PlatformCollateralTest, platform_of_a_quote_that_was_verified_is_asked_for_without_being_allowed) {
  PlatformCollateral::Options early = options({});
  early.edition = collateral::Edition::early();
  early.for_verified = true;
  auto collateral = PlatformCollateral::of_cache(early);
  ASSERT_TRUE(settled(*collateral));
  EXPECT_EQ(collateral::Cache(folder_.path() / "cache").list()->front().entry->url, "https://pccs?update=early");
}

TEST_F(PlatformCollateralTest, bundle_that_is_imported_meanwhile_is_found) {
  PlatformCollateral::Options offline = options({});
  offline.ask = nullptr;
  offline.service = "";
  auto collateral = PlatformCollateral::of_cache(offline);
  EXPECT_EQ(collateral->for_quote(evidence_.quote).error().kind(), ErrorKind::kNotFound);
  const collateral::Cache cache(folder_.path() / "cache");
  ASSERT_TRUE(cache.keep(collateral::make_entry("https://elsewhere", kNow, evidence_.collateral).value()));
  later_ = PlatformCollateral::kLookEvery.count();
  const auto deadline = std::chrono::steady_clock::now() + 20s;
  while (!collateral->for_quote(evidence_.quote) && std::chrono::steady_clock::now() < deadline)
    std::this_thread::yield();
  EXPECT_TRUE(collateral->for_quote(evidence_.quote));
}

}  // namespace
}  // namespace enclayer::attest
