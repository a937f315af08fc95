// SPDX-License-Identifier: Apache-2.0
// Device IDs: the shortest names that a list of devices can have. The kubelet takes a list of at most 4,194,304 bytes,
// so every character counts: at 256 GiB, one device per MiB, one character more per ID is 256 KiB.
//
// Device i has the i-th of the strings over A-Z a-z 0-9 _ -, shorter ones first: 64 of one character, 4,096 of two,
// 262,144 of three. Nothing is stored; both ways take constant time. An ID is an accounting token, not an EPC address.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace enclayer::kubelet {

inline constexpr std::size_t kMaxDeviceIds = 64 + 64 * 64 + 64 * 64 * 64;

class DeviceId {
 public:
  // `index` is less than kMaxDeviceIds.
  explicit DeviceId(std::size_t index);

  std::string_view text() const { return {text_.data(), size_}; }

 private:
  std::array<char, 3> text_{};
  std::uint8_t size_ = 0;
};

// The index whose ID this is; nullopt for a string that is nobody's ID.
std::optional<std::size_t> device_index(std::string_view id);

}  // namespace enclayer::kubelet
