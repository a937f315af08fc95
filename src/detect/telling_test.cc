// SPDX-License-Identifier: Apache-2.0
#include "detect/telling.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace enclayer::detect {
namespace {

using namespace std::chrono_literals;

const Telling::Moment kBegin{};

// The seconds of an hour in which news is told that comes with each of them.
std::vector<long> told_in_an_hour(bool worked) {
  Telling telling;
  std::vector<long> out;
  for (auto now = 0s; now < 1h; ++now) {
    const std::string text = std::to_string(now.count());
    const auto moment = kBegin + 24h + now;
    if (!telling.is_news(text) || moment < telling.next()) continue;
    telling.done(text, worked, moment);
    out.push_back(now.count());
  }
  return out;
}

TEST(Telling, is_five_times_at_once_and_then_once_a_minute) {
  auto times = told_in_an_hour(true);
  ASSERT_EQ(times.size(), 64u);
  EXPECT_THAT(std::vector(times.begin(), times.begin() + 8), testing::ElementsAre(0, 1, 2, 3, 4, 60, 120, 180));
}

TEST(Telling, is_after_growing_pauses_where_it_fails) {
  EXPECT_THAT(told_in_an_hour(false), testing::ElementsAre(0, 10, 30, 70, 150, 310, 630, 1230, 1830, 2430, 3030));
}

TEST(Telling, is_of_what_is_otherwise_only) {
  Telling telling;
  EXPECT_FALSE(telling.is_news(""));
  EXPECT_TRUE(telling.is_news("x"));
  telling.done("x", false, kBegin + 24h);
  EXPECT_TRUE(telling.is_news("x")) << "it is still to be told";
  telling.done("x", true, kBegin + 25h);
  EXPECT_FALSE(telling.is_news("x"));
  EXPECT_TRUE(telling.is_news("")) << "it is over";
}

TEST(Telling, forgets_pauses_when_it_works_again) {
  Telling telling;
  auto now = kBegin + 24h;
  for (int i = 0; i < 8; ++i) {
    telling.done("x", false, now);
    now = telling.next();
  }
  telling.done("x", true, now);
  telling.done("y", false, now + 1h);
  EXPECT_EQ(telling.next(), now + 1h + 10s);
}

}  // namespace
}  // namespace enclayer::detect
