// SPDX-License-Identifier: Apache-2.0
#include "base/digest.h"

#define OPENSSL_SUPPRESS_DEPRECATED  // see sha256()
#include <openssl/sha.h>

#include "base/bytes.h"
#include "base/hex.h"

namespace enclayer::base {

ByteArray<32> sha256(ByteView first, ByteView second) {
  // What OpenSSL's own provider calls. Behind EVP, the first digest of a process costs as much as three signatures, for
  // the tables of all algorithms and the configuration file.
  SHA256_CTX context;
  ByteArray<32> digest{};
  SHA256_Init(&context);
  SHA256_Update(&context, first.data(), first.size());
  SHA256_Update(&context, second.data(), second.size());
  SHA256_Final(digest.data(), &context);
  return digest;
}

std::string sha256_hex(std::string_view text) { return to_hex(sha256(as_bytes(text))); }

}  // namespace enclayer::base
