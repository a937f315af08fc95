// SPDX-License-Identifier: Apache-2.0
#include "helper/guard.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "base/metric_names.h"

namespace enclayer::helper {

namespace log = base::log;

SocketGuard::SocketGuard(SocketClaim& claim, std::vector<std::filesystem::path> ask_at, Serve serve,
                         Succeeded succeeded, base::Metrics& metrics)
    : claim_(claim),
      serve_(std::move(serve)),
      when_succeeded_(succeeded),
      metrics_(metrics),
      pulse_(std::move(ask_at)),
      waits_(claim.waits()),
      ours_(!claim.waits()) {
  if (waits_) succeeded_ = Moment{};
  metrics_.gauge(base::metric::kSocketOurs).set(waits_ ? 0 : 1);
}

bool SocketGuard::look(Moment now) {
  if (succeeded_) {
    if (when_succeeded_ == Succeeded::kEnds) return now - *succeeded_ < kHandOver;
    if (now >= next_try_) resume(now);
    return true;
  }
  claim_.record_again();
  auto loss = claim_.lost();
  ours_ = !loss;
  if (!loss) {
    lost_ = false;
  } else if (loss->succeeded) {
    log::info("sockets handed over", {{"reason", loss->reason}, {"generation", claim_.generation()}});
    give_way(now);
  } else {
    if (!std::exchange(lost_, true)) {
      log::warn("socket lost", {{"reason", loss->reason}, {"generation", claim_.generation()}});
      metrics_.counter(base::metric::kSocketReplaced).add();
    }
    if (now >= next_try_) take_back(now);
  }
  return true;
}

void SocketGuard::give_way(Moment now) {
  succeeded_ = next_try_ = now;
  felt_.reset();
  waits_ = true;
  metrics_.gauge(base::metric::kSocketOurs).set(0);
}

void SocketGuard::pause(Moment now) {
  bool calm = pause_ == pause_.zero() || now - last_try_ >= kCalm;
  pause_ = calm ? kFirstPause : std::min(pause_ * 2, kLongestPause);
  last_try_ = now;
  next_try_ = now + pause_;
}

void SocketGuard::take_back(Moment now) {
  pause(now);
  auto listener = claim_.take_back();
  if (!listener)
    return log::error("socket cannot be taken back",
                      {{"reason", listener.error().message()}, {"tried_again_after_s", pause_.count()}});
  lost_ = false;
  ours_ = true;
  serve_(std::move(*listener));
  log::warn("socket taken back", {{"generation", claim_.generation()}, {"not_again_within_s", pause_.count()}});
}

// Nobody is fought here, so there is no pause, unless it cannot be done.
void SocketGuard::resume(Moment now) {
  if (auto serving = claim_.on_record(); serving != felt_) {
    felt_ = serving;
    pulse_.restart();
  }
  pulse_.look(now);
  auto listener = claim_.resume(pulse_.is_silent(now) ? felt_ : std::nullopt);
  if (!listener) {
    pause(now);
    return log::error("nobody serves, and the socket cannot be taken",
                      {{"reason", listener.error().message()}, {"tried_again_after_s", pause_.count()}});
  }
  if (!*listener) return;
  lost_ = false;
  ours_ = true;
  waits_ = false;
  succeeded_.reset();
  serve_(std::move(**listener));
  metrics_.gauge(base::metric::kSocketOurs).set(1);
  metrics_.counter(base::metric::kSocketResumed).add();
  log::warn("sockets taken, who served is gone", {{"generation", claim_.generation()}});
}

}  // namespace enclayer::helper
