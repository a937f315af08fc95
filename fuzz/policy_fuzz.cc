// SPDX-License-Identifier: Apache-2.0
// parse_policy_json: what it accepts keeps the promises of Policy, and judges without trusting what did not verify.
#include <cstdlib>

#include "base/bytes.h"
#include "enclayer/policy.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace enclayer;
  auto policy = parse_policy_json(base::as_text({data, size}));
  if (!policy) {
    if (policy.error().kind() != ErrorKind::kMalformed || policy.error().message().size() > 1000) std::abort();
    return 0;
  }
  if (policy->accepted_tcb.empty() || policy->accepted_tcb.size() > 8 || policy->mr_enclave.size() > Policy::kMaxListed)
    std::abort();
  for (TcbStatus status : policy->accepted_tcb)
    if (status == TcbStatus::kRevoked) std::abort();

  Verification found;
  if (judge(found, *policy).trusted) std::abort();
  found.quote.emplace();
  found.tcb_status = TcbStatus::kRevoked;
  if (judge(found, *policy).trusted) std::abort();
  found.tcb_status = policy->accepted_tcb.front();
  Verdict verdict = judge(found, *policy);
  if (verdict.trusted != verdict.misses.empty()) std::abort();
  (void)verdict_json(found, verdict, Time{});
  return 0;
}
