// SPDX-License-Identifier: Apache-2.0
// A P-256 key pair that signs as SGX attestation does: ECDSA over SHA-256, signatures as r || s, points as x || y, each
// number 32 bytes, big endian.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "enclayer/bytes.h"
#include "enclayer/error.h"

namespace enclayer::sim {

// kInternal, "OpenSSL cannot ..."; what OpenSSL remembers of errors is forgotten.
Error openssl_failed(std::string_view doing);

class SigningKey {
 public:
  static Result<SigningKey> generate();

  // PKCS #8 or SEC 1 PEM without a passphrase. Another curve, half a key or a private part that does not fit the public
  // one is kMalformed.
  static Result<SigningKey> from_pem(std::string_view pem);
  Result<std::string> to_pem() const;  // PKCS #8

  const ByteArray<64>& public_key() const { return public_key_; }

  // Safe from several threads at once; nothing is locked.
  Result<ByteArray<64>> sign(ByteView message) const;

  void* evp_pkey() const { return key_.get(); }  // EVP_PKEY*, for the sources that speak OpenSSL

 private:
  static Result<SigningKey> own(void* evp_pkey);

  std::shared_ptr<void> key_;
  ByteArray<64> public_key_{};
};

}  // namespace enclayer::sim
