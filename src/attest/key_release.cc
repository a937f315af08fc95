// SPDX-License-Identifier: Apache-2.0
#include "attest/key_release.h"

#include <openssl/crypto.h>

#include "attest/jwe.h"
#include "attest/release_policy.h"
#include "base/bytes.h"
#include "base/log.h"

namespace enclayer::attest {

void log_release(const ReleaseAudit& audit) {
  base::log::info(audit.released ? "secret released" : "secret not released",
                  {{"secret", audit.secret},
                   {"reason", audit.reason},
                   {"release_policy_sha256", audit.policy_sha256},
                   {"quote_sha256", audit.quote_sha256},
                   {"wrapped_to", audit.wrapped_to}});
}

Result<std::string> KeyRelease::release(const ReleaseRequest& request) const {
  if (!SecretFolder::is_name(request.name))  // not worth a line: anybody could write any number of them
    return Error(ErrorKind::kInvalidArgument, "this is no name of a secret: letters, digits, '-', '_' and '.'");
  ReleaseAudit audit;
  audit.secret = request.name;
  audit.quote_sha256 = request.quote_sha256;
  auto jwe = decide(request, audit);
  audit.released = jwe.has_value();
  if (!jwe) audit.reason = audit.wrapped_to.empty() ? "no key in the runtime data to wrap to" : jwe.error().message();
  audit_(audit);
  if (!jwe && jwe.error().kind() == ErrorKind::kUnavailable)
    return Error(ErrorKind::kUnavailable, "the secret cannot be had at the moment; try again in a while");
  // A key that cannot be used is the caller's own affair; all else would tell what there is.
  if (jwe || jwe.error().kind() == ErrorKind::kInvalidArgument) return jwe;
  return Error(ErrorKind::kPermissionDenied, "no secret of this name is released to this evidence");
}

Result<Bytes> KeyRelease::secret(std::string_view name) const {
  if (!open_) return secrets_.read(name, kMaxSecretSize);
  ENCLAYER_TRY(const Bytes sealed, secrets_.read(name, max_sealed_));
  return open_(name, sealed);
}

// kInvalidArgument for what the caller may know, which may hold pieces of the runtime data: the audit does not.
Result<std::string> KeyRelease::decide(const ReleaseRequest& request, ReleaseAudit& audit) const {
  auto key = EncryptionKey::of_runtime_data(request.runtime_data);
  if (!key) return Error(ErrorKind::kInvalidArgument, key.error().message());
  audit.wrapped_to = key->thumbprint();

  ENCLAYER_TRY(const Bytes text, policies_.read(std::string(request.name) + ".json", ReleasePolicy::kMaxSize));
  ENCLAYER_TRY(const ReleasePolicy policy, ReleasePolicy::parse(base::as_text(text)));
  audit.policy_sha256 = policy.sha256();
  if (std::string why = policy.refusal(request.token_claims); !why.empty())
    return Error(ErrorKind::kPermissionDenied, std::move(why));

  ENCLAYER_TRY(Bytes opened, secret(request.name));
  auto jwe = encrypt_jwe(opened, *key);
  ::OPENSSL_cleanse(opened.data(), opened.size());
  if (!jwe) return Error(ErrorKind::kInternal, jwe.error().message());
  return jwe;
}

}  // namespace enclayer::attest
