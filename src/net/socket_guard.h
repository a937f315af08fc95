// Keeps the path of a claimed socket (socket_claim.h) ours while we serve. A newer instance of our own is given way to;
// anybody else who replaces or removes the socket is told of, counted, and undone.
//
// Two that each believe the path to be theirs do not fight over it in a loop: the socket is put back at once, but
// another time only after 2 s, then 4 s, and so on up to 5 minutes. Who has kept it for 10 minutes begins anew.
#pragma once

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

  // `claim` and `metrics` outlive it.
  SocketGuard(SocketClaim& claim, Serve serve, base::Metrics& metrics)
      : claim_(claim), serve_(std::move(serve)), metrics_(metrics) {}

  // Looks whose the path is, and takes it back where that is right; cheap while it is ours: call it every second. False
  // when a newer instance has had it since kHandOver ago: ours may stop listening.
  bool look(Moment now);

 private:
  void take_back(Moment now);

  SocketClaim& claim_;
  const Serve serve_;
  base::Metrics& metrics_;
  bool lost_ = false;
  std::optional<Moment> succeeded_;  // when it was first seen
  std::chrono::seconds pause_{0};
  Moment last_try_{}, next_try_{};
};

}  // namespace enclayer::net
