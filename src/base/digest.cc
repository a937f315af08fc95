// SPDX-License-Identifier: Apache-2.0
#include "base/digest.h"

#include <openssl/evp.h>

#include <memory>
#include <new>

#include "base/bytes.h"
#include "base/hex.h"

namespace enclayer::base {

ByteArray<32> sha256(ByteView first, ByteView second) {
  // Looked up once: EVP_sha256() looks for its provider on every use.
  static const std::unique_ptr<EVP_MD, decltype(&EVP_MD_free)> kMethod(EVP_MD_fetch(nullptr, "SHA256", nullptr),
                                                                       EVP_MD_free);
  ByteArray<32> digest{};
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  bool done = context && EVP_DigestInit_ex(context.get(), kMethod.get(), nullptr) == 1 &&
              EVP_DigestUpdate(context.get(), first.data(), first.size()) == 1 &&
              EVP_DigestUpdate(context.get(), second.data(), second.size()) == 1 &&
              EVP_DigestFinal_ex(context.get(), digest.data(), nullptr) == 1;
  if (!done) throw std::bad_alloc();  // nothing else can go wrong; a digest that was not computed must not be used
  return digest;
}

std::string sha256_hex(std::string_view text) { return to_hex(sha256(as_bytes(text))); }

}  // namespace enclayer::base
