// SPDX-License-Identifier: Apache-2.0
#include "base/fair_queue.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace enclayer::base {
namespace {

std::string all(FairQueue<std::string>& queue) {
  std::string out;
  while (auto item = queue.pop()) out += *item + " ";
  return out;
}

TEST(FairQueue, groups_take_turns_and_each_is_first_in_first_out) {
  FairQueue<std::string> queue(100, 100);
  for (const char* item : {"a1", "a2", "a3"}) queue.push({1}, item);
  for (const char* item : {"b1", "b2"}) queue.push({2}, item);
  EXPECT_EQ(queue.size(), 5u);
  EXPECT_EQ(queue.groups(), 2u);
  EXPECT_EQ(queue.size(1), 3u);
  EXPECT_EQ(queue.pop(), "a1");
  queue.push({3}, "c1");
  EXPECT_EQ(all(queue), "b1 a2 c1 b2 a3 ");
  EXPECT_EQ(queue.groups(), 0u);
}

TEST(FairQueue, full_one_takes_a_place_from_the_largest_group_but_not_for_one_as_long) {
  FairQueue<std::string> queue(3, 3);
  queue.push({1}, "a1"), queue.push({1}, "a2"), queue.push({2}, "b1");
  EXPECT_EQ(queue.push({2}, "b2"), "b2");
  EXPECT_EQ(queue.push({3}, "c1"), "a2");
  EXPECT_EQ(queue.push({4}, "d1"), "d1");
  EXPECT_EQ(queue.size(), 3u);
  EXPECT_EQ(all(queue), "a1 b1 c1 ");
}

TEST(FairQueue, group_has_no_more_places_than_it_may) {
  FairQueue<std::string> queue(100, 2);
  EXPECT_EQ(queue.push({1}, "a1"), std::nullopt);
  EXPECT_EQ(queue.push({1}, "a2"), std::nullopt);
  EXPECT_EQ(queue.push({1}, "a3"), "a3");
  EXPECT_EQ(queue.push({2}, "b1"), std::nullopt);
}

TEST(FairQueue, item_can_be_taken_out_and_an_empty_group_has_no_turn) {
  FairQueue<std::unique_ptr<int>> queue(100, 100);
  for (int i = 0; i < 3; ++i) queue.push({1}, std::make_unique<int>(i));
  queue.push({2}, std::make_unique<int>(10));
  auto is = [](int wanted) { return [wanted](const std::unique_ptr<int>& item) { return *item == wanted; }; };
  EXPECT_EQ(**queue.take({1}, is(1)), 1);
  EXPECT_FALSE(queue.take({1}, is(1)));
  EXPECT_FALSE(queue.take({9}, is(1)));
  EXPECT_EQ(**queue.take({2}, is(10)), 10);
  EXPECT_EQ(queue.groups(), 1u);
  EXPECT_EQ(**queue.pop(), 0);
  EXPECT_EQ(**queue.pop(), 2);
  EXPECT_FALSE(queue.pop());
}

TEST(FairQueue, holders_of_a_group_share_its_turn) {
  FairQueue<std::string> queue(100, 100);
  for (const char* item : {"a1", "a2"}) queue.push({1, 10}, item);
  queue.push({1, 11}, "b1"), queue.push({1, 12}, "c1");
  for (const char* item : {"x1", "x2", "x3", "x4"}) queue.push({2}, item);
  EXPECT_EQ(queue.holders(1), 3u);
  EXPECT_EQ(queue.size({1, 10}), 2u);
  EXPECT_EQ(all(queue), "a1 x1 b1 x2 c1 x3 a2 x4 ");
}

TEST(FairQueue, full_group_takes_the_place_from_its_own_holder_with_most) {
  FairQueue<std::string> queue(100, 3);
  for (const char* item : {"a1", "a2", "a3"}) queue.push({1, 10}, item);
  queue.push({2}, "x1");
  EXPECT_EQ(queue.push({1, 11}, "b1"), "a3");
  EXPECT_EQ(queue.push({1, 11}, "b2"), "b2") << "it would have as many as the other";
  EXPECT_EQ(queue.push({1, 10}, "a4"), "a4");
  EXPECT_EQ(all(queue), "a1 x1 b1 a2 ");
}

}  // namespace
}  // namespace enclayer::base
