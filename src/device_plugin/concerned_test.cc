// SPDX-License-Identifier: Apache-2.0
#include "device_plugin/concerned.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fake/temp_folder.h"

namespace enclayer::device_plugin {
namespace {

using kubelet::ContainerDevices;
using testing::ElementsAre;
using testing::IsEmpty;
using troubles::Pod;

TEST(Concerned, is_each_pod_once_with_the_uid_of_its_lowest_device_where_that_is_known) {
  const std::vector<ContainerDevices> containers = {{"bank", "ledger-0", "app", 0, {7, 3}},
                                                    {"bank", "ledger-0", "side", 0, {9}},
                                                    {"shop", "cart", "main", 0, {1}},
                                                    {"shop", "none", "main", 5, {}}};
  EXPECT_THAT(pods_of(containers, {{3, "u-1"}, {7, "other"}, {0, "u-0"}}),
              ElementsAre(Pod{"bank", "ledger-0", "u-1"}, Pod{"shop", "cart", ""}));
  EXPECT_THAT(pods_of({}, {{3, "u-1"}}), IsEmpty());
}

TEST(Concerned, is_nobody_where_the_kubelet_does_not_say_or_nobody_is) {
  fake::TempFolder folder;
  EXPECT_THAT(concerned_by(troubles::kEpcLost, folder.path()), IsEmpty());
  EXPECT_THAT(concerned_by(troubles::kNotRegistered, folder.path()), IsEmpty());
}

}  // namespace
}  // namespace enclayer::device_plugin
