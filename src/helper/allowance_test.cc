// SPDX-License-Identifier: Apache-2.0
#include "helper/allowance.h"

#include <gtest/gtest.h>

namespace enclayer::helper {
namespace {

using namespace std::chrono_literals;

const Allowance::Clock::time_point kStart{1000h};

int taken(Allowance& allowance, std::uint64_t key, Allowance::Clock::time_point now, int tries) {
  int taken = 0;
  for (int i = 0; i < tries; ++i) taken += allowance.take(key, now);
  return taken;
}

TEST(Allowance, a_minutes_quotes_may_be_had_at_once_and_are_earned_again_one_by_one) {
  Allowance allowance(6);
  EXPECT_EQ(taken(allowance, 1, kStart, 20), 6);
  EXPECT_EQ(taken(allowance, 1, kStart + 9999ms, 20), 0);
  EXPECT_EQ(taken(allowance, 1, kStart + 10s, 20), 1);
  EXPECT_EQ(taken(allowance, 1, kStart + 40s, 20), 3);
  EXPECT_EQ(taken(allowance, 1, kStart + 1h, 20), 6);
}

TEST(Allowance, tells_whether_there_is_one_without_taking_it) {
  Allowance allowance(2);
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(allowance.any(1, kStart));
  EXPECT_EQ(allowance.keys(), 0u);
  EXPECT_EQ(taken(allowance, 1, kStart, 2), 2);
  EXPECT_FALSE(allowance.any(1, kStart));
  EXPECT_TRUE(allowance.any(2, kStart));
  EXPECT_FALSE(allowance.any(1, kStart + 29s));
  EXPECT_TRUE(allowance.any(1, kStart + 30s));
  EXPECT_EQ(taken(allowance, 1, kStart + 30s, 2), 1);
}

TEST(Allowance, numbers_that_do_not_divide_a_minute_are_kept_too) {
  for (int a_minute : {1, 7, 59, 61, 1000, 99'999, Allowance::kMost}) {
    Allowance allowance(a_minute);
    EXPECT_EQ(taken(allowance, 1, kStart, a_minute + 10), a_minute);
  }
}

TEST(Allowance, one_who_asks_without_end_takes_nothing_from_others) {
  Allowance allowance(2);
  EXPECT_EQ(taken(allowance, 1, kStart, 1000), 2);
  EXPECT_EQ(taken(allowance, 2, kStart, 1000), 2);
}

TEST(Allowance, who_has_earned_all_back_is_forgotten_and_newcomers_beyond_the_bound_share_one) {
  Allowance allowance(2);
  for (std::uint64_t key = 0; key < Allowance::kMostKeys; ++key) EXPECT_TRUE(allowance.take(key, kStart));
  EXPECT_EQ(taken(allowance, 100'000, kStart, 5) + taken(allowance, 100'001, kStart, 5), 2);
  EXPECT_EQ(taken(allowance, 7, kStart, 5), 1);
  EXPECT_EQ(allowance.keys(), Allowance::kMostKeys);
  EXPECT_EQ(taken(allowance, 100'001, kStart + 30s, 5), 2);
  EXPECT_EQ(allowance.keys(), 2u) << "key 7 is the only one that has used up more than it earned";
}

}  // namespace
}  // namespace enclayer::helper
