// SPDX-License-Identifier: Apache-2.0
// Whether the instance that serves still does, felt by one that waits: a connection to a socket of its, on which the
// cheapest question is asked once a second. A process that ends hangs up, which is noticed at once; one that lives and
// answers nothing for kSilence is as good as gone.
#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <vector>

#include "base/file.h"

namespace enclayer::helper {

class Pulse {
 public:
  using Moment = std::chrono::steady_clock::time_point;
  static constexpr std::chrono::seconds kSilence{5};
  static constexpr std::chrono::seconds kAsk{1};

  // The first of them where somebody listens is asked.
  explicit Pulse(std::vector<std::filesystem::path> sockets) : sockets_(std::move(sockets)) {}

  // Asks, and takes answers; waits for nobody. Call it every second, and when fd() is readable.
  void look(Moment now);

  // Whether a question has had no answer for kSilence. A socket where nobody listens is not silent but gone: that is
  // for who connects there to find out.
  bool is_silent(Moment now) const { return asked_ && now - *asked_ >= kSilence; }

  // Another instance serves now.
  void restart();

  // Readable when an answer has come, or the other end is gone; -1 while there is no connection.
  int fd() const { return connection_.get(); }

 private:
  const std::vector<std::filesystem::path> sockets_;
  base::UniqueFd connection_;
  std::optional<Moment> asked_;  // the question that has no answer yet
  Moment next_{};
};

}  // namespace enclayer::helper
