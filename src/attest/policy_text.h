// SPDX-License-Identifier: Apache-2.0
// The policy of the attestation service, as text in Azure Attestation's language, versions 1.0 and 1.1: which evidence
// gets a token, and what is said in it beside the service's own claims. docs/attestation-policy.md is the page for users.
//
//   version=1.1;
//   configurationrules { => issueproperty(type="report_validity_in_minutes", value=10); };      // 1.1 only; may be left out
//   authorizationrules {
//     [type=="x-ms-sgx-is-debuggable", value==false] &&
//     [type=="x-ms-sgx-mrsigner", value=="8f2d..."] && [type=="x-ms-sgx-svn", value>=4] => permit();
//   };
//   issuancerules { c:[type=="x-ms-sgx-svn"] => issue(type="release", value=c.value); };        // may be left out
//
//   PolicyText policy = PolicyText::parse(text).value();
//   Evaluation found = policy.evaluate(claims_of(verification));       // evidence_claims.h
//   if (!found.permitted) refuse(found.refusal);
//
// A rule is tried against the working set: the incoming claims, and whatever rules before it added or issued. It acts for
// every choice of claims that meets its conditions, once for each different result. A policy permits when one of its
// rules does and none denies. The order is configuration, authorization, and only of what is permitted issuance.
//
// Sources: Microsoft's pages "Claim and claim rules", "Attestation policy version 1.0" and "1.1". Where they leave a
// question open the page for users says what is done here.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "attest/claims.h"
#include "enclayer/error.h"

namespace enclayer::attest {

struct Evaluation {
  bool permitted = false;
  std::vector<Claim> issued{};      // for the token, in order, each once; empty unless permitted
  std::vector<Claim> properties{};  // of issueproperty(); how the token is made
  std::string refusal{};            // why it is not permitted, for people: "line 7 of the policy denies"
  std::size_t line = 0;             // of the rule that refused; 0: no rule permits
};

// Something that is allowed in a policy and is probably not meant.
struct PolicyWarning {
  std::size_t line;  // from 1
  std::string text;
};

class PolicyText {
 public:
  static constexpr std::size_t kMaxSize = 64 << 10;       // bytes of the text
  static constexpr std::size_t kMaxRules = 256;           // in all sections together
  static constexpr std::size_t kMaxConditions = 32;       // of one rule
  static constexpr std::size_t kMaxTests = 512;           // of one condition
  static constexpr std::size_t kMaxClaims = 1024;         // of the working set
  static constexpr std::size_t kMaxClaimBytes = 1 << 20;  // of it
  static constexpr std::size_t kMaxSteps = 200'000;       // claims looked at in one evaluation: some 10 ms

  // kMalformed: it breaks the grammar, or a limit. kUnsupported: Azure has it and this version does not (policy version
  // 1.2, its functions, properties of other kinds of evidence). Messages begin with the place: "policy: line 4, column 9: ".
  static Result<PolicyText> parse(std::string_view text);

  // The same claims give the same answer. Never takes longer than kMaxSteps: what would is not permitted.
  Evaluation evaluate(const std::vector<Claim>& incoming) const;

  // Azure's x-ms-policy-hash: base64url(SHA-256(base64url(text))). It is kept with the rules that were made of that very
  // text, so that the hash in a token is that of the policy that was evaluated.
  const std::string& hash() const;
  const std::string& text() const;

  // Permits debug enclaves, names no MRSIGNER or MRENCLAVE, asks for no minimum SVN. By line.
  std::vector<PolicyWarning> warnings() const;

 private:
  struct Parsed;  // shared and never changed: copies are cheap, and any number of threads may evaluate
  explicit PolicyText(std::shared_ptr<const Parsed> parsed) : parsed_(std::move(parsed)) {}
  std::shared_ptr<const Parsed> parsed_;
};

}  // namespace enclayer::attest
