// SPDX-License-Identifier: Apache-2.0
// A secret leaves only by its release policy, and only wrapped to a key that stands in the evidence: not to one that a
// request names beside it. The service's door calls it.
//
//   secrets/    db-password          what is released, or its ciphertext (vault_transit.h)
//   policies/   db-password.json     to whom (release_policy.h); what has none is released to nobody
//
//   KeyRelease release(secrets, policies, log_release);
//   auto jwe = release.release({"db-password", token_claims, runtime_data, quote_sha256});
//
// Whoever is refused learns nothing: that there is no such secret, no policy for it, or that the policy says no, is one
// answer. The audit knows. Only whom the policy lets have it learns that it cannot be opened at the moment.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "attest/release_secrets.h"
#include "enclayer/error.h"

namespace enclayer::attest {

// Of evidence that the service has just appraised, and permitted.
struct ReleaseRequest {
  std::string_view name;          // of the secret
  std::string_view token_claims;  // JSON: what the token says that this evidence gets
  std::string_view runtime_data;  // as it came, and as the quote's report data holds it: {"keys": [JWK]} (jwk.h)
  std::string_view quote_sha256;  // hexadecimal
};

// One decision. There is nothing secret in it, and nothing of the runtime data.
struct ReleaseAudit {
  bool released = false;
  std::string secret, reason;  // the reason of a refusal, in words
  std::string policy_sha256, quote_sha256,
      wrapped_to;  // the last: thumbprint of the key; "" where it did not come so far
};
void log_release(const ReleaseAudit& audit);  // a line of the log

// What opens the stored bytes of a secret. kUnavailable: it cannot at the moment, whatever is stored.
using OpenSecret = std::function<Result<Bytes>(std::string_view name, ByteView stored)>;

class KeyRelease {
 public:
  // `secrets` has them as they are, or sealed, in files of up to `max_sealed` bytes that `open` opens.
  KeyRelease(SecretFolder secrets, SecretFolder policies, std::function<void(const ReleaseAudit&)> audit,
             OpenSecret open = nullptr, std::size_t max_sealed = 0)
      : secrets_(std::move(secrets)),
        policies_(std::move(policies)),
        audit_(std::move(audit)),
        open_(std::move(open)),
        max_sealed_(max_sealed) {}

  // The secret as JWE (jwe.h). kPermissionDenied: it is not released to this evidence. kInvalidArgument: that is no name,
  // or there is no key in the runtime data to which it could be wrapped. kUnavailable: it would be released, and whoever
  // has to open it does not. Any number of threads.
  Result<std::string> release(const ReleaseRequest& request) const;

 private:
  Result<std::string> decide(const ReleaseRequest& request, ReleaseAudit& audit) const;
  Result<Bytes> secret(std::string_view name) const;

  SecretFolder secrets_, policies_;
  std::function<void(const ReleaseAudit&)> audit_;
  OpenSecret open_;  // none: they are as they are
  std::size_t max_sealed_;
};

}  // namespace enclayer::attest
