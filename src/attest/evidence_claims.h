// SPDX-License-Identifier: Apache-2.0
// What verification found, as claims: the incoming claims of a policy, and what a token says.
//
// Names that begin with x-ms- are Azure Attestation's for SGX, tdx_ those of its TDX profile. Those that begin with
// x-enclayer- are ours: what our verifier knows and Azure's tokens do not say. docs/attestation-policy.md has the table.
// Single machines (PPID, platform instance ID) are in no claim: tokens travel.
#pragma once

#include <vector>

#include "attest/claims.h"
#include "attest/policy_text.h"
#include "enclayer/verify.h"

namespace enclayer::attest {

// Empty unless verified(): of other evidence there is nothing to say. Values are hex in lower case, integers are unsigned
// numbers or times in seconds since 1970 (NumericDate, RFC 7519 section 2).
std::vector<Claim> claims_of(const Verification& verification);

// What a policy says of evidence. No policy permits evidence that does not verify, nor a platform whose TCB level is
// Revoked: every door asks here, and not the policy itself.
Evaluation appraise(const Verification& verification, const PolicyText& policy);

}  // namespace enclayer::attest
