// SPDX-License-Identifier: Apache-2.0
#include "addon/sysdump.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "addon/names.h"
#include "addon/test_cluster.h"

namespace enclayer::addon {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr Time kNow{std::chrono::seconds(1'800'000'000)};

std::vector<std::string> asked(const Cluster& cluster) {
  std::vector<std::string> out;
  for (const Pod* pod : pods_to_ask(cluster)) out.push_back(pod->name);
  return out;
}

TEST(Sysdump, asks_pods_that_are_not_ready_first_and_then_one_of_each_program_and_image) {
  Cluster cluster = rolling();
  for (Pod& pod : cluster.pods) pod.images = {"x:1"};
  EXPECT_THAT(asked(cluster), ElementsAre("enclayer-quote-helper-a", "enclayer-device-plugin-a"));
  cluster.pods[3].ready = false;  // the plugin on b
  cluster.pods[2].images = {"x:2"};
  EXPECT_THAT(asked(cluster), ElementsAre("enclayer-device-plugin-b", "enclayer-quote-helper-a",
                                          "enclayer-device-plugin-a", "enclayer-quote-helper-b"));
}

TEST(Sysdump, does_not_ask_pods_that_only_say_that_they_are_ours) {
  Cluster cluster = rolling();
  cluster.pods.resize(1);
  cluster.pods[0].name_space = "team";  // whoever may make pods there writes their labels
  EXPECT_THAT(asked(cluster), ElementsAre());
  cluster.pods[0].name_space = "e";
  cluster.pods[0].app = "something-else";
  EXPECT_THAT(asked(cluster), ElementsAre());
}

TEST(Sysdump, asks_no_more_than_so_many) {
  Cluster cluster = rolling();
  for (int i = 0; i < 1000; ++i) {
    cluster.pods.push_back(cluster.pods[0]);
    cluster.pods.back().ready = false;
  }
  EXPECT_EQ(asked(cluster).size(), kMostUnwell + 2);
}

TEST(Sysdump, says_first_what_is_in_it_and_what_is_not) {
  Sysdump dump({.bytes = 100, .time = {}});
  dump.add("a.txt", "the first", std::string(60, 'a'));
  dump.add("b.txt", "the second", std::string(60, 'b'));
  dump.add("c.txt", "the third", std::string(40, 'c'));
  dump.leave_out("logs\x1b[2J: no right");
  EXPECT_THAT(dump.contents(),
              AllOf(HasSubstr("a.txt  60 bytes  the first\nc.txt  40 bytes  the third\n\nLeft out:\n"),
                    HasSubstr("b.txt: its 60 bytes would make it more than 100"), HasSubstr("logs?[2J: no right")));
}

TEST(Sysdump, is_the_same_bytes_for_the_same_files_and_has_no_room_for_long_names) {
  Sysdump dump({});
  dump.add("a.txt", "the first", "a");
  EXPECT_EQ(dump.packed("case", kNow).value(), dump.packed("case", kNow).value());
  EXPECT_EQ(dump.packed("case", kNow)->substr(0, 2), "\x1f\x8b");
  dump.add(std::string(101, 'x'), "too long", "");
  EXPECT_EQ(dump.packed("case", kNow).error().kind(), ErrorKind::kInvalidArgument);
}

TEST(Sysdump, writes_a_line_for_each_event_as_a_terminal_may_see_it) {
  const char* list = R"({"kind": "EventList", "items": [
      {"lastTimestamp": "2026-01-02T00:00:00Z", "type": "Warning", "reason": "Failed", "count": 7,
       "involvedObject": {"kind": "Pod", "namespace": "e", "name": "p"}, "message": "two\nlines \u001b[2J"},
      {"eventTime": "2026-01-01T00:00:00.000000Z", "type": "Normal", "reason": "Pulled",
       "involvedObject": {"kind": "Node", "name": "n"}, "message": "first"}]})";
  EXPECT_EQ(events_text(list),
            "2026-01-01T00:00:00.000000Z  Normal  Pulled  Node /n  first\n"
            "2026-01-02T00:00:00Z  Warning  Failed  Pod e/p  x7  two lines ?[2J\n");
  EXPECT_THAT(events_text("[]"), HasSubstr("no list"));
}

}  // namespace
}  // namespace enclayer::addon
