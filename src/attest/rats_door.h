// SPDX-License-Identifier: Apache-2.0
// Door R: attestation results in the forms of the IETF. Tokens are EAT Attestation Results (draft-ietf-rats-ear, JSON in a
// JWS by ES256) and, with `sub` and `aud`, OpenID Connect ID tokens to whoever reads JWTs by discovery: Vault and OpenBao,
// the API server's structured authentication, cloud identity federation.
//
//   GET /nonce    200 {"nonce": text, "expires_in": seconds}
//   POST /ear     {"audience": text,              one of those that the instance makes tokens for
//                  "quote": base64url,            or
//                  "certificate": base64url,      RA-TLS, DER (or its PEM as it is)
//                  "runtime_data": base64url}     beside a quote: what its report data is SHA-256 of
//     200 {"token": JWT}      400, 403, 503 application/problem+json (RFC 9457) with the reason in "detail"
//
// `cnf` (RFC 7800) names the key that the evidence speaks for, so that a stolen token is worth nothing: of a certificate
// its own, of runtime data the first of {"keys": [JWK]} if they are JSON. A nonce counts where it stands in the evidence:
// runtime data's {"nonce": text}, or the claim in a certificate's DICE evidence. It comes back as eat_nonce; one of ours
// that is too old is refused, and any other one where the instance demands ours (nonces.h).
//
//   submods.<sgx|tdx>."ear.trustworthiness-vector" (draft-ietf-rats-ar4si)
//     hardware        2 up to date; 32 hardening or configuration needed; 96 out of date; 97 a simulated platform
//     executables     2 the policy names its MRENCLAVE, MRSIGNER or MRTD; 33 it names none of them
//     configuration   2 no debugger gets in; 96 one does
#pragma once

#include "attest/appraisal.h"
#include "attest/instance.h"
#include "attest/nonces.h"
#include "attest/signing_keys.h"
#include "http/https_server.h"

namespace enclayer::attest {

// application/problem+json.
http::Answer problem(int status, std::string_view detail);

class RatsDoor {
 public:
  RatsDoor(const Instance& instance, Appraiser& appraiser, const SigningKeys& keys)
      : instance_(instance), appraiser_(appraiser), keys_(keys) {}

  http::Answer nonce(Time now) const;
  http::Answer attest(const http::Incoming& request, Time now) const;

 private:
  const Instance& instance_;
  Appraiser& appraiser_;
  const SigningKeys& keys_;
};

}  // namespace enclayer::attest
