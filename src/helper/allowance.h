// SPDX-License-Identifier: Apache-2.0
// How many quotes a client may have: so many a minute, all at once if they like, then as they are earned again.
//
// That is what remains to be limited where turns are fair: a client that asks without end takes no turn from others,
// but keeps the node's processors and the Quoting Enclave busy and fills the log. How many may wait at once is the
// queue's matter.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <unordered_map>

namespace enclayer::helper {

// Used by one thread.
class Allowance {
 public:
  using Clock = std::chrono::steady_clock;

  // Keys that are remembered: those that have not earned all back. Newcomers beyond share one allowance, which takes
  // more clients at once than a node runs.
  static constexpr std::size_t kMostKeys = 4096;
  static constexpr int kMost = 100'000;

  // 1 .. kMost.
  explicit Allowance(int a_minute) : a_minute_(std::clamp(a_minute, 1, kMost)) {}

  int a_minute() const { return a_minute_; }

  // Uses one up; false: there is none now.
  bool take(std::uint64_t key, Clock::time_point now) {
    auto found = earned_back_.find(key);
    if (found == earned_back_.end()) {
      if (earned_back_.size() >= kMostKeys)
        std::erase_if(earned_back_, [now](const auto& entry) { return entry.second <= now; });
      if (earned_back_.size() >= kMostKeys) return take(common_, now);
      found = earned_back_.emplace(key, now).first;
    }
    return take(found->second, now);
  }

  // Whether there is one now.
  bool any(std::uint64_t key, Clock::time_point now) const {
    auto found = earned_back_.find(key);
    auto earned_back = found != earned_back_.end() ? found->second : earned_back_.size() < kMostKeys ? now : common_;
    return after_one_more(earned_back, now) - now <= kMinute;
  }

  std::size_t keys() const { return earned_back_.size(); }

 private:
  static constexpr std::chrono::nanoseconds kMinute = std::chrono::minutes(1);

  Clock::time_point after_one_more(Clock::time_point earned_back, Clock::time_point now) const {
    return std::max(earned_back, now) + kMinute / a_minute_;
  }
  bool take(Clock::time_point& earned_back, Clock::time_point now) const {
    auto after = after_one_more(earned_back, now);
    if (after - now > kMinute) return false;
    earned_back = after;
    return true;
  }

  const int a_minute_;
  std::unordered_map<std::uint64_t, Clock::time_point> earned_back_;  // when all are
  Clock::time_point common_{};
};

}  // namespace enclayer::helper
