// SPDX-License-Identifier: Apache-2.0
// PolicyText: what it refuses it refuses with a place; what it takes it evaluates within its limits, the same each time,
// and issues nothing of what it does not permit.
#include <algorithm>
#include <cstdlib>

#include "attest/policy_text.h"
#include "base/bytes.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace enclayer;
  using namespace enclayer::attest;
  auto policy = PolicyText::parse(base::as_text({data, size}));
  if (!policy) {
    const Error& error = policy.error();
    if (error.kind() != ErrorKind::kMalformed && error.kind() != ErrorKind::kUnsupported) std::abort();
    if (!error.message().starts_with("policy: line ") && size <= PolicyText::kMaxSize) std::abort();
    if (error.message().size() > 500) std::abort();
    return 0;
  }
  if (policy->hash().size() != 43) std::abort();
  for (const PolicyWarning& warning : policy->warnings())
    if (warning.line == 0 || warning.line > size) std::abort();

  std::vector<Claim> claims{{"x-ms-sgx-is-debuggable", false},
                            {"x-ms-sgx-svn", std::int64_t{4}},
                            {"x-ms-sgx-mrsigner", "aa"},
                            {"a", std::int64_t{1}},
                            {"a", "x"},
                            {"b", true, ClaimIssuer::kCustomClaim}};
  for (int i = 0; i < 40; ++i) claims.push_back({"n", std::int64_t{i}});
  const Evaluation found = policy->evaluate(claims), again = policy->evaluate(claims);
  if (found.permitted != again.permitted || found.issued != again.issued || found.refusal != again.refusal)
    std::abort();
  if (found.permitted != found.refusal.empty()) std::abort();
  if (!found.permitted && (!found.issued.empty() || !found.properties.empty())) std::abort();
  if (found.issued.size() > PolicyText::kMaxClaims) std::abort();
  for (const Claim& claim : found.issued) {  // what the service says, it alone says
    if (claim.issuer == ClaimIssuer::kAttestationPolicy && claim.type.starts_with("x-ms-")) std::abort();
    if (claim.issuer != ClaimIssuer::kAttestationPolicy &&
        std::find(claims.begin(), claims.end(), claim) == claims.end())
      std::abort();
  }
  return 0;
}
