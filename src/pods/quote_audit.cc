#include "pods/quote_audit.h"

#include <vector>

#include "base/hex.h"
#include "base/log.h"
#include "base/metric_names.h"

namespace enclayer::pods {
namespace {

namespace log = base::log;
namespace metric = base::metric;

}  // namespace

void QuoteAudit::record(const QuoteRequest& request, Clock::time_point now) {
  bool is_logged = true;
  std::uint64_t not_logged = 0;
  {
    std::lock_guard lock(mutex_);
    Counts& counts = counts_of(request.asker);
    counts.last = now;
    ++(request.quoted != nullptr ? counts.made : counts.refused);
    if (request.quoted == nullptr) {
      is_logged = refusals_.take(request.asker.key, now);
      if (is_logged)
        not_logged = std::exchange(refusals_not_logged_, 0);
      else
        ++refusals_not_logged_;
    }
  }
  if (!is_logged) return;
  if (request.quoted == nullptr) {
    log::warn("quote refused", {{"pod", request.asker.name()},
                                {"container", request.asker.pod.container_id},
                                {"result", request.result},
                                {"reason", request.reason},
                                {"waited_ms", request.waited.count() / 1000.0},
                                {"took_ms", request.took.count() / 1000.0},
                                {"peer_pid", request.pid},
                                {"peer_uid", request.uid},
                                {"not_logged_before", not_logged}});
    return;
  }
  log::info("quote made", {{"pod", request.asker.name()},
                           {"container", request.asker.pod.container_id},
                           {"mr_enclave", base::to_hex(request.quoted->mr_enclave)},
                           {"mr_signer", base::to_hex(request.quoted->mr_signer)},
                           {"debug", request.quoted->attributes.debug()},
                           {"result", request.result},
                           {"waited_ms", request.waited.count() / 1000.0},
                           {"took_ms", request.took.count() / 1000.0},
                           {"peer_pid", request.pid},
                           {"peer_uid", request.uid}});
}

QuoteAudit::Counts& QuoteAudit::counts_of(const Asker& asker) {
  auto found = by_name_.find(asker.name());
  if (found != by_name_.end()) {
    counts_.splice(counts_.begin(), counts_, found->second);
    return counts_.front();
  }
  if (counts_.size() >= kMostSeries) give_up_oldest();
  counts_.push_front({std::string(asker.name()), 0, 0, {}});
  by_name_.emplace(counts_.front().name, counts_.begin());
  return counts_.front();
}

void QuoteAudit::give_up_oldest() {
  other_.made += counts_.back().made;
  other_.refused += counts_.back().refused;
  by_name_.erase(counts_.back().name);
  counts_.pop_back();
}

void QuoteAudit::publish(Clock::time_point now) {
  std::lock_guard lock(mutex_);
  while (!counts_.empty() && now - counts_.back().last >= kSilent) give_up_oldest();
  std::vector<base::Metrics::Series> series;
  auto add = [&series](const Counts& counts) {
    if (counts.made > 0)
      series.push_back({{{"pod_uid", counts.name}, {"result", "made"}}, static_cast<double>(counts.made)});
    if (counts.refused > 0)
      series.push_back({{{"pod_uid", counts.name}, {"result", "refused"}}, static_cast<double>(counts.refused)});
  };
  for (const Counts& counts : counts_) add(counts);
  add(other_);
  metrics_.replace(metric::kPodQuotes, series);
}

}  // namespace enclayer::pods
