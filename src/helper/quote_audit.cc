// SPDX-License-Identifier: Apache-2.0
#include "helper/quote_audit.h"

#include <utility>
#include <vector>

#include "base/hex.h"
#include "base/log.h"
#include "base/metric_names.h"

namespace enclayer::helper {
namespace log = base::log;

void QuoteAudit::record(const QuoteRequest& request, Clock::time_point now) {
  const std::uint32_t group = request.client.whose.group;
  bool is_logged = false;
  {
    std::lock_guard lock(mutex_);
    auto [at, is_new] = counts_.try_emplace(group);
    Counts& counts = at->second;
    if (is_new) counts.since = now;
    ++(request.quoted != nullptr ? counts.made : counts.refused);
    if (request.quoted == nullptr)
      is_logged = refusals_.take(group, now);
    else if (counts.enclaves.size() < kMostEnclaves)
      is_logged = counts.enclaves.insert(request.quoted->mr_enclave).second;
    if (!is_logged) ++(request.quoted != nullptr ? counts.made_unsaid : counts.refused_unsaid);
  }
  if (!is_logged) return;
  auto identity = identities_.of(group);
  if (request.quoted == nullptr) {
    log::warn("quote refused", {{"slot", identity->slot},
                                {"namespace", identity->holder.pod_namespace},
                                {"pod", identity->holder.pod},
                                {"container", identity->holder.container},
                                {"result", request.result},
                                {"reason", request.reason},
                                {"waited_ms", request.waited.count() / 1000.0},
                                {"took_ms", request.took.count() / 1000.0},
                                {"client", identities_.name(request.client)}});
    return;
  }
  log::info("quote made", {{"slot", identity->slot},
                           {"namespace", identity->holder.pod_namespace},
                           {"pod", identity->holder.pod},
                           {"container", identity->holder.container},
                           {"mr_enclave", base::to_hex(request.quoted->mr_enclave)},
                           {"mr_signer", base::to_hex(request.quoted->mr_signer)},
                           {"debug", request.quoted->attributes.debug()},
                           {"waited_ms", request.waited.count() / 1000.0},
                           {"took_ms", request.took.count() / 1000.0},
                           {"client", identities_.name(request.client)}});
}

void QuoteAudit::say_sum(std::uint32_t group, Counts& counts) {
  auto made = std::exchange(counts.made_unsaid, 0), refused = std::exchange(counts.refused_unsaid, 0);
  if (made + refused == 0) return;
  auto identity = identities_.of(group);
  log::info("quotes in a minute", {{"slot", identity->slot},
                                   {"namespace", identity->holder.pod_namespace},
                                   {"pod", identity->holder.pod},
                                   {"container", identity->holder.container},
                                   {"made", made},
                                   {"refused", refused}});
}

void QuoteAudit::look_after(Clock::time_point now) {
  std::lock_guard lock(mutex_);
  for (auto& [group, counts] : counts_) {
    if (now - counts.since < kSum) continue;
    counts.since = now;
    say_sum(group, counts);
  }
}

void QuoteAudit::forget(std::uint32_t group) {
  std::lock_guard lock(mutex_);
  auto found = counts_.find(group);
  if (found == counts_.end()) return;
  say_sum(group, found->second);
  gone_made_ += found->second.made;
  gone_refused_ += found->second.refused;
  counts_.erase(found);
}

void QuoteAudit::publish() {
  std::lock_guard lock(mutex_);
  std::vector<base::Metrics::Series> series;
  auto add = [&series](const ClientIdentity& identity, const char* result, std::uint64_t count) {
    if (count > 0)
      series.push_back({{{"slot", identity.slot},
                         {"namespace", identity.holder.pod_namespace},
                         {"pod", identity.holder.pod},
                         {"container", identity.holder.container},
                         {"result", result}},
                        static_cast<double>(count)});
  };
  auto add_both = [&](const ClientIdentity& identity, std::uint64_t made, std::uint64_t refused) {
    add(identity, "made", made);
    add(identity, "refused", refused);
  };
  for (const auto& [group, counts] : counts_) add_both(*identities_.of(group), counts.made, counts.refused);
  add_both({"gone", {}}, gone_made_, gone_refused_);
  metrics_.replace(base::metric::kPodQuotes, series);
}

}  // namespace enclayer::helper
