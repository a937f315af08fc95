// SPDX-License-Identifier: Apache-2.0
#include "attest/outlook.h"

#include <algorithm>

#include "attestation/pck_extension.h"
#include "base/hex.h"
#include "base/log.h"
#include "base/metric_names.h"
#include "base/metrics.h"

namespace enclayer::attest {
namespace {

namespace metric = base::metric;

constexpr auto kUnknown = "unknown";

}  // namespace

Outlook::PatchLevel Outlook::level_of(const Verification& verified) {
  const PlatformIdentity& platform = *verified.platform;
  const Quote& quote = *verified.quote;
  PatchLevel out{.tdx = !quote.sgx(),
                 .fmspc = platform.fmspc,
                 .tcb = to_string(attestation::PlatformTcb{platform.tcb_components, platform.pce_svn}),
                 .qe_isv_svn = quote.qe_report().isv_svn};
  if (out.tdx) out.tcb += "." + base::to_hex(quote.td_report().tee_tcb_svn);
  return out;
}

void Outlook::forget(Time now) {
  std::erase_if(seen_, [&](const auto& one) { return one.second.last + kForgotten < now; });
}

void Outlook::saw(ByteView quote, const Verification& verified, Time now) {
  if (!verified.verified() || !verified.platform || !verified.quote) return;
  const PatchLevel level = level_of(verified);
  Seen judged;
  {
    const std::lock_guard lock(mutex_);
    if (!seen_.contains(level)) {
      forget(now);
      if (seen_.size() == kMost)
        seen_.erase(std::min_element(seen_.begin(), seen_.end(),
                                     [](const auto& a, const auto& b) { return a.second.last < b.second.last; }));
    }
    Seen& seen = seen_[level];
    seen.last = now;
    seen.status = *verified.tcb_status;
    seen.number = verified.tcb_evaluation_number;
    if (now < seen.judge_again) return;
    seen.judge_again = now + kRetry;  // nobody else meanwhile
    judged = seen;
  }
  judge_early(quote, level, judged, now);
  const std::lock_guard lock(mutex_);
  if (const auto found = seen_.find(level); found != seen_.end()) {
    found->second.judge_again = judged.judge_again;
    found->second.early = judged.early;
    found->second.early_number = judged.early_number;
  }
}

void Outlook::judge_early(ByteView quote, const PatchLevel& level, Seen& seen, Time now) const {
  const std::string before = seen.early;
  seen.early = kUnknown;
  seen.early_number.reset();
  if (early_ == nullptr) return;
  const auto collateral = early_->for_quote(quote);
  if (!collateral) return;
  seen.judge_again = now + kAgain;
  const Verification early = verify(quote, **collateral, root_, now);
  std::string why = early.detail;
  if (early.verified() && early.tcb_evaluation_number < seen.number) {
    why = "the early edition has evaluation number " + std::to_string(early.tcb_evaluation_number.value_or(0)) +
          ", the standard one " + std::to_string(seen.number.value_or(0));
  } else if (early.verified()) {
    seen.early = to_string(*early.tcb_status);
    seen.early_number = early.tcb_evaluation_number;
  } else if (early.reason == Reason::kTcbNotSupported) {
    seen.early = to_string(early.reason);
  }
  if (seen.early == before) return;
  const std::string fmspc = base::to_hex(level.fmspc);
  if (seen.early == kUnknown)
    base::log::warn("what awaits a platform is not known", {{"fmspc", fmspc}, {"reason", why}});
  else if (seen.early != to_string(seen.status)) {
    std::string advisories;
    for (const std::string& id : early.advisory_ids) advisories += (advisories.empty() ? "" : ", ") + id;
    base::log::warn("platform stands worse by early TCB Info", {{"fmspc", fmspc},
                                                                {"tcb", level.tcb},
                                                                {"status", to_string(seen.status)},
                                                                {"early_status", seen.early},
                                                                {"advisories", advisories}});
  }
}

void Outlook::show(base::Metrics& metrics, Time now) {
  std::vector<base::Metrics::Series> platforms, numbers;
  // Of one kind of platform the numbers are the same, unless the collateral was renewed in between: then the later.
  std::map<base::Metrics::Labels, std::pair<Time, double>> latest;
  {
    const std::lock_guard lock(mutex_);
    forget(now);
    for (const auto& [level, seen] : seen_) {
      const std::string tee = level.tdx ? "tdx" : "sgx", fmspc = base::to_hex(level.fmspc);
      platforms.push_back({{{"tee", tee},
                            {"fmspc", fmspc},
                            {"tcb", level.tcb},
                            {"qe_isvsvn", std::to_string(level.qe_isv_svn)},
                            {"status", std::string(to_string(seen.status))},
                            {"early_status", seen.early.empty() ? kUnknown : seen.early}},
                           1});
      for (const auto& [edition, number] :
           {std::pair("standard", seen.number), std::pair("early", seen.early_number)}) {
        if (!number) continue;
        auto& [when, value] = latest[{{"tee", tee}, {"fmspc", fmspc}, {"edition", edition}}];
        if (seen.last >= when) when = seen.last, value = *number;
      }
    }
  }
  for (const auto& [labels, number] : latest) numbers.push_back({labels, number.second});
  metrics.replace(metric::kAttestPlatformInfo, platforms);
  metrics.replace(metric::kAttestTcbEvaluationNumber, numbers);
}

}  // namespace enclayer::attest
