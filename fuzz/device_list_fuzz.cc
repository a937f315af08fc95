// SPDX-License-Identifier: Apache-2.0
// Any number of devices, any split over NUMA nodes, lost or not: a list that is made never has a byte too many, and is
// what protobuf would have written. The input: a byte of flags (1: lost, 2: NUMA hints, 4: the first count is counted
// down from above the limit, 262,500; without it counts are below 1,024, for speed), then two bytes a count.
#include <google/protobuf/arena.h>

#include <cstdlib>
#include <numeric>

#include "base/bytes.h"
#include "kubelet/device_ids.h"
#include "kubelet/device_list.h"
#include "proto/deviceplugin.pb.h"

namespace {

using namespace enclayer;
using kubelet::DeviceList;

void require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 3) return 0;
  const bool is_lost = data[0] & 1, is_numa = data[0] & 2, is_large = data[0] & 4;
  std::vector<std::size_t> per_node;
  for (std::size_t at = 1; at + 2 <= size && per_node.size() < 200; at += 2)
    per_node.push_back(base::load_le16(data + at));
  for (std::size_t& here : per_node) here &= is_large ? 0xffff : 0x3ff;
  if (is_large) per_node[0] = 262'500 - per_node[0];
  if (!is_numa) per_node.resize(1);
  const std::size_t count = std::accumulate(per_node.begin(), per_node.end(), std::size_t{0});

  auto made = is_numa ? DeviceList::of_numa(per_node) : DeviceList::of(count);
  if (!made) {
    require(is_numa || count > DeviceList::max_count());
    return 0;
  }
  DeviceList list = is_lost ? made->lost() : std::move(*made);
  const auto bytes = base::as_text(*list.bytes());
  require(bytes.size() <= kubelet::kMaxListBytes);
  require(list.count() == count && list.healthy() == !is_lost);
  if (!is_numa && !is_lost) require(bytes.size() == DeviceList::encoded_size(count));

  google::protobuf::Arena arena;  // for speed
  auto& response = *google::protobuf::Arena::CreateMessage<v1beta1::ListAndWatchResponse>(&arena);
  require(response.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())));
  require(response.SerializeAsString() == bytes);
  if (is_lost && response.devices_size() == 0) return 0;  // lost, and too many to say so of each
  require(static_cast<std::size_t>(response.devices_size()) == count);
  std::size_t node = 0, left_on_node = per_node[0];
  for (std::size_t i = 0; i < count; ++i, --left_on_node) {
    const auto& device = response.devices(static_cast<int>(i));
    require(device.id() == kubelet::DeviceId(i).text() && list.index_of(device.id()) == i);
    require(device.health() == (is_lost ? "Unhealthy" : "Healthy"));
    require(device.has_topology() == is_numa);
    if (!is_numa) continue;
    while (left_on_node == 0) left_on_node = per_node[++node];
    require(device.topology().nodes_size() == 1);
    require(device.topology().nodes(0).id() == static_cast<std::int64_t>(node));
  }
  return 0;
}
