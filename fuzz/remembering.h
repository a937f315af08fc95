// SPDX-License-Identifier: Apache-2.0
// Verifier::verify, by one that knows everything about a real quote and its collateral: whatever a quote looks like,
// the answer is that of verify(), and nothing verifies but what that platform's Quoting Enclave has signed.
#pragma once

#include <cstdlib>

#include "enclayer/verifier.h"
#include "fake/quote_case.h"

namespace enclayer::fuzz {

inline int judge_beside(const char* real, const std::uint8_t* data, std::size_t size) {
  static const fake::QuoteCase kReal = fake::quote_case(real);
  static const Verification kPlain = verify(kReal.quote, kReal.collateral, TrustedRoot::intel(), kReal.at);
  static Verifier verifier;
  static const bool kKnown =
      verifier.verify(kReal.quote, kReal.collateral, TrustedRoot::intel(), kReal.at).verified() && kPlain.verified();
  if (!kKnown) std::abort();

  Verification found = verifier.verify({data, size}, kReal.collateral, TrustedRoot::intel(), kReal.at);
  Verification plain = verify({data, size}, kReal.collateral, TrustedRoot::intel(), kReal.at);
  if (found.reason != plain.reason || found.detail != plain.detail || found.tcb_status != plain.tcb_status ||
      found.earliest_expiry != plain.earliest_expiry)
    std::abort();
  if (!found.verified()) return 0;
  // The signatures themselves may be other ones: who knows (r, s) of ECDSA knows (r, -s) too.
  if (found.quote->signed_bytes != kPlain.quote->signed_bytes ||
      found.quote->qe_report_bytes != kPlain.quote->qe_report_bytes ||
      found.quote->attestation_key != kPlain.quote->attestation_key ||
      found.quote->qe_auth_data != kPlain.quote->qe_auth_data || found.fmspc != kPlain.fmspc ||
      found.tcb_status != kPlain.tcb_status || found.earliest_expiry != kPlain.earliest_expiry)
    std::abort();
  return 0;
}

}  // namespace enclayer::fuzz
