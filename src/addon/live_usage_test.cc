// SPDX-License-Identifier: Apache-2.0
#include "addon/live_usage.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <thread>

#include "addon/names.h"
#include "fake/proxied.h"

namespace enclayer::addon {
namespace {

using namespace std::chrono_literals;
using fake::http_answer;
using fake::HttpRequest;
using fake::Proxied;
using testing::Contains;
using testing::HasSubstr;
using testing::SizeIs;

// What `kubectl exec` says: a helper that has made one quote more each time for c of bank/p.
constexpr char kKubectl[] = R"(
case "$*" in
*exec*) echo x >> "$0.asked"; made=$(wc -l < "$0.asked")
  echo 'enclayer_socket_ours 1'
  echo 'enclayer_pod_quotes_total{slot="p0",namespace="bank",pod="p",container="c",result="made"}' "$made" ;;
*) echo serving; exec sleep 600 ;;
esac)";

// A node with a quote helper, and a pod with EPC and a slot.
Cluster one_node() {
  Cluster cluster;
  cluster.stored = {{"e", "0.2.0", "{}", ""}};
  Node node;
  node.name = "a";
  node.allocatable = {{std::string(kEpcResource), 100}};
  cluster.nodes = {node};
  Pod helper;
  helper.name = "helper", helper.name_space = "e", helper.node = "a", helper.app = kHelper;
  helper.phase = "Running", helper.address = "10.0.0.1", helper.ours = true;
  Pod holder;
  holder.name = "p", holder.name_space = "bank", holder.node = "a", holder.phase = "Running";
  holder.requests = {{std::string(kEpcResource), 7}, {std::string(kQuoteResource), 1}};
  holder.containers = {{"c", holder.requests}};
  cluster.pods = {helper, holder};
  cluster.versions = {{"/api/v1/nodes", "7"}, {"/apis/apps/v1/daemonsets", "7"}};
  return cluster;
}

// Until it is so, or half a minute has passed.
bool comes_true(const std::function<bool()>& what) {
  for (const auto deadline = std::chrono::steady_clock::now() + 30s; std::chrono::steady_clock::now() < deadline;) {
    if (what()) return true;
    std::this_thread::yield();
  }
  return false;
}

TEST(LiveUsage, is_there_at_once_and_follows_the_cluster_and_its_daemons) {
  Proxied proxied(
      [](const HttpRequest&) {
        return http_answer(200, R"({"type":"ADDED","object":{"metadata":{"name":"b","resourceVersion":"8"},"status":)"
                                R"({"allocatable":{"kubernetes.azure.com/sgx_epc_mem_in_MiB":"50"}}}})"
                                "\n");
      },
      kKubectl);
  auto api = proxied.start();
  ASSERT_TRUE(api) << api.error().message();
  LiveUsage live(**api, one_node(), {}, {1s, Turns::kWhileLive});
  const Usage first = live.now();
  ASSERT_THAT(first.nodes, SizeIs(1));
  EXPECT_EQ(first.nodes[0].asked, 7);
  EXPECT_EQ(first.daemons, 1U);
  live.look_at({"a"});
  ASSERT_TRUE(live.wait(30s));
  const Usage then = live.now();
  EXPECT_GT(then.nodes[0].quotes, 0);
  EXPECT_GT(then.nodes[0].pods[0].containers[0].quotes, 0);
  EXPECT_TRUE(comes_true([&] { return live.now().nodes.size() == 2; })) << "a node has come";
  EXPECT_THAT(proxied.requests(), testing::Each(testing::StartsWith("/api/v1/nodes?watch=1")));
}

TEST(LiveUsage, says_how_old_it_is_where_nothing_may_be_watched) {
  Proxied proxied([](const HttpRequest&) { return http_answer(403, "no"); }, kKubectl);
  auto api = proxied.start();
  ASSERT_TRUE(api);
  LiveUsage live(**api, one_node(), {}, {1s, 0});
  EXPECT_EQ(live.now().daemons, 0U) << "none may be asked";
  ASSERT_TRUE(comes_true([&] { return !live.now().notes.empty(); }));
  EXPECT_THAT(live.now().notes, Contains(testing::AllOf(HasSubstr("is as it was"), HasSubstr("cannot list nodes"))));
  EXPECT_TRUE(live.now().age);
  EXPECT_THAT(live.now().nodes, SizeIs(1));
}

}  // namespace
}  // namespace enclayer::addon
