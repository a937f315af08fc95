// SPDX-License-Identifier: Apache-2.0
// Secrets on their way: JSON Web Encryption (RFC 7516) in compact form, to one key, RSA-OAEP-256 or ECDH-ES, and A256GCM.
//
//   std::string jwe = encrypt_jwe(secret, EncryptionKey::of_runtime_data(runtime_data).value()).value();   // the service
//
//   DecryptionKey key = DecryptionKey::generate(DecryptionKey::Kind::kP256).value();                       // the enclave
//   ... evidence with SHA-256 of {"keys": [key.jwk()]} ...
//   Bytes secret = key.decrypt(jwe).value();
//
// Nothing else is written or read: no `zip` (a few bytes would become gigabytes), no `crit`, no other algorithm.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "attest/jwk.h"
#include "enclayer/bytes.h"
#include "enclayer/error.h"

namespace enclayer::attest {

inline constexpr std::size_t kMaxSecretSize = 64 << 10;  // bytes

// The header names alg, enc and kid, which is the key's thumbprint; for ECDH-ES epk, a key that is made for this one.
// kInvalidArgument: more than kMaxSecretSize.
Result<std::string> encrypt_jwe(ByteView secret, const EncryptionKey& key);

// A key pair; the private part never leaves the process.
class DecryptionKey {
 public:
  enum class Kind { kRsa3072, kP256 };
  static Result<DecryptionKey> generate(Kind kind);

  std::string jwk() const;  // the public part, for runtime data, with "use": "enc"
  const EncryptionKey& public_key() const { return public_; }

  // kMalformed: no such JWE, or one for another key, or one that was changed on its way.
  Result<Bytes> decrypt(std::string_view jwe) const;

 private:
  explicit DecryptionKey(EncryptionKey of) : public_(std::move(of)) {}
  EncryptionKey public_;
  std::shared_ptr<void> private_;  // EVP_PKEY
};

}  // namespace enclayer::attest
