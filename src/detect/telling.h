// SPDX-License-Identifier: Apache-2.0
// When the API server is told what is wrong: whenever that is otherwise than it was told, but five times at once and then
// once a minute, so that a node where everything comes and goes makes no storm; and where it fails, after pauses of 10 s,
// twice that, and so on up to 10 minutes.
#pragma once

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>

namespace enclayer::detect {

class Telling {
 public:
  using Moment = std::chrono::steady_clock::time_point;
  static constexpr int kAtOnce = 5;
  static constexpr std::chrono::seconds kEach{60}, kFirstPause{10}, kLongestPause{600};

  // Whether there is something to tell that was not told yet.
  bool is_news(const std::string& text) const { return text != told_; }

  // Not before then.
  Moment next() const { return next_; }

  // It was told, or tried: then it still is to be.
  void done(std::string text, bool worked, Moment now) {
    used_up_ = std::max(used_up_, now) + kEach;
    next_ = used_up_ - (kAtOnce - 1) * kEach;
    pause_ = worked ? kFirstPause / 2 : std::min(2 * pause_, kLongestPause);
    if (worked)
      told_ = std::move(text);
    else
      next_ = std::max(next_, now + pause_);
  }

 private:
  std::string told_;  // nothing is wrong, at first
  std::chrono::seconds pause_ = kFirstPause / 2;
  Moment used_up_{}, next_{};  // all that was told has taken its minute by then
};

}  // namespace enclayer::detect
