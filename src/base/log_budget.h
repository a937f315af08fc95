// SPDX-License-Identifier: Apache-2.0
// How many lines a flood may write: a burst, then one each `interval`. Whoever provokes a log line from outside must
// not be able to fill the disk with them.
//   if (auto more = budget.take(steady_clock::now())) log::warn("frame refused", {..., {"not_logged_before", *more}});
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>

namespace enclayer::base {

class LogBudget {
 public:
  using Clock = std::chrono::steady_clock;

  explicit LogBudget(int burst = 20, Clock::duration interval = std::chrono::seconds(1))
      : burst_(burst), interval_(interval), left_(burst) {}

  // nullopt: do not write. Otherwise the number of lines that were not written since the last one was. Any thread.
  std::optional<std::uint64_t> take(Clock::time_point now) {
    std::lock_guard lock(mutex_);
    if (left_ < burst_) {
      auto earned = (now - since_) / interval_;
      since_ += earned * interval_;
      left_ = earned >= burst_ - left_ ? burst_ : left_ + static_cast<int>(earned);
    }
    if (left_ == 0) {
      ++unwritten_;
      return std::nullopt;
    }
    if (left_ == burst_) since_ = now;
    --left_;
    std::uint64_t out = unwritten_;
    unwritten_ = 0;
    return out;
  }

 private:
  const int burst_;
  const Clock::duration interval_;
  std::mutex mutex_;
  int left_;
  Clock::time_point since_;  // when the budget was last full, or last earned a line
  std::uint64_t unwritten_ = 0;
};

}  // namespace enclayer::base
