#include "enclayer/policy.h"

#include <algorithm>

namespace enclayer {

Verdict judge(const Verification& verification, const Policy& policy) {
  Verdict verdict;
  verdict.reason = verification.reason;
  if (!verification.verified()) {
    verdict.misses.push_back({verification.reason, verification.detail});
    return verdict;
  }
  TcbStatus status = *verification.tcb_status;
  const auto& accepted = policy.accepted_tcb;
  if (status == TcbStatus::kRevoked || std::find(accepted.begin(), accepted.end(), status) == accepted.end()) {
    std::string names;
    for (TcbStatus one : accepted) names += (names.empty() ? "" : ", ") + std::string(to_string(one));
    verdict.misses.push_back({verification.reason, "TCB status " + std::string(to_string(status)) +
                                                       " is not accepted (" + names + "): " + verification.detail});
  }
  if (verification.quote->report().attributes.debug() && !policy.allow_debug)
    verdict.misses.push_back(
        {Reason::kDebugEnclave, "the enclave has the DEBUG attribute: its host can read and change its memory"});
  verdict.trusted = verdict.misses.empty();
  if (!verdict.trusted) verdict.reason = verdict.misses.front().reason;
  return verdict;
}

}  // namespace enclayer
