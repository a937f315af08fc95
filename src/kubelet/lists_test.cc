// Device IDs, encoded lists, quantities.
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "kubelet/device_ids.h"
#include "kubelet/device_list.h"
#include "kubelet/quantity.h"
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

TEST(DeviceList, an_id_beyond_the_end_is_not_in_the_list) {
  auto list = DeviceList::of(10);
  EXPECT_EQ(list->index_of("J"), 9u);
  EXPECT_EQ(list->index_of("K"), std::nullopt);
  EXPECT_EQ(list->index_of("AAA"), std::nullopt);
}

TEST(Quantity, binary_units_and_plain_bytes_are_read) {
  EXPECT_EQ(parse_quantity("0").value(), 0u);
  EXPECT_EQ(parse_quantity("1048576").value(), 1u << 20);
  EXPECT_EQ(parse_quantity("1Ki").value(), 1024u);
  EXPECT_EQ(parse_quantity("512Mi").value(), 512ull << 20);
  EXPECT_EQ(parse_quantity("8Gi").value(), 8ull << 30);
  EXPECT_EQ(parse_quantity("1Ti").value(), 1ull << 40);
  EXPECT_EQ(parse_quantity("18446744073709551615").value(), ~0ull);
}

TEST(Quantity, everything_else_is_refused_and_named) {
  for (const char* text : {"",
                           "Gi",
                           "-1",
                           "+1",
                           " 8Gi",
                           "8Gi ",
                           "8 Gi",
                           "8G",
                           "8M",
                           "8k",
                           "8gi",
                           "8GiB",
                           "0x10",
                           "1.5Gi",
                           "1e3",
                           "8Gi8",
                           "18446744073709551616",
                           "99999999999999999999Ki",
                           "17179869184Gi",
                           "16777216Ti"}) {
    auto read = parse_quantity(text);
    ASSERT_FALSE(read) << text;
    EXPECT_EQ(read.error().kind(), ErrorKind::kInvalidArgument);
    EXPECT_NE(read.error().message().find("'" + std::string(text) + "'"), std::string::npos) << read.error().message();
  }
}

}  // namespace
}  // namespace enclayer::kubelet
