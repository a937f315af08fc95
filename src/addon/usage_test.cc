// SPDX-License-Identifier: Apache-2.0
#include "addon/usage.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "addon/names.h"

namespace enclayer::addon {
namespace {

using namespace std::chrono_literals;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

constexpr std::chrono::steady_clock::time_point kNow{1000s};
constexpr double kMiB = 1 << 20;

Pod pod(const std::string& name, const std::string& node, std::int64_t epc, bool quotes = false) {
  Pod out;
  out.name = name;
  out.name_space = "bank";
  out.uid = "uid-" + name;
  out.node = node;
  out.phase = node.empty() ? "Pending" : "Running";
  if (epc > 0) out.requests[std::string(kEpcResource)] = epc;
  if (quotes) out.requests[std::string(kQuoteResource)] = 1;
  out.containers = {{"main", out.requests}, {"sidecar", {}}};
  return out;
}

class UsageTest : public testing::Test {
 protected:
  UsageTest() {
    for (const char* name : {"n1", "n2", "plain"}) {
      Node node;
      node.name = name;
      if (node.name != "plain") node.allocatable = {{std::string(kEpcResource), 1000}};
      cluster_.nodes.push_back(node);
    }
    cluster_.offered_to_claims = {{"n2", 500}};
    cluster_.pods = {pod("a", "n1", 10, true), pod("b", "n1", 300), pod("c", "n2", 20), pod("waits", "", 7)};
    cluster_.claims = {{"shared", "bank", "n2", {"c", "d"}, 64, {"uid-c", "uid-d"}}};
  }

  // One look at the helper of a node, five seconds after another: who has asked since.
  void helper(const std::string& node, const std::map<SlotHolder, QuoteCounts>& asked) {
    Said said;
    said.node = node;
    said.app = kHelper;
    said.before = said.now = Look{{.serves = true, .waiting = 1}, kNow, 0};
    said.now->when += 5s;
    for (const auto& [holder, counts] : asked) {
      said.before->figures.quotes[holder] = {100, 100};
      said.now->figures.quotes[holder] = {100 + counts.made, 100 + counts.refused};
    }
    said.before->figures.waited = {{0.005, 10}, {1, 10}};
    said.now->figures.waited = {{0.005, 10}, {1, 11}};
    said_["e/helper-" + node] = said;
  }
  void plugin(const std::string& node, const std::map<std::string, double>& mapped) {
    Said said;
    said.node = node;
    said.app = kPlugin;
    said.now = Look{{.mapped = 0, .mapped_by_pod = {}}, kNow, 0};
    for (const auto& [uid, mib] : mapped) {
      *said.now->figures.mapped += mib * kMiB;
      said.now->figures.mapped_by_pod[uid] = mib * kMiB;
    }
    said_["e/plugin-" + node] = said;
  }
  void trouble(const std::string& node, const std::string& why) {
    said_["e/helper-" + node] = {.node = node, .app = std::string(kHelper), .now = {}, .before = {}, .trouble = why};
  }

  const PodUse& of(const Usage& usage, std::size_t node, const std::string& name) {
    const auto& pods = usage.nodes.at(node).pods;
    return *std::find_if(pods.begin(), pods.end(), [&](const PodUse& one) { return one.name == name; });
  }

  Cluster cluster_;
  std::map<std::string, Said> said_;
};

TEST_F(UsageTest, what_was_asked_for_is_known_without_any_daemon) {
  const Usage now = usage(cluster_, {});
  ASSERT_THAT(now.nodes, SizeIs(2)) << "those with EPC";
  EXPECT_EQ(now.nodes[0].epc, 1000);
  EXPECT_EQ(now.nodes[0].asked, 310);
  EXPECT_EQ(now.nodes[1].epc, 1500) << "both doors";
  EXPECT_EQ(now.nodes[1].asked, 20);
  EXPECT_EQ(now.nodes[1].claimed, 64) << "once, though two pods share it";
  EXPECT_EQ(of(now, 1, "c").claimed, 64);
  EXPECT_EQ(of(now, 1, "d").claimed, 64) << "a pod with nothing but a claim";
  ASSERT_THAT(of(now, 0, "b").containers, SizeIs(1)) << "the sidecar asks for nothing";
  EXPECT_EQ(of(now, 0, "b").containers[0].asked, 300);
  EXPECT_EQ(now.pending, 1U);
  EXPECT_EQ(now.pending_mib, 7);
  EXPECT_EQ(now.nodes[0].mapped, std::nullopt);
  EXPECT_EQ(now.nodes[0].quotes, std::nullopt);
}

TEST_F(UsageTest, who_keeps_cpusvn_down_are_all_that_hold_sgx_until_the_plugin_has_looked) {
  const Usage before = usage(cluster_, {});
  EXPECT_FALSE(before.nodes[1].open.seen);
  EXPECT_THAT(before.nodes[1].open.pods, testing::ElementsAre("bank/c", "bank/d"));
  EXPECT_TRUE(nlohmann::json::parse(to_json(before))["nodes"][1]["epc_open"].is_null());
  plugin("n1", {{"uid-a", 8}});
  Figures& figures = said_["e/plugin-n1"].now->figures;
  figures.open_by_pod = {{"uid-a", 2}, {"uid-c", 1}, {"host", 3}};
  figures.unread = 1;
  const Usage now = usage(cluster_, said_);
  EXPECT_THAT(now.nodes[0].open.pods, testing::ElementsAre("bank/a")) << "c is on another node";
  EXPECT_EQ(in_words(now.nodes[0].open),
            "pod bank/a, 1 pod that has no name here, 3 processes of the host, 1 process that could not be looked at, "
            "perhaps");
  EXPECT_EQ(nlohmann::json::parse(to_json(now))["nodes"][0]["epc_open"]["host_processes"], 3);
  figures.open_by_pod = {{"host", 0}};
  figures.unread = 0;
  EXPECT_EQ(in_words(usage(cluster_, said_).nodes[0].open), "nobody");
}

TEST_F(UsageTest, figures_are_put_to_pods_that_are_on_the_node) {
  helper("n1", {{{"bank", "a", "main"}, {10, 1}}, {{"bank", "c", "main"}, {5, 0}}, {{}, {2, 0}}});
  plugin("n1", {{"uid-a", 8}, {"uid-c", 3}, {"host", 1}});
  plugin("n2", {{"uid-d", 60}});
  const Usage now = usage(cluster_, said_);
  EXPECT_EQ(now.answered, 3U);
  EXPECT_EQ(now.nodes[0].quotes, 17 * 12) << "of whoever it is";
  EXPECT_EQ(now.nodes[0].refused, 12);
  EXPECT_EQ(now.nodes[0].mapped, 12);
  EXPECT_EQ(now.nodes[0].waiting, 1);
  EXPECT_EQ(now.nodes[0].wait, 1);
  EXPECT_EQ(of(now, 0, "a").quotes, 10 * 12);
  EXPECT_EQ(of(now, 0, "a").containers[0].quotes, 10 * 12);
  EXPECT_EQ(of(now, 0, "a").mapped, 8);
  EXPECT_EQ(of(now, 0, "b").quotes, std::nullopt) << "it has no slot";
  EXPECT_EQ(of(now, 1, "c").quotes, std::nullopt) << "a helper knows nothing of another node's pods";
  EXPECT_EQ(of(now, 1, "c").mapped, std::nullopt);
  EXPECT_EQ(of(now, 1, "d").mapped, 60);
  EXPECT_THAT(now.nodes[0].pods, SizeIs(2)) << "no daemon brings a pod to a node";
}

TEST_F(UsageTest, who_has_a_slot_and_asks_nothing_is_at_zero_and_one_look_is_no_rate) {
  helper("n1", {});
  EXPECT_EQ(of(usage(cluster_, said_), 0, "a").quotes, 0);
  EXPECT_EQ(of(usage(cluster_, said_), 0, "a").containers[0].refused, 0);
  said_["e/helper-n1"].before.reset();
  EXPECT_EQ(of(usage(cluster_, said_), 0, "a").quotes, std::nullopt);
  helper("n1", {{{"bank", "a", "main"}, {10, 1}}});
  said_["e/helper-n1"].now->figures.serves = said_["e/helper-n1"].before->figures.serves = false;
  EXPECT_EQ(usage(cluster_, said_).nodes[0].quotes, std::nullopt) << "one that waits counts nothing";
}

TEST_F(UsageTest, what_the_holder_of_a_slot_had_is_not_counted_again_when_it_is_gone) {
  helper("n1", {});
  said_["e/helper-n1"].before->figures.quotes = {{{}, {100, 0}}, {{"bank", "gone", "main"}, {5000, 0}}};
  said_["e/helper-n1"].now->figures.quotes = {{{}, {5105, 0}}};
  EXPECT_EQ(usage(cluster_, said_).nodes[0].quotes, 5 * 12);
}

TEST_F(UsageTest, who_cannot_be_asked_is_named_the_same_reason_once) {
  trouble("n2", "did not answer within 5 s");
  trouble("n1", "did not answer within 5 s");
  trouble("n3", "cannot be asked");
  cluster_.not_seen = {"cannot list ResourceClaims: no"};
  EXPECT_THAT(usage(cluster_, said_).notes,
              ElementsAre("quote helpers on n1, n2 did not answer within 5 s", "quote helpers on n3 cannot be asked",
                          "cannot list ResourceClaims: no"));
}

TEST_F(UsageTest, as_json_what_is_not_known_is_null) {
  helper("n1", {{{"bank", "a", "main"}, {10, 1}}});
  const auto told = nlohmann::json::parse(to_json(usage(cluster_, said_)));
  EXPECT_EQ(told["nodes"][0]["quotes_per_minute"], 120);
  EXPECT_EQ(told["nodes"][0]["mapped_mib"], nullptr);
  EXPECT_EQ(told["nodes"][0]["pods"][0]["containers"][0]["asked_mib"], 10);
  EXPECT_EQ(told["nodes"][1]["claimed_mib"], 64);
  EXPECT_EQ(told["pending"], (nlohmann::json{{"pods", 1}, {"asked_mib", 7}}));
}

TEST_F(UsageTest, a_table_has_the_most_first_and_one_row_for_what_has_no_room) {
  plugin("n1", {{"uid-a", 8}, {"uid-b", 12}});
  const Usage now = usage(cluster_, said_);
  EXPECT_THAT(
      table(now, {}),
      ElementsAre("2 nodes with 2,500 MiB of EPC: 330 asked for, 64 by claims, 20 mapped; 1 pods with 7 MiB are "
                  "on no node yet",
                  "quotes a minute: -, refused -; requests that wait now: -",
                  "ASKED  CLAIMED  MAPPED  QUOTES  REFUSED  WAIT  POD  NODE",  //
                  "  300        0      12       -        -     -  bank/b  n1",
                  "   20       64       -       -        -     -  bank/c  n2",
                  "    0       64       -       -        -     -  bank/d  n2",
                  "   10        0       8       -        -     -  bank/a  n1"));
  EXPECT_THAT(table(now, {.by = By::kNode, .order = Order::kName}),
              ElementsAre(HasSubstr("2 nodes"), HasSubstr("quotes"),
                          "EPC MiB  ASKED  CLAIMED  MAPPED  QUOTES  REFUSED  WAIT  NODE",
                          "  1,000    310        0      20       -        -     -  n1",
                          "  1,500     20       64       -       -        -     -  n2"));
  EXPECT_THAT(table(now, {.by = By::kContainer}),
              testing::IsSupersetOf({"  300        0       -       -        -     -  main  bank/b  n1",
                                     "    0       64       -       -        -     -  (claims)  bank/d  n2"}));
  const auto cut = table(now, {.order = Order::kMapped, .lines = 6, .columns = 60});
  EXPECT_THAT(cut, SizeIs(6));
  EXPECT_EQ(cut[3], "  300        0      12       -        -     -  bank/b  n1");
  EXPECT_EQ(cut[5], "   20      128       -       -        -     -  and 2 more");
  EXPECT_EQ(cut[0].size(), 60U);
  EXPECT_THAT(nodes_shown(now, {.order = Order::kMapped, .lines = 6, .columns = 0}), ElementsAre("n1", "n1"));
  EXPECT_THAT(table(now, {.lines = 1}), SizeIs(4)) << "however small the room is";
}

TEST_F(UsageTest, a_table_of_700_nodes_and_10000_pods_has_a_line_for_each_that_has_room) {
  for (int i = 0; i < 10'000; ++i)
    cluster_.pods.push_back(pod("p" + std::to_string(i), "node-" + std::to_string(i % 700), 1 + i % 40));
  const Usage now = usage(cluster_, {});
  EXPECT_THAT(table(now, {.by = By::kNode, .lines = 24}), SizeIs(24));
  const auto pods = table(now, {.lines = 24});
  EXPECT_THAT(pods, SizeIs(24));
  EXPECT_THAT(pods.back(), HasSubstr("and 9,984 more"));
}

TEST_F(UsageTest, names_with_control_characters_move_no_cursor) {
  cluster_.pods = {pod("\x1b[2J\nevil", "n1", 5)};
  EXPECT_THAT(table(usage(cluster_, {}), {}), Contains(HasSubstr("bank/?[2J?evil  n1")));
}

}  // namespace
}  // namespace enclayer::addon
