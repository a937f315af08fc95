// SPDX-License-Identifier: Apache-2.0
#include "kubelet/device_list.h"

#include <algorithm>
#include <string>

#include "base/bytes.h"
#include "kubelet/device_ids.h"

namespace enclayer::kubelet {
namespace {

// Protobuf tags: field number << 3 | wire type, 2 for what has a length, 0 for a number.
constexpr std::uint8_t kTagDevices = 1 << 3 | 2, kTagId = 1 << 3 | 2, kTagHealth = 2 << 3 | 2;
constexpr std::uint8_t kTagTopology = 3 << 3 | 2, kTagNodes = 1 << 3 | 2, kTagNodeId = 1 << 3 | 0;
constexpr std::string_view kHealthy = "Healthy", kUnhealthy = "Unhealthy";
constexpr std::size_t kMaxNodes = 128;  // their numbers are one byte

// Tag and length of the device, tag and length of its ID, the health field; all lengths are below 128: one byte each.
constexpr std::size_t kBytesBesideId = 2 + 2 + 2 + kHealthy.size();
static_assert(kBytesBesideId == 13);

// A device's TopologyInfo with its tag; node 0 is told by an empty NUMANode.
std::size_t hint_size(std::size_t node) { return node == 0 ? 4 : 6; }

std::size_t size_of(std::size_t count, std::span<const std::size_t> per_node, bool healthy) {
  std::size_t size = DeviceList::encoded_size(count);
  for (std::size_t node = 0; node < per_node.size(); ++node) size += per_node[node] * hint_size(node);
  return healthy ? size : size + count * (kUnhealthy.size() - kHealthy.size());
}

Error too_many(const std::string& what) {
  return {ErrorKind::kExhausted,
          what + " do not fit into one list for the kubelet, which reads " + std::to_string(kMaxListBytes) +
              " bytes: " + std::to_string(DeviceList::max_count()) + " devices without NUMA hints"};
}

std::shared_ptr<const Bytes> encode(std::size_t count, std::span<const std::size_t> per_node, bool healthy) {
  const std::string_view health = healthy ? kHealthy : kUnhealthy;
  auto bytes = std::make_shared<Bytes>();
  bytes->reserve(size_of(count, per_node, healthy));
  auto put = [&](std::size_t byte) { bytes->push_back(static_cast<std::uint8_t>(byte)); };
  std::size_t node = 0, left_on_node = per_node.empty() ? count : per_node[0];
  for (std::size_t i = 0; i < count; ++i, --left_on_node) {
    while (left_on_node == 0) left_on_node = per_node[++node];
    DeviceId id(i);
    put(kTagDevices);
    put(2 + id.text().size() + 2 + health.size() + (per_node.empty() ? 0 : hint_size(node)));
    put(kTagId);
    put(id.text().size());
    base::append(*bytes, base::as_bytes(id.text()));
    put(kTagHealth);
    put(health.size());
    base::append(*bytes, base::as_bytes(health));
    if (per_node.empty()) continue;
    put(kTagTopology);
    put(hint_size(node) - 2);
    put(kTagNodes);
    put(hint_size(node) - 4);
    if (node == 0) continue;
    put(kTagNodeId);
    put(node);
  }
  return bytes;
}

}  // namespace

DeviceList::DeviceList(std::size_t count, std::vector<std::size_t> per_node, bool healthy)
    : count_(count), per_node_(std::move(per_node)), healthy_(healthy) {
  bool fits = size_of(count_, per_node_, healthy_) <= kMaxListBytes;
  bytes_ = fits ? encode(count_, per_node_, healthy_) : std::make_shared<const Bytes>();
}

std::size_t DeviceList::encoded_size(std::size_t count) {
  std::size_t of_one = std::min<std::size_t>(count, 64);
  std::size_t of_two = std::min<std::size_t>(count - of_one, std::size_t{64} * 64);
  std::size_t of_three = count - of_one - of_two;
  return count * kBytesBesideId + of_one + 2 * of_two + 3 * of_three;
}

std::size_t DeviceList::max_count() {
  constexpr std::size_t kShort = 64 + 64 * 64;
  return std::min(kMaxDeviceIds, kShort + (kMaxListBytes - encoded_size(kShort)) / (kBytesBesideId + 3));
}

Result<DeviceList> DeviceList::of(std::size_t count) {
  if (count > max_count()) return too_many(std::to_string(count) + " devices");
  return DeviceList(count, {}, true);
}

Result<DeviceList> DeviceList::of_numa(std::span<const std::size_t> per_node) {
  if (per_node.empty() || per_node.size() > kMaxNodes)
    return Error(ErrorKind::kInvalidArgument,
                 std::to_string(per_node.size()) + " NUMA nodes; 1 to " + std::to_string(kMaxNodes) + " can be told");
  std::size_t count = 0;
  for (std::size_t here : per_node) {
    if (here > max_count() || (count += here) > max_count())
      return too_many("more devices than " + std::to_string(max_count()) + " with NUMA hints");
  }
  if (std::size_t size = size_of(count, per_node, true); size > kMaxListBytes)
    return too_many(std::to_string(count) + " devices with NUMA hints (" + std::to_string(size) + " bytes)");
  return DeviceList(count, {per_node.begin(), per_node.end()}, true);
}

DeviceList DeviceList::lost() const { return DeviceList(count_, per_node_, false); }

std::optional<std::size_t> DeviceList::index_of(std::string_view id) const {
  auto index = device_index(id);
  return index && *index < count_ ? index : std::nullopt;
}

}  // namespace enclayer::kubelet
