// SPDX-License-Identifier: Apache-2.0
// Whose the quote helper's slots are, as the kubelet's answers say it one after the other.
#include "device_plugin/quote_slots.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>

#include "base/file.h"
#include "device_plugin/resources.h"
#include "fake/logged.h"
#include "fake/temp_folder.h"

namespace enclayer::device_plugin {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using slots::Holder;
using slots::Holders;
using testing::HasSubstr;

constexpr std::uint64_t kNow = 1'795'000'000;

class QuoteSlotsTest : public testing::Test {
 protected:
  QuoteSlots make(std::size_t count = 3) {
    return QuoteSlots(folder(), count,
                      {[this]() -> QuoteSlots::PodDevices {
                         ++asked_;
                         if (meanwhile_) std::exchange(meanwhile_, nullptr)();
                         return reply_;
                       },
                       [this] { return now_; }});
  }

  static fs::path give(QuoteSlots& slots, const std::vector<std::size_t>& devices) {
    auto folder = slots.give(devices);
    EXPECT_TRUE(folder) << folder.error().message();
    return folder.value_or("");
  }

  Holders written() const {
    auto holders = slots::read_holders(folder() / slots::kHoldersFile);
    EXPECT_TRUE(holders) << holders.error().message();
    return holders.value_or(Holders());
  }

  fs::path folder() const { return temp_.path() / "quotes"; }
  ino_t inode(const char* slot) const { return base::Root(folder()).stat(slot).value().st_ino; }

  // As often as the kubelet is asked after one give(), without its time.
  static void ask_until_done(QuoteSlots& slots) {
    for (int i = 0; i < 20 && slots.pause(); ++i) static_cast<void>(slots.ask());
  }

  fake::TempFolder temp_;
  std::uint64_t now_ = kNow;
  QuoteSlots::PodDevices reply_ = std::vector<kubelet::ContainerDevices>();
  std::function<void()> meanwhile_;  // happens while the kubelet makes its next answer
  int asked_ = 0;
};

TEST_F(QuoteSlotsTest, a_folder_for_each_device_and_one_of_nobody_are_made_and_written_down_as_free) {
  QuoteSlots slots = make();
  ASSERT_TRUE(slots.start());
  EXPECT_EQ(base::Root(folder()).list(""), (std::vector<std::string>{"health", "holders.json", "p0", "p1", "p2"}));
  EXPECT_EQ(written(), (Holders{{"p0", {}}, {"p1", {}}, {"p2", {}}}));
}

TEST_F(QuoteSlotsTest, a_slot_that_is_given_has_a_new_generation_and_gets_its_name_afterwards) {
  QuoteSlots slots = make();
  ASSERT_TRUE(slots.start());
  ask_until_done(slots);
  EXPECT_EQ(give(slots, {1}), folder() / "p1");
  EXPECT_EQ(written().at("p1"), (Holder{kNow}));
  reply_ =
      std::vector<kubelet::ContainerDevices>{{"bank", "ledger-0", "app", 64, {1}}, {"bank", "other", "app", 8, {}}};
  ASSERT_TRUE(slots.ask());
  EXPECT_EQ(written(), (Holders{{"p0", {}}, {"p1", {kNow, "bank", "ledger-0", "app", 64}}, {"p2", {}}}));
  EXPECT_EQ(slots.pause(), std::nullopt);

  EXPECT_EQ(give(slots, {1}), folder() / "p1");
  EXPECT_EQ(written().at("p1"), (Holder{kNow + 1})) << "nobody inherits the name";
}

TEST_F(QuoteSlotsTest, uid_of_a_pod_is_asked_for_with_its_name_and_stays) {
  int asked = 0;
  QuoteSlots slots(folder(), 2,
                   {[this] { return reply_; }, [this] { return now_; },
                    [&asked]() -> kubelet::PodUids {
                      ++asked;
                      return {{1, "u-1"}};
                    }});
  ASSERT_TRUE(slots.start());
  give(slots, {1});
  reply_ = std::vector<kubelet::ContainerDevices>{{"bank", "ledger-0", "app", 64, {1}}};
  for (int i = 0; i < 12; ++i) ASSERT_TRUE(slots.ask());
  EXPECT_EQ(written().at("p1"), (Holder{kNow, "bank", "ledger-0", "app", 64, "u-1"}));
  EXPECT_LT(asked, 12) << "not when every slot has its name";
}

TEST_F(QuoteSlotsTest, uid_that_the_kubelet_has_not_noted_yet_is_asked_for_again_though_not_for_ever) {
  kubelet::PodUids notes{{0, "another's"}};
  QuoteSlots slots(folder(), 2, {[this] { return reply_; }, [this] { return now_; }, [&notes] { return notes; }});
  ASSERT_TRUE(slots.start());
  ask_until_done(slots);
  reply_ = std::vector<kubelet::ContainerDevices>{{"bank", "ledger-0", "app", 64, {1}}};
  give(slots, {1});
  ASSERT_TRUE(slots.ask());
  EXPECT_EQ(written().at("p1"), (Holder{kNow, "bank", "ledger-0", "app", 64}));
  EXPECT_EQ(slots.pause(), 200ms);
  notes.emplace(1, "u-1");
  ASSERT_TRUE(slots.ask());
  EXPECT_EQ(written().at("p1").pod_uid, "u-1");
  EXPECT_EQ(slots.pause(), std::nullopt);

  notes = {{0, "another's"}};
  give(slots, {1});
  ask_until_done(slots);
  EXPECT_EQ(slots.pause(), std::nullopt);
  EXPECT_EQ(written().at("p1"), (Holder{kNow + 1, "bank", "ledger-0", "app", 64}));
}

TEST_F(QuoteSlotsTest, generations_follow_the_clock_and_never_go_back_with_it) {
  QuoteSlots slots = make();
  ASSERT_TRUE(slots.start());
  give(slots, {0});
  now_ = kNow + 100;
  give(slots, {0});
  EXPECT_EQ(written().at("p0").generation, kNow + 100);
  now_ = 5;
  give(slots, {0});
  EXPECT_EQ(written().at("p0").generation, kNow + 101);
}

TEST_F(QuoteSlotsTest, container_with_several_devices_gets_the_folder_of_the_lowest_and_holds_all) {
  QuoteSlots slots = make();
  ASSERT_TRUE(slots.start());
  EXPECT_EQ(give(slots, {2, 1}), folder() / "p1");
  EXPECT_EQ(written(), (Holders{{"p0", {}}, {"p1", {kNow}}, {"p2", {kNow}}}));
  reply_ = std::vector<kubelet::ContainerDevices>{{"bank", "ledger-0", "app", 64, {1, 2}}};
  ASSERT_TRUE(slots.ask());
  EXPECT_EQ(written().at("p1").pod, "ledger-0");
  EXPECT_EQ(written().at("p2").pod, "ledger-0");
}

TEST_F(QuoteSlotsTest, reply_that_was_asked_for_before_a_slot_was_given_does_not_name_it) {
  QuoteSlots slots = make();
  ASSERT_TRUE(slots.start());
  give(slots, {0});
  reply_ = std::vector<kubelet::ContainerDevices>{{"bank", "old", "app", 1, {0}}, {"bank", "ledger-0", "app", 2, {1}}};
  meanwhile_ = [&] {
    now_ += 7;
    give(slots, {0});
  };
  ASSERT_TRUE(slots.ask());
  EXPECT_EQ(written().at("p0"), (Holder{kNow + 7}));
  EXPECT_EQ(written().at("p1").pod, "ledger-0");
  EXPECT_EQ(slots.pause(), 20ms) << "it is begun anew for the one that came meanwhile";
}

TEST_F(QuoteSlotsTest, kubelet_is_asked_with_growing_pauses_and_again_at_the_next_give) {
  QuoteSlots slots = make();
  ASSERT_TRUE(slots.start());
  ask_until_done(slots);
  EXPECT_EQ(slots.pause(), std::nullopt) << "nothing was given yet, and nobody had one before";
  give(slots, {0});
  reply_ = Error(ErrorKind::kUnavailable, "no kubelet");
  for (auto pause : {20ms, 200ms, 500ms, 1000ms, 2000ms, 5000ms, 10'000ms, 30'000ms, 60'000ms, 60'000ms}) {
    EXPECT_EQ(slots.pause(), pause);
    static_cast<void>(slots.ask());
  }
  give(slots, {1});
  EXPECT_EQ(slots.pause(), 20ms);
}

TEST_F(QuoteSlotsTest, slot_of_a_container_that_runs_is_named_also_by_a_kubelet_that_knows_of_nobody_at_first) {
  QuoteSlots slots = make();
  ASSERT_TRUE(slots.start());
  ASSERT_TRUE(slots.ask());
  EXPECT_EQ(slots.pause(), 200ms);
  reply_ = std::vector<kubelet::ContainerDevices>{{"bank", "ledger-0", "app", 1, {0}}};
  ASSERT_TRUE(slots.ask());
  EXPECT_EQ(written().at("p0").pod, "ledger-0");
}

TEST_F(QuoteSlotsTest, slot_that_nobody_has_after_all_pauses_is_free_and_not_asked_for_any_more) {
  QuoteSlots slots = make();
  ASSERT_TRUE(slots.start());
  give(slots, {0});
  ask_until_done(slots);
  EXPECT_EQ(slots.pause(), std::nullopt);
  EXPECT_EQ(asked_, 8);
  EXPECT_EQ(written().at("p0"), (Holder{kNow}));
}

TEST_F(QuoteSlotsTest, slot_that_two_pods_are_said_to_have_has_no_name_until_one_is_left) {
  QuoteSlots slots = make();
  ASSERT_TRUE(slots.start());
  give(slots, {0});
  reply_ =
      std::vector<kubelet::ContainerDevices>{{"bank", "ended", "app", 1, {0}}, {"bank", "ledger-0", "app", 2, {0}}};
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(slots.ask());
  EXPECT_FALSE(written().at("p0").named());
  EXPECT_EQ(slots.pause(), 60s);
  reply_->erase(reply_->begin());
  ASSERT_TRUE(slots.ask());
  EXPECT_EQ(written().at("p0").pod, "ledger-0");
  EXPECT_EQ(slots.pause(), std::nullopt);
}

TEST_F(QuoteSlotsTest, slot_whose_pod_is_gone_becomes_free_and_is_looked_at_once_more) {
  QuoteSlots slots = make();
  ASSERT_TRUE(slots.start());
  ask_until_done(slots);
  give(slots, {0});
  const std::vector<kubelet::ContainerDevices> held = {{"bank", "ledger-0", "app", 2, {0}}};
  reply_ = held;
  ASSERT_TRUE(slots.ask());
  reply_ = std::vector<kubelet::ContainerDevices>();  // as a kubelet says that has just started
  ASSERT_TRUE(slots.ask());
  EXPECT_EQ(written().at("p0"), (Holder{kNow}));
  EXPECT_EQ(slots.pause(), 60s);
  reply_ = held;
  ASSERT_TRUE(slots.ask());
  EXPECT_EQ(written().at("p0"), (Holder{kNow, "bank", "ledger-0", "app", 2})) << "the same generation";
  EXPECT_EQ(slots.pause(), std::nullopt);
}

TEST_F(QuoteSlotsTest, name_that_no_reader_would_take_costs_its_slot_the_name_and_no_other) {
  QuoteSlots slots = make();
  ASSERT_TRUE(slots.start());
  reply_ = std::vector<kubelet::ContainerDevices>{{"bank", "a/b", "app", 1, {0}}, {"bank", "ledger-0", "app", 2, {1}}};
  ASSERT_TRUE(slots.ask());
  EXPECT_FALSE(written().at("p0").named());
  EXPECT_EQ(written().at("p1").pod, "ledger-0");
}

TEST_F(QuoteSlotsTest, new_plugin_goes_on_with_generations_and_names_also_of_slots_beyond_its_limit) {
  reply_ = std::vector<kubelet::ContainerDevices>{{"bank", "ledger-0", "app", 64, {2}}};
  {
    QuoteSlots slots = make();
    ASSERT_TRUE(slots.start());
    give(slots, {2});
    ASSERT_TRUE(slots.ask());
  }
  const ino_t before = inode("p0");
  now_ += 1000;
  QuoteSlots slots = make(2);
  ASSERT_TRUE(slots.start());
  EXPECT_EQ(written().at("p2"), (Holder{kNow, "bank", "ledger-0", "app", 64}));
  EXPECT_EQ(inode("p0"), before) << "containers hold on to it";
  EXPECT_EQ(slots.pause(), 20ms) << "names are asked for until the kubelet has answered once";
  reply_ = std::vector<kubelet::ContainerDevices>{{"bank", "ledger-1", "app", 64, {2}}};
  ASSERT_TRUE(slots.ask());
  EXPECT_EQ(written().at("p2"), (Holder{kNow, "bank", "ledger-1", "app", 64}));
}

TEST_F(QuoteSlotsTest, file_that_is_no_such_file_is_said_and_begun_anew) {
  fs::create_directories(folder());
  temp_.write("quotes/holders.json", R"({"slots": {"p0": {"gener)");
  QuoteSlots slots = make();
  EXPECT_THAT(fake::logged([&] { ASSERT_TRUE(slots.start()); }), HasSubstr("the slots' holders cannot be read"));
  EXPECT_EQ(written().size(), 3u);
}

TEST_F(QuoteSlotsTest, what_was_removed_is_made_again_with_the_same_holders) {
  QuoteSlots slots = make();
  ASSERT_TRUE(slots.start());
  give(slots, {1});
  for (const auto& entry : fs::directory_iterator(folder())) fs::remove_all(entry);
  ASSERT_TRUE(slots.make_missing());
  EXPECT_EQ(base::Root(folder()).list(""), (std::vector<std::string>{"health", "holders.json", "p0", "p1", "p2"}));
  EXPECT_EQ(written().at("p1"), (Holder{kNow}));
  fs::remove_all(folder());
  EXPECT_EQ(give(slots, {0}), folder() / "p0") << "also for a container that comes before the next look";
  EXPECT_TRUE(fs::exists(folder() / "p0"));
}

TEST_F(QuoteSlotsTest, file_that_cannot_be_written_keeps_no_container_from_starting_and_is_tried_again) {
  QuoteSlots slots = make();
  ASSERT_TRUE(slots.start());
  const fs::path file = folder() / slots::kHoldersFile;
  fs::remove(file);
  fs::create_directory(file);
  const std::string log = fake::logged([&] {
    EXPECT_EQ(give(slots, {0}), folder() / "p0");
    give(slots, {0});
  });
  EXPECT_THAT(log, HasSubstr("holders of the quote slots cannot be written down"));
  EXPECT_EQ(std::count(log.begin(), log.end(), '\n'), 1) << log;
  fs::remove(file);
  ASSERT_TRUE(slots.make_missing());
  EXPECT_EQ(written().at("p0"), (Holder{kNow + 1}));
}

TEST_F(QuoteSlotsTest, folder_that_is_something_else_is_an_error_that_names_it) {
  temp_.write("quotes/p1", "no folder");
  QuoteSlots slots = make();
  auto started = slots.start();
  ASSERT_FALSE(started);
  EXPECT_THAT(started.error().message(),
              HasSubstr((folder() / "p1").string() + " is there and is no folder: remove it"));
}

TEST_F(QuoteSlotsTest, offer_gives_the_slot_read_only_and_says_what_is_missing_while_nobody_answers_in_health) {
  QuoteSlots slots = make();
  auto offer = offer_quote(3, slots, true);
  ASSERT_TRUE(offer);
  EXPECT_TRUE(offer->only_once_usable);
  EXPECT_EQ(offer->folders, (std::vector<fs::path>{folder(), folder() / "health"}));
  EXPECT_THAT(offer->why_not(), HasSubstr((folder() / "health/aesm.socket").string()));
  EXPECT_TRUE(fs::exists(folder() / "p2")) << "a look makes what is missing";
  const std::size_t device = 2;
  auto grant = offer->plugin.allocate(std::span(&device, 1));
  ASSERT_TRUE(grant) << grant.error().message();
  ASSERT_EQ(grant->mounts.size(), 1u);
  EXPECT_EQ(grant->mounts[0].container_path, "/var/run/aesmd");
  EXPECT_EQ(grant->mounts[0].host_path, (folder() / "p2").string());
  EXPECT_TRUE(grant->mounts[0].read_only);
  EXPECT_EQ(grant->envs, (std::map<std::string, std::string>{{"SGX_AESM_ADDR", "1"}, {"ENCLAYER_PLATFORM", "sim"}}));
}

}  // namespace
}  // namespace enclayer::device_plugin
