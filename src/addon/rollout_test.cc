// SPDX-License-Identifier: Apache-2.0
#include "addon/rollout.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "addon/names.h"
#include "addon/test_cluster.h"

namespace enclayer::addon {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using namespace std::chrono_literals;

// Everybody has the newest.
Cluster rolled_out() {
  Cluster cluster = rolling();
  for (Pod& pod : cluster.pods) pod.revision = "new";
  return cluster;
}

Pod* helper_on(Cluster& cluster, const char* node) {
  for (Pod& pod : cluster.pods)
    if (pod.app == kHelper && pod.meant_for == node) return &pod;
  return nullptr;
}

TEST(Rollout, names_what_every_node_waits_for) {
  Cluster cluster = rolling();
  EXPECT_THAT(summary(pending(cluster)),
              ElementsAre("enclayer-quote-helper on 2 nodes (a, b): still has the version before; its turn comes"));
  cluster.nodes[0].ready = false;
  cluster.nodes[0].why_not_ready = "KubeletNotReady";
  cluster.daemon_sets[1].wanted = 3;
  EXPECT_THAT(summary(pending(cluster)),
              ElementsAre("enclayer-device-plugin: 1 of its pods are not made yet",
                          "enclayer-quote-helper on b: still has the version before; its turn comes",
                          "enclayer-quote-helper on a: the node is not ready: KubeletNotReady"));
}

TEST(Rollout, names_nodes_without_room_for_two_helpers) {
  Cluster cluster = rolling();
  EXPECT_THAT(no_room(cluster), IsEmpty()) << "5 of 10 are free";
  Pod user;
  user.node = "b";
  user.phase = "Running";
  user.requests = {{std::string(kEpcResource), 3}};
  cluster.pods.push_back(user);
  auto short_of = no_room(cluster);
  ASSERT_EQ(short_of.size(), 1U);
  EXPECT_EQ(short_of[0].text(),
            "b: 2 MiB of kubernetes.azure.com/sgx_epc_mem_in_MiB are free, a second quote helper needs 5");
  cluster.nodes[1].allocatable[std::string(kEpcResource)] = 0;
  EXPECT_THAT(no_room(cluster), IsEmpty()) << "its plugin is being replaced: nothing is offered for a moment";
}

TEST(Rollout, knows_what_a_standby_needs_and_where_not_even_the_new_one_alone_has_room) {
  Cluster cluster = rolling();
  DaemonSet& set = cluster.daemon_sets[0];
  ASSERT_TRUE(no_room(cluster).empty());
  set.has_standby = true;
  set.requests[std::string(kEpcResource)] = 10;
  auto short_of = no_room(cluster);
  ASSERT_EQ(short_of.size(), 2U);
  EXPECT_EQ(short_of[0].text(),
            "a: 5 MiB of kubernetes.azure.com/sgx_epc_mem_in_MiB are free, a second quote helper with its standby "
            "needs 10");
  EXPECT_TRUE(short_of[0].fits_alone()) << "the old one gives 5 back";
  set.requests[std::string(kEpcResource)] = 12;
  EXPECT_FALSE(no_room(cluster)[0].fits_alone());
}

TEST(Rollout, names_nodes_without_room_for_the_first_helper) {
  Cluster cluster = rolling();
  cluster.daemon_sets[0].requests[std::string(kEpcResource)] = 12;
  for (Pod& pod : cluster.pods)
    if (pod.app == kHelper && pod.node == "a") pod.revision = "new", pod.ready = false, pod.node = "";
  auto short_of = no_room(cluster);
  ASSERT_EQ(short_of.size(), 2U);
  EXPECT_EQ(short_of[0].text(),
            "a: 10 MiB of kubernetes.azure.com/sgx_epc_mem_in_MiB are free, a quote helper needs 12");
  EXPECT_THAT(short_of[1].text(), HasSubstr("b: 5 MiB"));
  EXPECT_THAT(short_of[1].text(), HasSubstr("a second quote helper needs 12"));
}

TEST(Rollout, is_not_done_while_the_controller_counts_pods_that_are_not_the_newest) {
  Cluster cluster = rolled_out();
  EXPECT_THAT(pending(cluster), IsEmpty());
  cluster.daemon_sets[0].updated = 1;
  EXPECT_THAT(summary(pending(cluster)), ElementsAre("enclayer-quote-helper: 1 of its pods are not the newest yet"));
}

Deployment two_replicas() {
  Deployment out;
  out.name = kAttest;
  out.wanted = out.there = out.updated = out.ready = 2;
  return out;
}

TEST(Rollout, waits_for_the_replicas_of_a_deployment_and_says_what_keeps_them) {
  Cluster cluster = rolled_out();
  cluster.deployments = {two_replicas()};
  EXPECT_THAT(pending(cluster), IsEmpty());
  Deployment& one = cluster.deployments.front();
  one.ready = 1;
  EXPECT_THAT(summary(pending(cluster)), ElementsAre("enclayer-attest: 1 of its 2 replicas are not ready yet"));
  Pod& pod = cluster.pods.emplace_back();
  pod.name = "enclayer-attest-x", pod.app = kAttest, pod.ours = true;
  pod.why_not = "CrashLoopBackOff: it ended with 1";
  EXPECT_THAT(summary(pending(cluster)),
              ElementsAre("enclayer-attest: pod enclayer-attest-x: CrashLoopBackOff: it ended with 1"));
  cluster.pods.pop_back();
  one = two_replicas();
  one.there = 3;
  EXPECT_THAT(summary(pending(cluster)),
              ElementsAre("enclayer-attest: a replica of the version before is still there"));
  one = two_replicas();
  one.generation = 2;
  EXPECT_THAT(summary(pending(cluster)),
              ElementsAre("enclayer-attest: the cluster's Deployment controller has not seen it yet"));
  Rollout rollout({}, false);
  EXPECT_EQ(rollout.look(cluster, 0s).next, Rollout::kWait);
  one = two_replicas();
  EXPECT_EQ(rollout.look(cluster, 1s).next, Rollout::kDone);
}

TEST(Rollout, is_done_when_every_node_has_the_newest_and_offers_epc) {
  Rollout rollout({}, false);
  auto first = rollout.look(rolling(), 0s);
  EXPECT_EQ(first.next, Rollout::kWait);
  EXPECT_THAT(first.progress, ElementsAre("enclayer-device-plugin: ready on 2 of 2 nodes",
                                          "enclayer-quote-helper: ready on 0 of 2 nodes"));
  auto second = rollout.look(rolled_out(), 1s);
  EXPECT_EQ(second.next, Rollout::kDone);
  EXPECT_THAT(second.progress, ElementsAre("enclayer-quote-helper: ready on 2 of 2 nodes"));
}

TEST(Rollout, tells_a_reason_once_and_only_when_it_lasts) {
  Rollout rollout({}, false);
  const Cluster cluster = rolling();
  const auto reason = HasSubstr("waiting for enclayer-quote-helper on 2 nodes (a, b): still has the version before");
  EXPECT_THAT(rollout.look(cluster, 0s).progress, Not(Contains(reason)));
  EXPECT_THAT(rollout.look(cluster, 4s).progress, IsEmpty());
  EXPECT_THAT(rollout.look(cluster, 5s).progress, ElementsAre(reason));
  EXPECT_THAT(rollout.look(cluster, 60s).progress, IsEmpty());
}

TEST(Rollout, does_not_wait_for_nodes_that_are_down_and_names_them) {
  Cluster cluster = rolled_out();
  cluster.nodes[0].ready = false;
  cluster.nodes[0].why_not_ready = "KubeletNotReady";
  helper_on(cluster, "a")->ready = false;
  auto step = Rollout({}, false).look(cluster, 0s);
  EXPECT_EQ(step.next, Rollout::kDone);
  EXPECT_THAT(step.progress,
              Contains("not waited for: enclayer-quote-helper on a: the node is not ready: KubeletNotReady"));
}

TEST(Rollout, gives_nodes_time_to_tell_of_their_epc_and_to_be_found) {
  Cluster cluster = rolled_out();
  cluster.nodes[0].allocatable.clear();
  Rollout silent({}, false);
  EXPECT_THAT(silent.look(cluster, 1s).progress, Contains("waiting for the nodes to tell of their EPC"));
  EXPECT_EQ(silent.look(cluster, 12s).next, Rollout::kWait);
  EXPECT_EQ(silent.look(cluster, 13s).next, Rollout::kDone) << "why there is none, `show` tells";

  for (DaemonSet& set : cluster.daemon_sets) set.wanted = 0;
  Rollout unfound({}, false);
  EXPECT_EQ(unfound.look(cluster, 1s).next, Rollout::kWait) << "the detector may find some";
  EXPECT_EQ(unfound.look(cluster, 6s).next, Rollout::kDone);
}

TEST(Rollout, that_takes_too_long_says_what_every_node_waits_for) {
  WaitLimits limits;
  limits.timeout = 2s;
  Rollout rollout(limits, false);
  EXPECT_EQ(rollout.look(rolling(), 1s).next, Rollout::kWait);
  auto late = rollout.look(rolling(), 2s);
  EXPECT_EQ(late.next, Rollout::kTimedOut);
  EXPECT_THAT(late.error, HasSubstr("not everything is ready after 2 s:\n  enclayer-quote-helper on 2 nodes (a, b): "
                                    "still has the version before; its turn comes"));
}

TEST(Rollout, replaces_helpers_without_room_for_two_one_after_the_other_and_only_where_that_is_allowed) {
  Cluster cluster = rolling();
  for (Node& node : cluster.nodes) node.allocatable[std::string(kEpcResource)] = 5;
  EXPECT_EQ(Rollout({}, false).look(cluster, 0s).next, Rollout::kWait);

  Rollout rollout({}, true);
  auto first = rollout.look(cluster, 0s);
  ASSERT_EQ(first.next, Rollout::kReplace);
  EXPECT_EQ(*first.pod, (Reference{"v1", "Pod", "e", "enclayer-quote-helper-a"}));
  EXPECT_THAT(first.progress, Contains("replacing Pod e/enclayer-quote-helper-a with a gap"));

  helper_on(cluster, "a")->leaving = true;
  EXPECT_EQ(rollout.look(cluster, 1s).next, Rollout::kWait) << "one gap at a time";
  helper_on(cluster, "a")->leaving = false;
  helper_on(cluster, "a")->revision = "new";
  auto second = rollout.look(cluster, 2s);
  ASSERT_EQ(second.next, Rollout::kReplace);
  EXPECT_EQ(second.pod->name, "enclayer-quote-helper-b");
}

TEST(Rollout, makes_no_gap_where_others_go_on_until_the_new_one_holds_them_up) {
  Cluster cluster = rolling();
  cluster.nodes[0].allocatable[std::string(kEpcResource)] = 5;
  Rollout rollout({}, true);
  EXPECT_EQ(rollout.look(cluster, 0s).next, Rollout::kWait) << "b has room for two: it comes first";
  Pod waiting = *helper_on(cluster, "a");
  waiting.name += "-new";
  waiting.revision = "new";
  waiting.node = "";
  waiting.ready = false;
  cluster.pods.push_back(waiting);
  auto step = rollout.look(cluster, 1s);
  ASSERT_EQ(step.next, Rollout::kReplace);
  EXPECT_EQ(step.pod->name, "enclayer-quote-helper-a");
}

TEST(Rollout, a_node_with_a_problem_is_described_by_one_sentence) {
  Node node;
  node.name = "a";
  EXPECT_EQ(problem(nullptr, {}), "the node is gone");
  node.why_not_ready = "x";
  EXPECT_EQ(problem(&node, {}), "the node is not ready: x");
  node.ready = true;
  Pod pod;
  pod.why_not = "ErrImagePull: no";
  EXPECT_EQ(problem(&node, {&pod}), "ErrImagePull: no");
  EXPECT_EQ(problem(&node, {nullptr, &pod}), "has the version before, which is not ready (ErrImagePull: no)");
  pod.leaving = true;
  EXPECT_EQ(problem(&node, {&pod}), "its pod is being deleted");
  EXPECT_EQ(problem(&node, {&pod, nullptr, true}), "");
}

}  // namespace
}  // namespace enclayer::addon
