#include "attestation/p256.h"

#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

#include <algorithm>

#include "attestation/openssl.h"

namespace enclayer::attestation {
namespace {

// ECDSA-Sig-Value, the form that OpenSSL reads.
Bytes der_signature(ByteView r_s) {
  OpensslPtr<ECDSA_SIG, ECDSA_SIG_free> signature(ECDSA_SIG_new());
  BIGNUM* r = BN_bin2bn(r_s.data(), 32, nullptr);
  BIGNUM* s = BN_bin2bn(r_s.data() + 32, 32, nullptr);
  if (!signature || r == nullptr || s == nullptr || ECDSA_SIG_set0(signature.get(), r, s) != 1) {
    BN_free(r);
    BN_free(s);
    return {};
  }
  unsigned char* der = nullptr;
  int size = i2d_ECDSA_SIG(signature.get(), &der);
  Bytes out(der, der + std::max(size, 0));
  OPENSSL_free(der);
  return out;
}

}  // namespace

std::optional<P256Key> P256Key::from_point(const ByteArray<64>& point) {
  std::uint8_t encoded[65] = {POINT_CONVERSION_UNCOMPRESSED};
  std::copy(point.begin(), point.end(), encoded + 1);
  char curve[] = "prime256v1";
  OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, curve, sizeof curve - 1),
                         OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, encoded, sizeof encoded),
                         OSSL_PARAM_construct_end()};
  OpensslPtr<EVP_PKEY_CTX, EVP_PKEY_CTX_free> context(EVP_PKEY_CTX_new_from_name(nullptr, "EC", nullptr));
  EVP_PKEY* key = nullptr;
  bool made = context && EVP_PKEY_fromdata_init(context.get()) == 1 &&
              EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, params) == 1;
  ERR_clear_error();
  if (!made) return std::nullopt;
  return P256Key(point, std::shared_ptr<EVP_PKEY>(key, EVP_PKEY_free));
}

bool P256Key::signed_this(ByteView message, ByteView r_s) const {
  if (r_s.size() != 64) return false;
  Bytes der = der_signature(r_s);
  OpensslPtr<EVP_MD_CTX, EVP_MD_CTX_free> context(EVP_MD_CTX_new());
  bool good = context && EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, evp()) == 1 &&
              EVP_DigestVerify(context.get(), der.data(), der.size(), message.data(), message.size()) == 1;
  ERR_clear_error();
  return good;
}

ByteArray<32> sha256(ByteView first, ByteView second) {
  ByteArray<32> digest{};
  OpensslPtr<EVP_MD_CTX, EVP_MD_CTX_free> context(EVP_MD_CTX_new());
  EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr);
  EVP_DigestUpdate(context.get(), first.data(), first.size());
  EVP_DigestUpdate(context.get(), second.data(), second.size());
  EVP_DigestFinal_ex(context.get(), digest.data(), nullptr);
  return digest;
}

}  // namespace enclayer::attestation
