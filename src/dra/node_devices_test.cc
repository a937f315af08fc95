// SPDX-License-Identifier: Apache-2.0
#include "dra/node_devices.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sgx/epc.h"

namespace enclayer::dra {
namespace {

constexpr std::uint64_t kGib = 1024;

TEST(NodeDevices, a_part_is_an_amount_or_a_share_in_whole_mib_rounded_down) {
  EXPECT_EQ(driver_part("64Gi", 256 * kGib).value(), 64 * kGib);
  EXPECT_EQ(driver_part("100%", 8191).value(), 8191u);
  EXPECT_EQ(driver_part("50%", 8191).value(), 4095u);
  EXPECT_EQ(driver_part("1048577", 16).value(), 1u);
  EXPECT_EQ(driver_part("0", 16).value(), 0u);
  EXPECT_EQ(driver_part("0%", 16).value(), 0u);
  EXPECT_EQ(driver_part("99%", std::uint64_t{1} << 43).value(), (std::uint64_t{1} << 43) / 100 * 99 + 7);
}

TEST(NodeDevices, a_part_that_is_none_or_more_than_there_is_is_refused) {
  for (const char* text : {"", "%", "101%", "-1%", "50 %", "1.5%", "8G", "-1Gi", "17Mi", "16777217Ti"}) {
    auto part = driver_part(text, 16);
    ASSERT_FALSE(part) << text;
    EXPECT_EQ(part.error().kind(), ErrorKind::kInvalidArgument) << text;
  }
  EXPECT_THAT(driver_part("17Mi", 16).error().message(), testing::HasSubstr("16 MiB"));
}

TEST(NodeDevices, sections_are_those_of_the_numa_nodes_and_add_up) {
  const std::vector<std::uint64_t> bytes = {96 * sgx::kMiB, 0, 32 * sgx::kMiB};
  EXPECT_EQ(sections_of(64, bytes).value(), (std::vector<Section>{{"epc-numa0", 0, 48}, {"epc-numa2", 2, 16}}));
  for (std::uint64_t mib = 0; mib <= 128; ++mib) {
    const auto sections = sections_of(mib, bytes);
    std::uint64_t sum = 0;
    for (const Section& section : sections.value()) {
      EXPECT_GT(section.mib, 0u);
      EXPECT_LE(section.mib * sgx::kMiB, bytes[*section.numa]);
      sum += section.mib;
    }
    EXPECT_EQ(sum, mib);
  }
}

TEST(NodeDevices, a_kernel_that_does_not_tell_numa_nodes_leaves_one_section) {
  EXPECT_EQ(sections_of(64, {}).value(), (std::vector<Section>{{"epc", std::nullopt, 64}}));
  EXPECT_EQ(sections_of(64, {0, 0}).value(), (std::vector<Section>{{"epc", std::nullopt, 64}}));
  EXPECT_TRUE(sections_of(0, {sgx::kMiB})->empty());
}

TEST(NodeDevices, more_numa_nodes_than_a_slice_has_room_for_are_refused) {
  EXPECT_TRUE(sections_of(kMostSections, std::vector<std::uint64_t>(kMostSections, sgx::kMiB)));
  auto refused = sections_of(kMostSections + 1, std::vector<std::uint64_t>(kMostSections + 1, sgx::kMiB));
  EXPECT_EQ(refused.error().kind(), ErrorKind::kExhausted);
}

}  // namespace
}  // namespace enclayer::dra
