// SPDX-License-Identifier: Apache-2.0
// When the API server is told what is wrong: whenever that is otherwise than it was told, and with growing pauses, so
// that neither a node where everything comes and goes nor an API server that refuses makes a storm. After the first time
// it is 10 s, then twice that, up to 10 minutes; after so long without, they begin anew.
#pragma once

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>

namespace enclayer::detect {

class Telling {
 public:
  using Moment = std::chrono::steady_clock::time_point;
  static constexpr std::chrono::seconds kFirstPause{10}, kLongestPause{600};

  // Whether there is something to tell, of which nothing was told yet.
  bool is_news(const std::string& text) const { return text != told_; }

  // Not before then.
  Moment next() const { return next_; }

  // It was told, or tried: then it still is to be.
  void done(std::string text, bool worked, Moment now) {
    if (worked) told_ = std::move(text);
    const bool calm = now - next_ >= kLongestPause;
    pause_ = calm ? kFirstPause : std::min(2 * pause_, kLongestPause);
    next_ = now + pause_;
  }

 private:
  std::string told_;  // nothing is wrong, at first
  std::chrono::seconds pause_ = kFirstPause / 2;
  Moment next_{};
};

}  // namespace enclayer::detect
