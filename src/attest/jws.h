// SPDX-License-Identifier: Apache-2.0
// Tokens: JSON Web Signatures in compact form (RFC 7515, section 3.1) by one key. They are made here and never read: no
// token that somebody shows us is believed, so there is no `jku` to follow and no algorithm to be talked into.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "enclayer/bytes.h"
#include "enclayer/error.h"
#include "enclayer/time.h"

namespace enclayer::attest {

// The JWK of a public key, as SubjectPublicKeyInfo in DER: RSA, P-256, P-384, P-521 or Ed25519 (RFC 7518, RFC 8037), its
// members in the order of their names, as its thumbprint has them (RFC 7638); else kUnsupported.
Result<std::string> public_jwk(ByteView subject_public_key_info);

enum class Algorithm { kRs256, kEs256 };          // RFC 7518, section 3.1
std::string_view to_string(Algorithm algorithm);  // "RS256"

// A private key and the certificate that it signed for itself, which dates it. Never changed: any number of threads sign.
class TokenKey {
 public:
  // RSA of 2,048 bits, or P-256.
  static Result<TokenKey> generate(Algorithm algorithm, bool simulated, Time made);

  // As to_pem() wrote it: PKCS #8 without a passphrase, and the certificate. kMalformed: anything else, other keys, and a
  // certificate of another key.
  static Result<TokenKey> from_pem(std::string_view pem);
  std::string to_pem() const;

  Algorithm algorithm() const { return algorithm_; }
  Time made() const { return made_; }
  // Its certificate's name says SIMULATED: what it signs proves nothing.
  bool simulated() const { return simulated_; }
  const std::string& id() const { return id_; }    // `kid`: its thumbprint (RFC 7638)
  const std::string& jwk() const { return jwk_; }  // the public part, with x5c (RFC 7517), as JSON

  // `claims` is JSON. The header names alg, kid, typ "JWT" and, if it is not empty, jku.
  Result<std::string> sign(std::string_view claims, std::string_view jku = {}) const;

 private:
  Algorithm algorithm_ = Algorithm::kEs256;
  bool simulated_ = false;
  Time made_{};
  std::string id_, jwk_;
  std::shared_ptr<void> key_, certificate_;  // EVP_PKEY, X509
};

}  // namespace enclayer::attest
