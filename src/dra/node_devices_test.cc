// SPDX-License-Identifier: Apache-2.0
#include "dra/node_devices.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace enclayer::dra {
namespace {

TEST(NodeDevices, sections_are_those_of_the_numa_nodes_and_add_up) {
  const std::vector<std::uint64_t> numa_mib = {96, 0, 32};
  EXPECT_EQ(sections_of(64, numa_mib).value(), (std::vector<Section>{{"epc-numa0", 0, 48}, {"epc-numa2", 2, 16}}));
  for (std::uint64_t mib = 0; mib <= 128; ++mib) {
    const auto sections = sections_of(mib, numa_mib);
    std::uint64_t sum = 0;
    for (const Section& section : sections.value()) {
      EXPECT_GT(section.mib, 0u);
      EXPECT_LE(section.mib, numa_mib[*section.numa]);
      sum += section.mib;
    }
    EXPECT_EQ(sum, mib);
  }
}

TEST(NodeDevices, a_kernel_that_does_not_tell_numa_nodes_leaves_one_section) {
  EXPECT_EQ(sections_of(64, {}).value(), (std::vector<Section>{{"epc", std::nullopt, 64}}));
  EXPECT_EQ(sections_of(64, {0, 0}).value(), (std::vector<Section>{{"epc", std::nullopt, 64}}));
  EXPECT_TRUE(sections_of(0, {1})->empty());
}

TEST(NodeDevices, beside_epc_of_the_plugin_are_no_larger_than_what_is_left) {
  NodeDevices devices;
  devices.all_mib = 128;
  devices.numa_mib = {96, 0, 32};
  devices.sections = sections_of(64, devices.numa_mib).value();
  EXPECT_EQ(devices.beside(64)->sections, devices.sections);
  EXPECT_EQ(devices.beside(124)->sections, (std::vector<Section>{{"epc-numa0", 0, 3}, {"epc-numa2", 2, 1}}));
  EXPECT_TRUE(devices.beside(128)->sections.empty());
  EXPECT_TRUE(devices.beside(1'000)->sections.empty());
}

TEST(NodeDevices, more_numa_nodes_than_a_slice_has_room_for_are_refused) {
  EXPECT_TRUE(sections_of(kMostSections, std::vector<std::uint64_t>(kMostSections, 1)));
  auto refused = sections_of(kMostSections + 1, std::vector<std::uint64_t>(kMostSections + 1, 1));
  EXPECT_EQ(refused.error().kind(), ErrorKind::kExhausted);
}

}  // namespace
}  // namespace enclayer::dra
