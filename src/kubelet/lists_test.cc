// SPDX-License-Identifier: Apache-2.0
// Device IDs, encoded lists, quantities.
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "kubelet/device_ids.h"
#include "kubelet/device_list.h"
#include "proto/deviceplugin.pb.h"

namespace enclayer::kubelet {
namespace {

TEST(DeviceIds, every_index_has_an_id_of_its_own_and_the_way_back_leads_home) {
  std::set<std::string> seen;
  for (std::size_t i = 0; i < kMaxDeviceIds; ++i) {
    DeviceId id(i);
    ASSERT_EQ(device_index(id.text()), i) << id.text();
    ASSERT_TRUE(seen.insert(std::string(id.text())).second) << id.text();
  }
}

TEST(DeviceIds, short_ones_come_first) {
  EXPECT_EQ(DeviceId(0).text(), "A");
  EXPECT_EQ(DeviceId(63).text(), "-");
  EXPECT_EQ(DeviceId(64).text(), "AA");
  EXPECT_EQ(DeviceId(64 + 4095).text(), "--");
  EXPECT_EQ(DeviceId(64 + 4096).text(), "AAA");
  EXPECT_EQ(DeviceId(kMaxDeviceIds - 1).text(), "---");
}

TEST(DeviceIds, strings_that_are_no_ids_have_no_index) {
  for (const char* text : {"", "AAAA", "a b", "+", "/", "=", "\xff", "A.", "sgx-enclave-1"})
    EXPECT_EQ(device_index(text), std::nullopt) << text;
  EXPECT_EQ(device_index(std::string_view("A\0", 2)), std::nullopt);
}

TEST(DeviceList, bytes_are_what_protobuf_reads_and_writes) {
  for (std::size_t count : {0u, 1u, 64u, 65u, 4160u, 4161u, 8192u}) {
    auto list = DeviceList::of(count);
    ASSERT_TRUE(list) << list.error().message();
    v1beta1::ListAndWatchResponse message;
    ASSERT_TRUE(message.ParseFromArray(list->bytes()->data(), static_cast<int>(list->bytes()->size())));
    ASSERT_EQ(static_cast<std::size_t>(message.devices_size()), count);
    for (std::size_t i = 0; i < count; ++i) {
      const auto& device = message.devices(static_cast<int>(i));
      ASSERT_EQ(device.id(), DeviceId(i).text());
      ASSERT_EQ(device.health(), "Healthy");
      ASSERT_FALSE(device.has_topology());
    }
    std::string again = message.SerializeAsString();
    EXPECT_EQ(Bytes(again.begin(), again.end()), *list->bytes());
    EXPECT_EQ(DeviceList::encoded_size(count), list->bytes()->size());
  }
}

TEST(DeviceList, a_node_of_256_gib_fits_with_room_to_spare) {
  auto list = DeviceList::of(262'144);
  ASSERT_TRUE(list) << list.error().message();
  EXPECT_EQ(list->bytes()->size(), 4'190'080u);
  EXPECT_EQ(list->bytes()->capacity(), list->bytes()->size()) << "the bytes were moved while they were made";
}

TEST(DeviceList, one_device_more_than_fits_is_refused_with_both_numbers) {
  EXPECT_EQ(DeviceList::max_count(), 262'408u);
  auto fullest = DeviceList::of(DeviceList::max_count());
  ASSERT_TRUE(fullest);
  EXPECT_LE(fullest->bytes()->size(), kMaxListBytes);
  auto too_many = DeviceList::of(DeviceList::max_count() + 1);
  ASSERT_FALSE(too_many);
  EXPECT_EQ(too_many.error().kind(), ErrorKind::kExhausted);
  EXPECT_NE(too_many.error().message().find("262409"), std::string::npos) << too_many.error().message();
  EXPECT_NE(too_many.error().message().find("4194304"), std::string::npos) << too_many.error().message();
}

v1beta1::ListAndWatchResponse decoded(const DeviceList& list) {
  v1beta1::ListAndWatchResponse message;
  EXPECT_TRUE(message.ParseFromArray(list.bytes()->data(), static_cast<int>(list.bytes()->size())));
  std::string again = message.SerializeAsString();
  EXPECT_EQ(Bytes(again.begin(), again.end()), *list.bytes());
  return message;
}

TEST(DeviceList, lost_devices_are_unhealthy_and_stay_known) {
  for (std::size_t count : {0u, 1u, 65u, 8192u}) {
    DeviceList lost = DeviceList::of(count)->lost();
    auto message = decoded(lost);
    ASSERT_EQ(static_cast<std::size_t>(message.devices_size()), count);
    for (const auto& device : message.devices()) ASSERT_EQ(device.health(), "Unhealthy");
    EXPECT_FALSE(lost.healthy());
    EXPECT_EQ(lost.count(), count);
    EXPECT_EQ(lost.index_of("A").has_value(), count > 0);
  }
}

TEST(DeviceList, lost_devices_that_would_not_fit_as_unhealthy_are_an_empty_list) {
  DeviceList lost = DeviceList::of(262'144)->lost();
  EXPECT_TRUE(lost.bytes()->empty());
  EXPECT_EQ(lost.count(), 262'144u);
  EXPECT_EQ(DeviceList::of(233'251)->lost().bytes()->size(), 4'194'294u);
  EXPECT_TRUE(DeviceList::of(233'252)->lost().bytes()->empty());
}

TEST(DeviceList, numa_hints_are_what_protobuf_reads_and_writes) {
  const std::vector<std::size_t> per_node = {3, 0, 70, 1};
  auto list = DeviceList::of_numa(per_node);
  ASSERT_TRUE(list) << list.error().message();
  for (const DeviceList& either : {*list, list->lost()}) {
    auto message = decoded(either);
    ASSERT_EQ(message.devices_size(), 74);
    for (int i = 0; i < 74; ++i) {
      ASSERT_EQ(message.devices(i).topology().nodes_size(), 1);
      EXPECT_EQ(message.devices(i).topology().nodes(0).id(), i < 3 ? 0 : i < 73 ? 2 : 3) << i;
    }
  }
}

TEST(DeviceList, numa_hints_make_fewer_devices_fit) {
  EXPECT_TRUE(DeviceList::of_numa(std::vector<std::size_t>{209'926}));
  EXPECT_TRUE(DeviceList::of_numa(std::vector<std::size_t>{0, 190'842}));
  for (const std::vector<std::size_t>& per_node :
       {std::vector<std::size_t>{209'927}, {0, 190'843}, {~std::size_t{0}, 2}, {1u << 31, 1u << 31, 1u << 31}}) {
    auto refused = DeviceList::of_numa(per_node);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind(), ErrorKind::kExhausted);
    EXPECT_NE(refused.error().message().find("NUMA"), std::string::npos) << refused.error().message();
  }
  EXPECT_EQ(DeviceList::of_numa({}).error().kind(), ErrorKind::kInvalidArgument);
  EXPECT_EQ(DeviceList::of_numa(std::vector<std::size_t>(129, 1)).error().kind(), ErrorKind::kInvalidArgument);
}

TEST(DeviceList, an_id_beyond_the_end_is_not_in_the_list) {
  auto list = DeviceList::of(10);
  EXPECT_EQ(list->index_of("J"), 9u);
  EXPECT_EQ(list->index_of("K"), std::nullopt);
  EXPECT_EQ(list->index_of("AAA"), std::nullopt);
}

}  // namespace
}  // namespace enclayer::kubelet
