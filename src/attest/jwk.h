// SPDX-License-Identifier: Apache-2.0
// The public key of an enclave or a TD, as JSON Web Key (RFC 7517): what secrets are wrapped to. It came with evidence
// and says what a stranger says, so there is little that is taken: RSA of 2,048 to 4,096 bits with the exponent 65537,
// and points on P-256 and P-384.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "enclayer/bytes.h"
#include "enclayer/error.h"

namespace enclayer::attest {

// Members that only a private or a symmetric key has (RFC 7518, section 6).
inline constexpr const char* kPrivateMembers[] = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"};

class EncryptionKey {
 public:
  static constexpr std::size_t kMaxJsonSize = 8 << 10;  // bytes; RSA of 4,096 bits has 750

  // One JWK. kMalformed: anything but such a public key, also a private one; a "use", "key_ops" or "alg" that does not go
  // with wrapping by algorithm(), RSA1_5 above all.
  static Result<EncryptionKey> parse(std::string_view jwk);

  // Of runtime data, {"keys": [JWK, ...]}: the first whose "use" is "enc" or whose "key_ops" have "encrypt", "wrapKey" or
  // "deriveKey", as Key Vault takes it. kMalformed: there is none, or that one is not good; no second one is tried.
  static Result<EncryptionKey> of_runtime_data(std::string_view json);

  std::string_view algorithm() const { return rsa_ ? "RSA-OAEP-256" : "ECDH-ES"; }  // RFC 7518, sections 4.3 and 4.6
  std::string thumbprint() const;                                                   // RFC 7638, base64url of SHA-256
  const std::string& jwk() const { return jwk_; }  // the members that count, in the order of RFC 7638

  bool rsa() const { return rsa_; }
  void* openssl() const { return key_.get(); }  // EVP_PKEY

 private:
  std::string jwk_;
  bool rsa_ = false;
  std::shared_ptr<void> key_;
};

}  // namespace enclayer::attest
