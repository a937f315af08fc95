// SPDX-License-Identifier: Apache-2.0
// A claim: one thing that is said of evidence, and who says it. Policies are about claims, tokens are made of them.
// The words are those of Azure Attestation ("Claim and claim rules"); evidence_claims.h lists the types.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

namespace enclayer::attest {

using ClaimValue = std::variant<bool, std::int64_t, std::string>;

enum class ClaimIssuer {
  kAttestationService,  // found by verification
  kAttestationPolicy,   // added or issued by a rule of the policy
  kCustomClaim,         // said by the caller, and believed by nobody
};

struct Claim {
  std::string type;  // "x-ms-sgx-mrsigner"; a claim with several values is there several times
  ClaimValue value;
  ClaimIssuer issuer = ClaimIssuer::kAttestationService;

  bool operator==(const Claim&) const = default;
};

// As policies spell them: "AttestationService", "AttestationPolicy", "CustomClaim"; "Boolean", "Integer", "String".
constexpr std::string_view to_string(ClaimIssuer issuer) {
  switch (issuer) {
    case ClaimIssuer::kAttestationService: return "AttestationService";
    case ClaimIssuer::kAttestationPolicy: return "AttestationPolicy";
    case ClaimIssuer::kCustomClaim: break;
  }
  return "CustomClaim";
}
constexpr std::string_view value_type(const ClaimValue& value) {
  constexpr std::string_view kNames[] = {"Boolean", "Integer", "String"};
  return kNames[value.index()];
}

}  // namespace enclayer::attest
