// SPDX-License-Identifier: Apache-2.0
#include "collateral/obtain.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/bytes.h"
#include "base/file.h"
#include "fake/quote_case.h"
#include "fake/temp_folder.h"

namespace enclayer::collateral {
namespace {

using std::chrono::days;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const Time kNow = parse_time("2025-08-20T00:00:00Z").value();

struct Obtain : testing::Test {
  fake::TempFolder temporary;
  Cache cache{temporary.path()};
  Collateral answer = fake::quote_case("C_automata_sgx_platform").collateral;
  Request request{contents_of(answer).value().platform, "https://pccs.example/v4"};
  std::optional<Error> failure;
  int asked = 0;

  Result<Obtained> obtain_at(Time now) {
    return obtain(&cache, request, now, [&]() -> Result<Collateral> {
      ++asked;
      if (failure) return *failure;
      return answer;
    });
  }
  void damage_cache() {
    for (auto listed_now = cache.list().value(); const Cache::Listed& listed : listed_now)
      ASSERT_TRUE(base::write_file_atomic(cache.folder() / listed.file, base::as_bytes("{"), 0600));
  }
};

TEST_F(Obtain, asks_once_a_day_and_takes_the_cache_in_between) {
  auto first = obtain_at(kNow), second = obtain_at(kNow + std::chrono::hours(23)), third = obtain_at(kNow + days(1));
  ASSERT_TRUE(first && second && third);
  EXPECT_FALSE(first->from_cache);
  EXPECT_TRUE(second->from_cache);
  EXPECT_EQ(second->entry, first->entry);
  EXPECT_FALSE(third->from_cache);
  EXPECT_EQ(asked, 2);
  EXPECT_THAT(first->warnings, IsEmpty());
  EXPECT_THAT(second->warnings, IsEmpty());
  EXPECT_THAT(third->warnings, IsEmpty());
}

TEST_F(Obtain, asks_when_it_is_told_to_refresh) {
  ASSERT_TRUE(obtain_at(kNow));
  request.refresh = true;
  EXPECT_FALSE(obtain_at(kNow)->from_cache);
  EXPECT_EQ(asked, 2);
}

TEST_F(Obtain, what_is_due_but_holds_is_taken_when_the_service_fails) {
  ASSERT_TRUE(obtain_at(kNow));
  failure = Error(ErrorKind::kUnavailable, "nobody there");
  auto cached = obtain_at(kNow + days(2));
  ASSERT_TRUE(cached);
  EXPECT_TRUE(cached->from_cache);
  EXPECT_THAT(cached->warnings, ElementsAre(HasSubstr("fetched from it at 2025-08-20T00:00:00Z: nobody there")));
}

TEST_F(Obtain, what_has_expired_is_not_taken_when_the_service_fails) {
  ASSERT_TRUE(obtain_at(kNow));
  failure = Error(ErrorKind::kUnavailable, "nobody there");
  auto nothing = obtain_at(kNow + days(40));
  ASSERT_FALSE(nothing);
  EXPECT_EQ(nothing.error().message(), "nobody there");
}

TEST_F(Obtain, damaged_entry_is_fetched_again) {
  ASSERT_TRUE(obtain_at(kNow));
  damage_cache();
  auto fetched = obtain_at(kNow);
  ASSERT_TRUE(fetched);
  EXPECT_FALSE(fetched->from_cache);
  EXPECT_THAT(fetched->warnings, ElementsAre(HasSubstr("what the cache has is not used")));
  EXPECT_TRUE(obtain_at(kNow)->from_cache) << "and it is whole again";
}

TEST_F(Obtain, answer_that_does_not_hold_now_is_handed_on_with_a_warning) {
  auto old = obtain_at(kNow + days(300));
  ASSERT_TRUE(old);
  EXPECT_THAT(old->warnings, ElementsAre(HasSubstr("QE Identity ends it) is valid from")));
}

TEST_F(Obtain, older_answer_does_not_replace_what_is_there) {
  ASSERT_TRUE(obtain_at(kNow));
  Collateral newest = answer;
  answer = fake::quote_case("C_eval17").collateral;
  auto obtained = obtain_at(kNow + days(2));
  ASSERT_TRUE(obtained);
  EXPECT_TRUE(obtained->from_cache);
  EXPECT_EQ(obtained->entry.collateral, newest);
  EXPECT_THAT(obtained->warnings, ElementsAre(HasSubstr("older than what the cache has")));
}

TEST_F(Obtain, offline_never_asks) {
  request.offline = true;
  auto nothing = obtain_at(kNow);
  ASSERT_FALSE(nothing);
  EXPECT_EQ(nothing.error().kind(), ErrorKind::kNotFound);
  EXPECT_THAT(nothing.error().message(), HasSubstr("collateral import"));
  ASSERT_TRUE(cache.keep(make_entry("https://other.example/v4", kNow, answer).value()));
  EXPECT_THAT(obtain_at(kNow).error().message(), HasSubstr("there is some from https://other.example/v4 (--pccs)"));
  ASSERT_TRUE(cache.keep(make_entry(request.url, kNow, answer).value()));
  EXPECT_THAT(obtain_at(kNow + days(2))->warnings, IsEmpty());
  EXPECT_THAT(obtain_at(kNow + days(40))->warnings, ElementsAre(HasSubstr("is valid from")));
  damage_cache();
  EXPECT_THAT(obtain_at(kNow).error().message(), HasSubstr("is not used"));
  EXPECT_EQ(asked, 0);
}

TEST_F(Obtain, cache_that_cannot_be_written_is_a_warning) {
  ASSERT_TRUE(base::write_file_atomic(temporary.path() / "file", {}, 0600));
  Cache broken(temporary.path() / "file" / "cache");
  auto obtained = obtain(&broken, request, kNow, [&]() -> Result<Collateral> { return answer; });
  ASSERT_TRUE(obtained);
  EXPECT_EQ(obtained->entry.collateral, answer);
  EXPECT_THAT(obtained->warnings, ElementsAre(HasSubstr("not kept in the cache")));
}

TEST_F(Obtain, without_a_cache_it_always_asks) {
  for (int i = 1; i <= 2; ++i) {
    auto obtained = obtain(nullptr, request, kNow, [&]() -> Result<Collateral> {
      ++asked;
      return answer;
    });
    ASSERT_TRUE(obtained);
    EXPECT_EQ(asked, i);
  }
}

}  // namespace
}  // namespace enclayer::collateral
