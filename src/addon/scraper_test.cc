// SPDX-License-Identifier: Apache-2.0
#include "addon/scraper.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "addon/names.h"
#include "addon/test_cluster.h"

namespace enclayer::addon {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr Turns::Time kBegin{1000s};

std::vector<Daemon> daemons(std::size_t count) {
  std::vector<Daemon> out;
  for (std::size_t i = 0; i < count; ++i)
    out.push_back(
        {"e", "p" + std::to_string(i), "n" + std::to_string(i), std::string(kHelper), {"quote-helper"}, {""}});
  return out;
}

// Who has a turn now; "-": nobody.
std::string turn(Turns& turns, Turns::Time now) {
  const Turns::Next next = turns.next(now);
  return next.daemon != nullptr ? next.daemon->pod : "-";
}

TEST(DaemonsOf, are_those_that_have_figures_and_can_be_asked) {
  Cluster cluster = rolling();
  for (Pod& pod : cluster.pods) pod.address = "10.0.0." + pod.node, pod.containers = {{"main", {}}};
  cluster.pods[0].containers.push_back({"standby", {}});
  Pod holder;
  holder.name = "job", holder.node = "b", holder.phase = "Running";
  holder.requests = {{std::string(kQuoteResource), 1}};
  cluster.pods.push_back(holder);
  Pod posing = cluster.pods[0];
  posing.name_space = "elsewhere";
  cluster.pods.push_back(posing);
  manifests::Settings settings;
  auto names = [&] {
    std::vector<std::string> out;
    for (const Daemon& one : daemons_of(cluster, settings)) out.push_back(one.pod);
    return out;
  };
  EXPECT_THAT(names(), ElementsAre("enclayer-quote-helper-b", "enclayer-quote-helper-a"))
      << "that of the pod with quotes comes first";
  settings.account_mapped = true;
  EXPECT_EQ(names().size(), 4U);
  const Daemon helper = daemons_of(cluster, settings)[1];
  ASSERT_EQ(helper.pod, "enclayer-quote-helper-a");
  EXPECT_THAT(helper.containers, ElementsAre("quote-helper", "standby"));
  EXPECT_THAT(helper.addresses, ElementsAre("[10.0.0.a]:9410", "[10.0.0.a]:9411"));
  settings.metrics = false;
  EXPECT_THAT(daemons_of(cluster, settings)[1].addresses, ElementsAre("127.0.0.1:9410", "127.0.0.1:9411"));
  for (Pod& pod : cluster.pods) pod.address.clear();
  EXPECT_EQ(names().size(), 4U) << "they can ask themselves there";
  settings.metrics = true;
  EXPECT_THAT(names(), IsEmpty());
  settings.metrics = false;
  for (Pod& pod : cluster.pods) pod.leaving = true;
  EXPECT_THAT(names(), IsEmpty());
}

TEST(Turns, come_by_who_was_asked_longest_ago_once_an_interval) {
  Turns turns(5s, 4);
  turns.set(daemons(3), {});
  for (const char* expected : {"p0", "p1", "p2", "-"}) EXPECT_EQ(turn(turns, kBegin), expected);
  turns.done("e/p1", Look{}, kBegin + 1s);
  EXPECT_EQ(turn(turns, kBegin + 4s), "-");
  EXPECT_EQ(turns.next(kBegin + 4s).when, kBegin + 5s);
  EXPECT_EQ(turn(turns, kBegin + 5s), "p1");
  EXPECT_EQ(turn(turns, kBegin + 60s), "-") << "the others are under way still";
}

TEST(Turns, are_few_a_second_however_many_daemons_there_are) {
  Turns turns(1s, 4);
  turns.set(daemons(1000), {});
  int taken = 0;
  for (auto now = kBegin; now < kBegin + 60s; now += 50ms)
    if (const Turns::Next next = turns.next(now); next.daemon != nullptr) {
      ++taken;
      turns.done(next.daemon->full_name(), Look{}, now);
    } else {
      EXPECT_GT(next.when, now);
      EXPECT_LE(next.when, now + 1s);
    }
  EXPECT_GE(taken, Turns::kAtOnceAtFirst + 59 * 4);
  EXPECT_LE(taken, Turns::kAtOnceAtFirst + 60 * 4);
}

TEST(Turns, come_every_second_time_to_those_that_are_looked_at) {
  Turns turns(1s, 4);
  turns.set(daemons(10), {"n8", "n9"});
  std::string order;
  for (int i = 0; i < 6; ++i) {
    const std::string who = turn(turns, kBegin + i * 10s);
    turns.done("e/" + who, Look{}, kBegin + i * 10s);
    order += who + " ";
  }
  EXPECT_EQ(order, "p8 p0 p9 p1 p8 p2 ");
}

TEST(Turns, who_fails_waits_longer_each_time_and_says_why) {
  Turns turns(5s, 4);
  turns.set(daemons(1), {});
  auto now = kBegin;
  for (auto pause : {30s, 60s, 120s, 240s, 480s, 480s}) {
    ASSERT_EQ(turn(turns, now), "p0");
    turns.done("e/p0", Error(ErrorKind::kIo, "cannot be\x1b asked"), now);
    EXPECT_EQ(turn(turns, now + pause - 1ms), "-");
    now += pause;
  }
  EXPECT_EQ(turns.said().at("e/p0").trouble, "cannot be? asked");
  EXPECT_TRUE(turns.all_said_twice());
  ASSERT_EQ(turn(turns, now), "p0");
  turns.done("e/p0", Look{}, now);
  EXPECT_EQ(turns.said().at("e/p0").trouble, "");
  EXPECT_EQ(turn(turns, now + 5s), "p0") << "who answers again has no pause any more";
}

TEST(Turns, two_looks_at_one_process_are_compared_and_what_is_gone_is_forgotten) {
  Turns turns(1s, 4);
  turns.set(daemons(2), {});
  auto say = [&](std::size_t process, Turns::Time when) {
    while (turn(turns, when) != "-") {
    }
    turns.done("e/p0", Look{{}, when, process}, when);
  };
  say(0, kBegin);
  EXPECT_FALSE(turns.said().at("e/p0").before);
  say(0, kBegin + 10s);
  ASSERT_TRUE(turns.said().at("e/p0").before);
  EXPECT_EQ(turns.said().at("e/p0").before->when, kBegin);
  EXPECT_FALSE(turns.all_said_twice()) << "the other one has said nothing";
  say(1, kBegin + 20s);
  EXPECT_FALSE(turns.said().at("e/p0").before) << "the standby has counters of its own";
  turns.set(daemons(0), {});
  EXPECT_THAT(turns.said(), IsEmpty());
  turns.done("e/p1", Look{}, kBegin + 30s);
  EXPECT_THAT(turns.said(), IsEmpty());
}

}  // namespace
}  // namespace enclayer::addon
