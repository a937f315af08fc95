// SPDX-License-Identifier: Apache-2.0
#include "kubelet/pod_resources.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fake/pod_resources.h"
#include "fake/temp_folder.h"

namespace enclayer::kubelet {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

constexpr auto kEpc = "kubernetes.azure.com/sgx_epc_mem_in_MiB";

// As long as any machine under a sanitizer needs.
constexpr auto kPatient = 100s;  // a deadline, not a pause

class PodResources : public testing::Test {
 protected:
  void SetUp() override {
    auto started = server_.start();
    ASSERT_TRUE(started) << started.error().message();
  }

  fake::TempFolder folder_;
  fake::PodResources server_{folder_.path()};
};

TEST_F(PodResources, devices_of_each_container_are_counted) {
  server_.set({{"default", "web", "app", kEpc, 10},
               {"default", "web", "app", "example.com/gpu", 2},
               {"default", "web", "sidecar", "example.com/gpu", 1},
               {"prod", "db", "db", kEpc, 3, 1}});
  EXPECT_EQ(list_pod_devices(folder_.path(), kEpc, {}, kPatient).value(),
            (std::vector<ContainerDevices>{{"default", "web", "app", 10}, {"prod", "db", "db", 3}}));
  EXPECT_TRUE(list_pod_devices(folder_.path(), "example.com/epc", {}, kPatient).value().empty());
}

TEST_F(PodResources, one_answer_tells_how_much_epc_and_which_quotes_a_container_has) {
  constexpr auto kQuote = "enclayer.io/quote";
  server_.set({{"default", "web", "app", kEpc, 10},
               {"default", "web", "app", kQuote, 2, -1, 7},
               {"prod", "db", "db", kQuote, 1, -1, 64}});
  EXPECT_EQ(list_pod_devices(folder_.path(), kEpc, kQuote, kPatient).value(),
            (std::vector<ContainerDevices>{{"default", "web", "app", 10, {7, 8}}, {"prod", "db", "db", 0, {64}}}));
}

TEST_F(PodResources, the_largest_node_with_numa_nodes_fits) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "16 MiB through gRPC's archives, which are not instrumented, take many minutes under TSan";
#endif
  server_.set({{"default", "large", "app", kEpc, 262'144, 1}});
  EXPECT_EQ(list_pod_devices(folder_.path(), kEpc, {}, kPatient).value(),
            (std::vector<ContainerDevices>{{"default", "large", "app", 262'144}}));
}

TEST_F(PodResources, a_reply_beyond_the_limit_is_refused) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "16 MiB through gRPC's archives, which are not instrumented, take many minutes under TSan";
#endif
  const std::string resource = "a.b/c";
  server_.set_raw(std::string(pod_resources_limit(resource) + 1, '\0'));
  auto listed = list_pod_devices(folder_.path(), resource, {}, kPatient);
  ASSERT_FALSE(listed);
  EXPECT_EQ(listed.error().kind(), ErrorKind::kExhausted);
  EXPECT_THAT(listed.error().message(), HasSubstr("larger than max"));
}

TEST_F(PodResources, a_malformed_reply_is_an_error) {
  server_.set_raw("\x0b");
  EXPECT_EQ(list_pod_devices(folder_.path(), kEpc, {}, kPatient).error().kind(), ErrorKind::kMalformed);
}

TEST_F(PodResources, a_kubelet_that_hangs_costs_the_deadline) {
  server_.hang(true);
  auto begun = std::chrono::steady_clock::now();
  auto listed = list_pod_devices(folder_.path(), kEpc, {}, 50ms);
  ASSERT_FALSE(listed);
  EXPECT_EQ(listed.error().kind(), ErrorKind::kTimedOut);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 30s);
}

TEST_F(PodResources, a_kubelet_that_comes_back_is_found_again) {
  server_.set({{"default", "web", "app", kEpc, 1}});
  server_.stop();
  auto gone = list_pod_devices(folder_.path(), kEpc, {}, kPatient);
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().kind(), ErrorKind::kUnavailable);
  ASSERT_TRUE(server_.start());
  EXPECT_EQ(list_pod_devices(folder_.path(), kEpc, {}, kPatient).value().size(), 1u);
}

TEST(PodResourcesWithoutServer, a_socket_that_is_not_there_is_unavailable_and_named) {
  fake::TempFolder folder;
  auto listed = list_pod_devices(folder.path(), kEpc, {}, kPatient);
  ASSERT_FALSE(listed);
  EXPECT_EQ(listed.error().kind(), ErrorKind::kUnavailable);
  EXPECT_THAT(listed.error().message(), HasSubstr((folder.path() / "pod-resources/kubelet.sock").string()));
}

}  // namespace
}  // namespace enclayer::kubelet
