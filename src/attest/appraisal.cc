// SPDX-License-Identifier: Apache-2.0
#include "attest/appraisal.h"

#include "base/bytes.h"
#include "base/digest.h"
#include "base/hex.h"

namespace enclayer::attest {

std::string Appraisal::refusal() const {
  std::string out;
  for (const Miss& miss : verdict.misses)
    out += (out.empty() ? "" : "; ") + std::string(to_string(miss.reason)) + ": " + miss.detail;
  if (verdict.trusted && !evaluation.permitted) out = "the policy refuses: " + evaluation.refusal;
  return out;
}

Result<Appraisal> Appraiser::appraise(const Submission& submission, Time now) {
  Appraisal out;
  const bool has_certificate = !submission.certificate.empty();
  const Bytes& evidence = has_certificate ? submission.certificate : submission.quote;
  out.quote_sha256 = base::to_hex(base::sha256(evidence));

  Bytes quote = submission.quote;
  bool own_collateral = false;
  if (has_certificate) {
    if (const auto parsed = parse_ra_tls(evidence)) {
      own_collateral = parsed->collateral.has_value();
      quote = parsed->evidence.back().quote;
    }
  }
  auto verified_with = [&](const Collateral* collateral) {
    return has_certificate ? verify_ra_tls(evidence, collateral, root_, now, &verifier_)
                           : verifier_.verify(quote, *collateral, root_, now);
  };
  const Collateral none;
  if (!parse_quote(quote)) {  // refused in the words of verification, for which no collateral is needed
    out.verification = verified_with(&none);
  } else if (auto ours = collateral_.for_quote(quote)) {
    out.collateral = *std::move(ours);
    out.verification = verified_with(out.collateral.get());
    outlook_.saw(quote, out.verification, now);
  } else if (own_collateral && ours.error().kind() == ErrorKind::kNotFound) {
    // Ours comes first: who shows evidence may choose the older of two sets that both hold.
    out.verification = verified_with(nullptr);
  } else {
    return ours.error();
  }

  std::optional<ReportDataRule> bound;
  if (submission.runtime_data) {
    ByteArray<64> expected{};
    const auto digest = base::sha256(base::as_bytes(*submission.runtime_data));
    std::copy(digest.begin(), digest.end(), expected.begin());
    bound = ReportDataRule::exact(expected);
  }
  out.verdict = judge(out.verification, floor_, bound ? &*bound : nullptr);
  const PolicyText text = policy();
  out.policy_hash = text.hash();
  if (!out.verdict.trusted) return out;
  out.claims = claims_of(out.verification);
  out.evaluation = attest::appraise(out.verification, text);
  return out;
}

void Appraiser::set_policy(PolicyText policy) {
  const std::lock_guard lock(mutex_);
  policy_ = std::move(policy);
}

PolicyText Appraiser::policy() const {
  const std::lock_guard lock(mutex_);
  return policy_;
}

}  // namespace enclayer::attest
