#include "kubelet/device_list.h"

#include <algorithm>
#include <array>

#include "base/bytes.h"
#include "kubelet/device_ids.h"

namespace enclayer::kubelet {
namespace {

// Protobuf tags: field number << 3 | 2 (length-delimited).
constexpr std::uint8_t kTagDevices = 1 << 3 | 2, kTagId = 1 << 3 | 2, kTagHealth = 2 << 3 | 2;
constexpr std::string_view kHealthy = "Healthy";

// Tag and length of the device, tag and length of its ID, the health field; all lengths are below 128: one byte each.
constexpr std::size_t kBytesBesideId = 2 + 2 + 2 + kHealthy.size();
static_assert(kBytesBesideId == 13);

}  // namespace

std::size_t DeviceList::encoded_size(std::size_t count) {
  std::size_t of_one = std::min<std::size_t>(count, 64);
  std::size_t of_two = std::min<std::size_t>(count - of_one, 64 * 64);
  std::size_t of_three = count - of_one - of_two;
  return count * kBytesBesideId + of_one + 2 * of_two + 3 * of_three;
}

std::size_t DeviceList::max_count() {
  constexpr std::size_t kShort = 64 + 64 * 64;
  return std::min(kMaxDeviceIds, kShort + (kMaxListBytes - encoded_size(kShort)) / (kBytesBesideId + 3));
}

Result<DeviceList> DeviceList::of(std::size_t count) {
  if (count > max_count())
    return Error(ErrorKind::kExhausted, std::to_string(count) + " devices do not fit into one list for the kubelet: " +
                                            std::to_string(max_count()) + " do, in the " +
                                            std::to_string(kMaxListBytes) + " bytes that it reads");
  auto bytes = std::make_shared<Bytes>();
  bytes->reserve(encoded_size(count));
  for (std::size_t i = 0; i < count; ++i) {
    DeviceId id(i);
    auto id_size = static_cast<std::uint8_t>(id.text().size());
    const std::array<std::uint8_t, 4> head = {kTagDevices, static_cast<std::uint8_t>(kBytesBesideId - 2 + id_size),
                                              kTagId, id_size};
    base::append(*bytes, head);
    base::append(*bytes, base::as_bytes(id.text()));
    bytes->push_back(kTagHealth);
    bytes->push_back(static_cast<std::uint8_t>(kHealthy.size()));
    base::append(*bytes, base::as_bytes(kHealthy));
  }
  return DeviceList(count, std::move(bytes));
}

std::optional<std::size_t> DeviceList::index_of(std::string_view id) const {
  auto index = device_index(id);
  return index && *index < count_ ? index : std::nullopt;
}

}  // namespace enclayer::kubelet
