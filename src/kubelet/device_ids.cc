// SPDX-License-Identifier: Apache-2.0
#include "kubelet/device_ids.h"

namespace enclayer::kubelet {
namespace {

constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
static_assert(kAlphabet.size() == 64);

constexpr std::array<std::int8_t, 256> make_digits() {
  std::array<std::int8_t, 256> digits{};
  digits.fill(-1);
  for (std::size_t i = 0; i < kAlphabet.size(); ++i)
    digits[static_cast<unsigned char>(kAlphabet[i])] = static_cast<std::int8_t>(i);
  return digits;
}
constexpr auto kDigits = make_digits();

// How many IDs are shorter than `size` characters.
constexpr std::size_t shorter_than(std::size_t size) { return size <= 1 ? 0 : size == 2 ? 64 : 64 + 64 * 64; }

}  // namespace

DeviceId::DeviceId(std::size_t index) {
  size_ = index < shorter_than(2) ? 1 : index < shorter_than(3) ? 2 : 3;
  std::size_t rest = index - shorter_than(size_);
  for (std::size_t i = size_; i-- > 0; rest /= 64) text_[i] = kAlphabet[rest % 64];
}

std::optional<std::size_t> device_index(std::string_view id) {
  if (id.empty() || id.size() > 3) return std::nullopt;
  std::size_t value = 0;
  for (unsigned char c : id) {
    if (kDigits[c] < 0) return std::nullopt;
    value = value * 64 + static_cast<std::size_t>(kDigits[c]);
  }
  return shorter_than(id.size()) + value;
}

}  // namespace enclayer::kubelet
