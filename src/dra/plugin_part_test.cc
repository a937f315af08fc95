// SPDX-License-Identifier: Apache-2.0
#include "dra/plugin_part.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <set>

#include "base/bytes.h"
#include "base/file.h"
#include "device_plugin/node.h"
#include "fake/temp_folder.h"
#include "sgx/epc.h"

namespace enclayer::dra {
namespace {

std::string uuid(unsigned number) {
  char text[37];
  std::snprintf(text, sizeof text, "%08x-0000-4000-8000-000000000000", number);
  return text;
}

// A node with both doors, as processes that come and go.
class Doors : public testing::Test {
 protected:
  Doors() { devices_.node = "n1"; }

  static constexpr std::uint64_t kAll = 100;

  // The plugin ends and starts with another setting; pods keep what they hold.
  Result<PluginPart> start_plugin(std::uint64_t part) {
    part_ = part;
    list_ = 0;
    return look();
  }
  Result<PluginPart> look() {
    auto now = settle_plugin_part(checkpoint_, part_, kAll, [this](std::uint64_t list) -> Result<std::uint64_t> {
      if (kubelet_away_) return Error(ErrorKind::kUnavailable, "the kubelet is away");
      return std::distance(held_.lower_bound(list), held_.end());
    });
    if (now) list_ = now->offered_mib;
    return now;
  }
  void start_driver(std::uint64_t part) {
    devices_.all_mib = kAll;
    devices_.sections = sections_of(part, {}).value();
  }

  // What the kubelet does: any free device of the list.
  bool pod_by_plugin(std::uint64_t mib) {
    std::set<std::uint64_t> free;
    for (std::uint64_t id = 0; id < list_; ++id)
      if (!held_.contains(id)) free.insert(id);
    if (free.size() < mib) return false;
    for (; mib > 0; --mib) {
      auto one = std::next(free.begin(), static_cast<std::ptrdiff_t>(random_() % free.size()));
      held_.insert(*one);
      free.erase(one);
    }
    return true;
  }
  Result<> claim(unsigned number, std::uint64_t mib) {
    ENCLAYER_TRY(Ledger ledger, checkpoint_.load());
    ENCLAYER_TRY(const std::uint64_t plugin, checkpoint_.plugin_mib());
    ENCLAYER_TRY(const NodeDevices now, devices_.beside(plugin));
    Share share{.request = "epc", .device = "epc", .share_id = uuid(1'000 + number)};
    share.mib = mib;
    ENCLAYER_CHECK(ledger.hold({{"bank", "c" + std::to_string(number), uuid(number)}, "", {share}}, now));
    return checkpoint_.save(ledger);
  }
  void release(unsigned number) {
    Ledger ledger = checkpoint_.load().value();
    ledger.release(uuid(number));
    ASSERT_TRUE(checkpoint_.save(ledger));
  }
  std::uint64_t given() const { return held_.size() + checkpoint_.load()->held_mib(); }

  fake::TempFolder folder_;
  Checkpoint checkpoint_{folder_.path()};
  NodeDevices devices_;
  std::set<std::uint64_t> held_;  // device IDs that pods hold through the plugin
  std::uint64_t part_ = 0, list_ = 0;
  bool kubelet_away_ = false;
  std::mt19937 random_{7};
};

TEST_F(Doors, parts_that_nobody_changed_are_given_to_the_last_mib) {
  start_driver(40);
  EXPECT_EQ(start_plugin(60).value(), (PluginPart{60, true}));
  EXPECT_TRUE(pod_by_plugin(60));
  EXPECT_TRUE(claim(1, 40));
  EXPECT_EQ(claim(2, 1).error().kind(), ErrorKind::kExhausted);
  EXPECT_EQ(given(), kAll);
}

TEST_F(Doors, the_driver_gives_nothing_before_the_plugin_has_said_what_is_its_own) {
  start_driver(40);
  auto refused = claim(1, 1);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kUnavailable);
  EXPECT_THAT(refused.error().message(), testing::HasSubstr("enclayer-device-plugin has not written yet"));
}

TEST_F(Doors, the_driver_leaves_what_pods_hold_of_a_list_that_was_longer) {
  ASSERT_TRUE(start_plugin(100));
  ASSERT_TRUE(pod_by_plugin(80));
  start_driver(50);
  const PluginPart now = start_plugin(50).value();
  EXPECT_EQ(now.offered_mib, 50u);
  EXPECT_FALSE(now.settled);
  const auto beyond = static_cast<std::uint64_t>(std::distance(held_.lower_bound(50), held_.end()));
  ASSERT_GE(beyond, 30u);
  EXPECT_TRUE(claim(1, 50 - beyond));
  EXPECT_FALSE(claim(2, 1));
  held_.clear();
  EXPECT_EQ(look().value(), (PluginPart{50, true}));
  EXPECT_TRUE(claim(2, beyond));
}

TEST_F(Doors, the_plugin_leaves_what_claims_hold_of_a_part_that_was_larger) {
  start_driver(80);
  ASSERT_TRUE(start_plugin(20));
  ASSERT_TRUE(claim(1, 70));
  EXPECT_EQ(start_plugin(100).value(), (PluginPart{30, false}));
  EXPECT_FALSE(claim(2, 1)) << "a driver that is not yet ended gives what the plugin has now";
  release(1);
  EXPECT_EQ(look().value(), (PluginPart{100, true}));
}

TEST_F(Doors, what_the_kubelet_does_not_tell_counts_as_held) {
  kubelet_away_ = true;
  start_driver(50);
  EXPECT_EQ(start_plugin(50).value(), (PluginPart{50, false}));
  EXPECT_FALSE(claim(1, 1));
  kubelet_away_ = false;
  EXPECT_EQ(look().value(), (PluginPart{50, true}));
  EXPECT_TRUE(claim(1, 1));
  kubelet_away_ = true;
  ASSERT_TRUE(start_plugin(50));
  EXPECT_TRUE(claim(2, 49)) << "a plugin that starts again has given no more than it said before";
}

TEST_F(Doors, without_a_ledger_that_can_be_read_nothing_is_offered) {
  ASSERT_TRUE(base::write_file_atomic(folder_.path() / "claims", base::as_bytes("{}"), 0600));
  EXPECT_EQ(start_plugin(50).error().kind(), ErrorKind::kMalformed);
  ASSERT_TRUE(base::write_file_atomic(folder_.path() / "plugin", base::as_bytes("5 MiB\n"), 0600));
  EXPECT_EQ(checkpoint_.plugin_mib().error().kind(), ErrorKind::kMalformed);
}

// Whatever comes in which order, settings that change among it: pods never hold more than there is.
TEST_F(Doors, never_give_more_than_there_is_together) {
  unsigned next = 0;
  std::vector<unsigned> claims;
  std::uint64_t most = 0;
  for (int step = 0; step < 1'000; ++step) {
    const std::uint64_t driver = random_() % (kAll + 1);
    switch (random_() % 8) {
      case 0: start_driver(driver); break;  // each is updated when its pod is, not both at once
      case 1: ASSERT_TRUE(start_plugin(kAll - driver)); break;
      case 2: kubelet_away_ = random_() % 4 == 0; break;
      case 3: ASSERT_TRUE(look()); break;
      case 4: pod_by_plugin(1 + random_() % 40); break;
      case 5:
        if (claim(next, 1 + random_() % 40)) claims.push_back(next);
        ++next;
        break;
      case 6: std::erase_if(held_, [this](std::uint64_t) { return random_() % 2 == 0; }); break;
      default:
        if (claims.empty()) break;
        release(claims.back());
        claims.pop_back();
    }
    ASSERT_LE(given(), kAll) << "after step " << step;
    most = std::max(most, given());
  }
  EXPECT_GT(most, kAll - 10) << "it was never close to too much";
}

}  // namespace
}  // namespace enclayer::dra
