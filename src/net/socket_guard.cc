#include "net/socket_guard.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "base/metric_names.h"

namespace enclayer::net {

namespace log = base::log;

bool SocketGuard::look(Moment now) {
  if (succeeded_) return now - *succeeded_ < kHandOver;
  auto loss = claim_.lost();
  if (!loss) {
    lost_ = false;
  } else if (loss->succeeded) {
    log::info("socket handed over", {{"reason", loss->reason}, {"generation", claim_.generation()}});
    succeeded_ = now;
  } else {
    if (!std::exchange(lost_, true)) {
      log::warn("socket lost", {{"reason", loss->reason}, {"generation", claim_.generation()}});
      metrics_.counter(base::metric::kSocketReplaced).add();
    }
    if (now >= next_try_) take_back(now);
  }
  return true;
}

void SocketGuard::take_back(Moment now) {
  bool calm = pause_ == pause_.zero() || now - last_try_ >= kCalm;
  pause_ = calm ? kFirstPause : std::min(pause_ * 2, kLongestPause);
  last_try_ = now;
  next_try_ = now + pause_;
  auto listener = claim_.take_back();
  if (!listener)
    return log::error("socket cannot be taken back",
                      {{"reason", listener.error().message()}, {"tried_again_after_s", pause_.count()}});
  lost_ = false;
  serve_(std::move(*listener));
  log::warn("socket taken back", {{"generation", claim_.generation()}, {"not_again_within_s", pause_.count()}});
}

}  // namespace enclayer::net
