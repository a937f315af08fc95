// SPDX-License-Identifier: Apache-2.0
#include "sim/signing_key.h"

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <algorithm>
#include <cstring>

#include "attestation/openssl.h"

namespace enclayer::sim {
namespace {

using attestation::OpensslPtr;

// Instead of OpenSSL's own, which would ask on the terminal.
int no_passphrase(char*, int, int, void*) { return -1; }

}  // namespace

Error openssl_failed(std::string_view doing) {
  ERR_clear_error();
  return {ErrorKind::kInternal, "OpenSSL cannot " + std::string(doing)};
}

Result<SigningKey> SigningKey::own(void* evp_pkey) {
  SigningKey key;
  key.key_.reset(evp_pkey, [](void* p) { EVP_PKEY_free(static_cast<EVP_PKEY*>(p)); });
  std::array<unsigned char, 65> point{};  // 04 || x || y
  std::size_t size = 0;
  if (EVP_PKEY_get_octet_string_param(static_cast<EVP_PKEY*>(evp_pkey), OSSL_PKEY_PARAM_PUB_KEY, point.data(),
                                      point.size(), &size) != 1 ||
      size != point.size())
    return openssl_failed("read the public key");
  std::copy(point.begin() + 1, point.end(), key.public_key_.begin());
  return key;
}

Result<SigningKey> SigningKey::generate() {
  EVP_PKEY* made = EVP_EC_gen("P-256");
  if (made == nullptr) return openssl_failed("make a P-256 key");
  return own(made);
}

Result<SigningKey> SigningKey::from_pem(std::string_view pem) {
  OpensslPtr<BIO, BIO_free_all> in(
      BIO_new_mem_buf(pem.data(), static_cast<int>(std::min<std::size_t>(pem.size(), 1 << 16))));
  OpensslPtr<EVP_PKEY, EVP_PKEY_free> key(in ? PEM_read_bio_PrivateKey(in.get(), nullptr, no_passphrase, nullptr)
                                             : nullptr);
  ERR_clear_error();
  if (!key) return Error(ErrorKind::kMalformed, "not a private key in PEM form");
  char group[32] = "";
  if (EVP_PKEY_get_group_name(key.get(), group, sizeof group, nullptr) != 1 || std::strcmp(group, "prime256v1") != 0) {
    ERR_clear_error();
    return Error(ErrorKind::kMalformed, "not a key on the curve P-256");
  }
  OpensslPtr<EVP_PKEY_CTX, EVP_PKEY_CTX_free> check(EVP_PKEY_CTX_new_from_pkey(nullptr, key.get(), nullptr));
  bool whole = check && EVP_PKEY_pairwise_check(check.get()) == 1;
  ERR_clear_error();
  if (!whole) return Error(ErrorKind::kMalformed, "the private and the public part of the key do not fit together");
  return own(key.release());
}

Result<std::string> SigningKey::to_pem() const {
  OpensslPtr<BIO, BIO_free_all> out(BIO_new(BIO_s_mem()));
  if (!out || PEM_write_bio_PKCS8PrivateKey(out.get(), static_cast<EVP_PKEY*>(key_.get()), nullptr, nullptr, 0, nullptr,
                                            nullptr) != 1)
    return openssl_failed("write a private key");
  char* data = nullptr;
  long size = BIO_get_mem_data(out.get(), &data);
  return std::string(data, static_cast<std::size_t>(size));
}

Result<ByteArray<64>> SigningKey::sign(ByteView message) const {
  OpensslPtr<EVP_MD_CTX, EVP_MD_CTX_free> ctx(EVP_MD_CTX_new());
  std::array<unsigned char, 80> der{};  // SEQUENCE of two INTEGERs, 72 bytes at most
  std::size_t size = der.size();
  if (!ctx || EVP_DigestSignInit(ctx.get(), nullptr, EVP_sha256(), nullptr, static_cast<EVP_PKEY*>(key_.get())) != 1 ||
      EVP_DigestSign(ctx.get(), der.data(), &size, message.data(), message.size()) != 1)
    return openssl_failed("sign");
  const unsigned char* at = der.data();
  OpensslPtr<ECDSA_SIG, ECDSA_SIG_free> parts(d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(size)));
  ByteArray<64> out{};
  if (!parts || BN_bn2binpad(ECDSA_SIG_get0_r(parts.get()), out.data(), 32) != 32 ||
      BN_bn2binpad(ECDSA_SIG_get0_s(parts.get()), out.data() + 32, 32) != 32)
    return openssl_failed("write a signature as r || s");
  return out;
}

}  // namespace enclayer::sim
