// SPDX-License-Identifier: Apache-2.0
// Keeps the path of a claimed socket (claim.h) ours while we serve. A newer instance of our own is given way to;
// any other replacement or removal of the socket is logged, counted, and undone.
//
// An instance that has been succeeded ends, or waits: it serves what is connected, and puts its own socket there again
// when the other instance is gone (which its pulse tells at once), has answered nobody for five seconds, or says that
// it goes. So a helper that crashes or hangs does not leave the node without quotes, and one that is started again is a
// standby.
//
// Two that each believe the path to be theirs do not fight over it in a loop: the socket is put back at once, but
// another time only after 2 s, then 4 s, and so on up to 5 minutes. After 10 minutes of keeping it the pauses begin
// anew.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <optional>

#include "base/file.h"
#include "base/metrics.h"
#include "helper/claim.h"
#include "helper/pulse.h"

namespace enclayer::helper {

class SocketGuard {
 public:
  using Moment = std::chrono::steady_clock::time_point;
  // Takes every socket that is to be served from now on, beside those before it (FrameServer::serve).
  using Serve = std::function<void(base::UniqueFd listener)>;

  // A newer instance is served beside for as long: a client that found our socket before it came may connect late.
  static constexpr std::chrono::seconds kHandOver{1};
  static constexpr std::chrono::seconds kFirstPause{2}, kLongestPause{300}, kCalm{600};

  enum class Succeeded { kEnds, kWaits };

  // `claim` and `metrics` outlive it. `ask_at`: sockets of the serving instance, where its pulse is felt while ours
  // waits.
  SocketGuard(SocketClaim& claim, std::vector<std::filesystem::path> ask_at, Serve serve, Succeeded succeeded,
              base::Metrics& metrics);

  // Looks whose the path is, and takes it back where that is right; cheap while it is ours: call it every second, and
  // when alarm() is readable. False when another instance has had it since kHandOver ago and ours is not to wait: it
  // may stop listening.
  bool look(Moment now);

  // A descriptor that becomes readable when the one that serves is gone; -1 while ours serves.
  int alarm() const { return waits_ ? pulse_.fd() : -1; }

  // Whether another instance serves; whether the path is ours, as it was when it was looked at last. From any thread.
  bool waits() const { return waits_; }
  bool ours() const { return ours_; }

 private:
  void give_way(Moment now);
  void take_back(Moment now);
  void resume(Moment now);
  void pause(Moment now);

  SocketClaim& claim_;
  const Serve serve_;
  const Succeeded when_succeeded_;
  base::Metrics& metrics_;
  Pulse pulse_;
  std::optional<SocketClaim::Identity> felt_;  // whose pulse it is
  bool lost_ = false;
  std::atomic<bool> waits_, ours_;
  std::optional<Moment> succeeded_;  // when it was first seen; while it waits
  std::chrono::seconds pause_{0};
  Moment last_try_{}, next_try_{};
};

}  // namespace enclayer::helper
