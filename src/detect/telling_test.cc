// SPDX-License-Identifier: Apache-2.0
#include "detect/telling.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace enclayer::detect {
namespace {

using namespace std::chrono_literals;

const Telling::Moment kBegin{};

// The seconds at which a day with news at every one of them is told, as far as an hour.
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

TEST(Telling, is_at_once_and_then_with_growing_pauses_whether_it_works_or_not) {
  const std::vector<long> expected = {0, 10, 30, 70, 150, 310, 630, 1230, 1830, 2430, 3030};
  EXPECT_EQ(told_in_an_hour(true), expected);
  EXPECT_EQ(told_in_an_hour(false), expected);
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

TEST(Telling, begins_anew_after_ten_minutes_without) {
  Telling telling;
  auto now = kBegin + 24h;
  for (int i = 0; i < 5; ++i) {
    telling.done(std::to_string(i), true, now);
    now = telling.next();
  }
  const auto calm = telling.next() + 600s;
  telling.done("again", true, calm);
  EXPECT_EQ(telling.next(), calm + 10s);
}

}  // namespace
}  // namespace enclayer::detect
