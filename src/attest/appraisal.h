// SPDX-License-Identifier: Apache-2.0
// The one place where evidence is judged, whichever door it came in by: verification, what has to be allowed by name
// (policy.h), and then the policy's text. A door can refuse more; none can accept what was refused here.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "attest/evidence_claims.h"
#include "attest/outlook.h"
#include "attest/platform_collateral.h"
#include "attest/policy_text.h"
#include "enclayer/policy.h"
#include "enclayer/ra_tls.h"
#include "enclayer/verifier.h"

namespace enclayer::attest {

struct Submission {
  Bytes quote{};        // or
  Bytes certificate{};  // RA-TLS, DER; its key is then what the evidence speaks for
  // The quote's report data has to be its SHA-256, as the bytes came, and 32 zero bytes.
  std::optional<std::string> runtime_data{};
};

struct Appraisal {
  Verification verification;
  std::shared_ptr<const Collateral> collateral;  // that it was verified with; nullptr: the certificate's own
  Verdict verdict;                               // without regard to the policy's text
  Evaluation evaluation;                         // of the policy's text; only where the verdict is trusted
  std::vector<Claim> claims;
  std::string policy_hash;   // of the text that was evaluated
  std::string quote_sha256;  // hexadecimal, for the log; of the certificate where that was the evidence

  bool accepted() const { return verdict.trusted && evaluation.permitted; }
  std::string refusal() const;  // for people: "SGX_CRL_EXPIRED: ...", "the policy: no rule permits"
};

class Appraiser {
 public:
  // `floor`: what is accepted at all, as `enclayer verify --policy` judges; the text can only ask for more.
  // `outlook` is told of every quote that is verified by the service's own collateral.
  Appraiser(TrustedRoot root, Policy floor, PlatformCollateral& collateral, PolicyText policy, Outlook& outlook)
      : root_(std::move(root)),
        floor_(std::move(floor)),
        collateral_(collateral),
        outlook_(outlook),
        policy_(std::move(policy)) {}

  // Errors are those of PlatformCollateral: without collateral there is no verdict. Any number of threads.
  Result<Appraisal> appraise(const Submission& submission, Time now);

  // From the next appraisal on.
  void set_policy(PolicyText policy);
  PolicyText policy() const;
  const Policy& floor() const { return floor_; }

 private:
  const TrustedRoot root_;
  const Policy floor_;
  PlatformCollateral& collateral_;
  Outlook& outlook_;
  Verifier verifier_;
  mutable std::mutex mutex_;
  PolicyText policy_;
};

}  // namespace enclayer::attest
