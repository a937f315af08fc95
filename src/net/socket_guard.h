// Keeps the path of a claimed socket (socket_claim.h) ours while we serve. A newer instance of our own is given way to;
// anybody else who replaces or removes the socket is told of, counted, and undone.
//
// Who has been succeeded ends, or waits: it serves what is connected, looks every second whether the newer instance
// still answers at the path, and puts its own socket there again when that one is gone or says that it goes. So a
// successor that crashes does not leave the node without quotes, and one that is started again gets the path back.
//
// Two that each believe the path to be theirs do not fight over it in a loop: the socket is put back at once, but
// another time only after 2 s, then 4 s, and so on up to 5 minutes. Who has kept it for 10 minutes begins anew.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <optional>

#include "base/file.h"
#include "base/metrics.h"
#include "net/socket_claim.h"

namespace enclayer::net {

class SocketGuard {
 public:
  using Moment = std::chrono::steady_clock::time_point;
  // Takes every socket that is to be served from now on, beside those before it (FrameServer::serve_also).
  using Serve = std::function<void(base::UniqueFd listener)>;

  // A newer instance is served beside for as long: a client that found our socket before it came may connect late.
  static constexpr std::chrono::seconds kHandOver{1};
  static constexpr std::chrono::seconds kFirstPause{2}, kLongestPause{300}, kCalm{600};

  enum class Succeeded { kEnds, kWaits };

  // `claim` and `metrics` outlive it.
  SocketGuard(SocketClaim& claim, Serve serve, Succeeded succeeded, base::Metrics& metrics);

  // Looks whose the path is, and takes it back where that is right; cheap while it is ours: call it every second. False
  // when a newer instance has had it since kHandOver ago and ours is not to wait: it may stop listening.
  bool look(Moment now);

  // Whether the path is a newer instance's. From any thread.
  bool waits() const { return waits_; }

 private:
  void give_way(Moment now);
  void take_back(Moment now);
  void resume(Moment now);
  void pause(Moment now);

  SocketClaim& claim_;
  const Serve serve_;
  const Succeeded when_succeeded_;
  base::Metrics& metrics_;
  bool lost_ = false;
  std::atomic<bool> waits_;
  std::optional<Moment> succeeded_;  // when it was first seen; while it waits
  std::chrono::seconds pause_{0};
  Moment last_try_{}, next_try_{};
};

}  // namespace enclayer::net
