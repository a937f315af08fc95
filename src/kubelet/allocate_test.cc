// SPDX-License-Identifier: Apache-2.0
#include "kubelet/allocate.h"

#include <gtest/gtest.h>

#include <numeric>

#include "kubelet/device_ids.h"
#include "proto/deviceplugin.pb.h"

namespace enclayer::kubelet {
namespace {

namespace api = v1beta1;

class AllocateTest : public testing::Test {
 protected:
  Result<AllocateAnswer> answer(const api::AllocateRequest& request) const {
    return answer(request.SerializeAsString());
  }
  Result<AllocateAnswer> answer(std::string_view bytes) const {
    return answer_allocate(plugin_, plugin_.devices, bytes);
  }

  static api::AllocateRequest request_for(const std::vector<std::string>& ids) {
    api::AllocateRequest request;
    auto* container = request.add_container_requests();
    for (const std::string& id : ids) container->add_devices_ids(id);
    return request;
  }

  // What is wrong with the request, with its kind.
  void expect_refused(const Result<AllocateAnswer>& refused, ErrorKind kind, const std::string& because) const {
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind(), kind) << refused.error().message();
    EXPECT_NE(refused.error().message().find(because), std::string::npos) << refused.error().message();
    EXPECT_NE(refused.error().message().find(plugin_.resource), std::string::npos) << refused.error().message();
  }

  std::vector<std::vector<std::size_t>> mutable given_;
  Plugin plugin_{"example.com/epc", DeviceList::of(100'000).value(),
                 [this](std::span<const std::size_t> devices) -> Result<Grant> {
                   given_.emplace_back(devices.begin(), devices.end());
                   return Grant{{{"NAME", "value"}},
                                {{"/var/run/x", "/run/x", true}},
                                {{"/dev/sgx_enclave", "/host/sgx_enclave", "rw"}},
                                {"example.com/sgx=enclave"}};
                 }};
};

TEST_F(AllocateTest, devices_of_the_list_are_given_and_the_grant_is_told) {
  auto given = answer(request_for({"A", "_", "BA"}));
  ASSERT_TRUE(given) << given.error().message();
  EXPECT_EQ(given->containers, std::vector<std::size_t>{3});
  EXPECT_EQ(given_,
            (std::vector<std::vector<std::size_t>>{{*device_index("A"), *device_index("_"), *device_index("BA")}}));
  api::AllocateResponse response;
  ASSERT_TRUE(response.ParseFromString(given->bytes));
  ASSERT_EQ(response.container_responses_size(), 1);
  const auto& container = response.container_responses(0);
  EXPECT_EQ(container.envs().at("NAME"), "value");
  ASSERT_EQ(container.cdi_devices_size(), 1);
  EXPECT_EQ(container.cdi_devices(0).name(), "example.com/sgx=enclave");
  ASSERT_EQ(container.mounts_size(), 1);
  EXPECT_EQ(container.mounts(0).container_path() + container.mounts(0).host_path(), "/var/run/x/run/x");
  EXPECT_TRUE(container.mounts(0).read_only());
  ASSERT_EQ(container.devices_size(), 1);
  EXPECT_EQ(container.devices(0).container_path(), "/dev/sgx_enclave");
  EXPECT_EQ(container.devices(0).host_path(), "/host/sgx_enclave");
  EXPECT_EQ(container.devices(0).permissions(), "rw");
  ASSERT_EQ(container.cdi_devices_size(), 1);
  EXPECT_EQ(container.cdi_devices(0).name(), "example.com/sgx=enclave");
}

TEST_F(AllocateTest, every_container_has_an_answer_of_its_own) {
  auto request = request_for({"A"});
  *request.add_container_requests() = request_for({"B", "C"}).container_requests(0);
  auto given = answer(request);
  ASSERT_TRUE(given) << given.error().message();
  EXPECT_EQ(given->containers, (std::vector<std::size_t>{1, 2}));
  api::AllocateResponse response;
  ASSERT_TRUE(response.ParseFromString(given->bytes));
  EXPECT_EQ(response.container_responses_size(), 2);
}

TEST_F(AllocateTest, ids_that_are_nobodys_are_named_in_the_refusal) {
  for (const char* id : {"", "AAAA", "A ", "\n"})
    expect_refused(answer(request_for({"A", id})), ErrorKind::kNotFound, id[0] == '\n' ? "'?'" : id);
  std::string beyond(DeviceId(100'000).text());
  expect_refused(answer(request_for({beyond})), ErrorKind::kNotFound, "'" + beyond + "'");
  auto refused = answer(request_for({std::string(1'000'000, 'x')}));
  expect_refused(refused, ErrorKind::kNotFound, std::string(63, 'x') + "'");
  EXPECT_LT(refused.error().message().size(), 300U);
}

TEST_F(AllocateTest, device_that_is_named_twice_is_refused) {
  expect_refused(answer(request_for({"A", "B", "A"})), ErrorKind::kInvalidArgument, "'A' twice");
  auto request = request_for({"A"});
  *request.add_container_requests() = request_for({"A"}).container_requests(0);
  expect_refused(answer(request), ErrorKind::kInvalidArgument, "'A' twice");
}

TEST_F(AllocateTest, requests_without_containers_or_devices_are_refused) {
  expect_refused(answer(api::AllocateRequest()), ErrorKind::kInvalidArgument, "no container");
  expect_refused(answer(request_for({})), ErrorKind::kInvalidArgument, "no device");
  EXPECT_TRUE(given_.empty());
}

TEST_F(AllocateTest, bytes_that_are_no_request_are_refused) {
  expect_refused(answer("\x0a\xff"), ErrorKind::kMalformed, "2 bytes");
  expect_refused(answer("\x0a\x03\x0a\x01\xff"), ErrorKind::kMalformed, "not an AllocateRequest");  // not UTF-8
  expect_refused(answer(std::string(kMaxRequestBytes + 1, 'A')), ErrorKind::kExhausted, "8388608");
}

TEST_F(AllocateTest, all_devices_of_the_list_can_be_given_at_once_and_one_more_cannot) {
  std::vector<std::string> ids;
  for (std::size_t i = 0; i < 100'000; ++i) ids.emplace_back(DeviceId(i).text());
  auto given = answer(request_for(ids));
  ASSERT_TRUE(given) << given.error().message();
  std::vector<std::size_t> all(100'000);
  std::iota(all.begin(), all.end(), 0);
  EXPECT_EQ(given_.at(0), all);
  ids.emplace_back(DeviceId(100'000).text());
  expect_refused(answer(request_for(ids)), ErrorKind::kNotFound, "100000 devices");
}

TEST_F(AllocateTest, containers_are_bounded) {
  api::AllocateRequest request;
  for (std::size_t i = 0; i < kMaxContainers; ++i)
    request.add_container_requests()->add_devices_ids(std::string(DeviceId(i).text()));
  auto given = answer(request);
  ASSERT_TRUE(given) << given.error().message();
  EXPECT_LT(given->bytes.size(), kMaxListBytes);
  request.add_container_requests()->add_devices_ids(std::string(DeviceId(kMaxContainers).text()));
  expect_refused(answer(request), ErrorKind::kExhausted, "1025 containers");
}

TEST_F(AllocateTest, lost_list_leaves_the_answer_to_the_plugin) {
  auto lost = plugin_.devices.lost();
  EXPECT_TRUE(answer_allocate(plugin_, lost, request_for({"A"}).SerializeAsString()));
  plugin_.allocate = [this](std::span<const std::size_t>) -> Result<Grant> {
    return Error(ErrorKind::kUnavailable, plugin_.resource + ": the device is away");
  };
  expect_refused(answer_allocate(plugin_, lost, request_for({"A"}).SerializeAsString()), ErrorKind::kUnavailable,
                 "the device is away");
}

}  // namespace
}  // namespace enclayer::kubelet
