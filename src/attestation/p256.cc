#include "attestation/p256.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include <algorithm>
#include <new>

#include "attestation/openssl.h"

namespace enclayer::attestation {
namespace {

// INTEGER of 32 bytes, in the shortest form.
void append_der_integer(Bytes& out, ByteView number) {
  while (number.size() > 1 && number[0] == 0) number = number.subspan(1);
  bool looks_negative = number[0] >= 0x80;
  out.push_back(0x02);
  out.push_back(static_cast<std::uint8_t>(number.size() + (looks_negative ? 1 : 0)));
  if (looks_negative) out.push_back(0);
  out.insert(out.end(), number.begin(), number.end());
}

// ECDSA-Sig-Value, the form that OpenSSL reads: SEQUENCE { r, s }, at most 72 bytes.
Bytes der_signature(ByteView r_s) {
  Bytes out = {0x30, 0};
  out.reserve(72);
  append_der_integer(out, r_s.first(32));
  append_der_integer(out, r_s.last(32));
  out[1] = static_cast<std::uint8_t>(out.size() - 2);
  return out;
}

// Any key on the curve. Making one from the curve's name takes as long as a third of a verification; a copy with
// another point takes a quarter of that.
EVP_PKEY* make_template() {
  // The generator of P-256 (SEC 2, 2.4.2), uncompressed.
  std::uint8_t point[65] = {POINT_CONVERSION_UNCOMPRESSED,
                            0x6b,
                            0x17,
                            0xd1,
                            0xf2,
                            0xe1,
                            0x2c,
                            0x42,
                            0x47,
                            0xf8,
                            0xbc,
                            0xe6,
                            0xe5,
                            0x63,
                            0xa4,
                            0x40,
                            0xf2,
                            0x77,
                            0x03,
                            0x7d,
                            0x81,
                            0x2d,
                            0xeb,
                            0x33,
                            0xa0,
                            0xf4,
                            0xa1,
                            0x39,
                            0x45,
                            0xd8,
                            0x98,
                            0xc2,
                            0x96,
                            0x4f,
                            0xe3,
                            0x42,
                            0xe2,
                            0xfe,
                            0x1a,
                            0x7f,
                            0x9b,
                            0x8e,
                            0xe7,
                            0xeb,
                            0x4a,
                            0x7c,
                            0x0f,
                            0x9e,
                            0x16,
                            0x2b,
                            0xce,
                            0x33,
                            0x57,
                            0x6b,
                            0x31,
                            0x5e,
                            0xce,
                            0xcb,
                            0xb6,
                            0x40,
                            0x68,
                            0x37,
                            0xbf,
                            0x51,
                            0xf5};
  char curve[] = "prime256v1";
  OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, curve, sizeof curve - 1),
                         OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point),
                         OSSL_PARAM_construct_end()};
  OpensslPtr<EVP_PKEY_CTX, EVP_PKEY_CTX_free> context(EVP_PKEY_CTX_new_from_name(nullptr, "EC", nullptr));
  EVP_PKEY* key = nullptr;
  if (!context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
    throw std::bad_alloc();
  return key;
}

// Looked up once: EVP_sha256() looks for its provider on every use.
const EVP_MD* sha256_method() {
  static const OpensslPtr<EVP_MD, EVP_MD_free> kMethod(EVP_MD_fetch(nullptr, "SHA256", nullptr));
  return kMethod.get();
}

}  // namespace

std::optional<P256Key> P256Key::from_point(const ByteArray<64>& point) {
  static const OpensslPtr<EVP_PKEY, EVP_PKEY_free> kTemplate(make_template());
  std::uint8_t encoded[65] = {POINT_CONVERSION_UNCOMPRESSED};
  std::copy(point.begin(), point.end(), encoded + 1);
  std::shared_ptr<EVP_PKEY> key(EVP_PKEY_dup(kTemplate.get()), EVP_PKEY_free);
  bool on_curve = key && EVP_PKEY_set1_encoded_public_key(key.get(), encoded, sizeof encoded) == 1;
  ERR_clear_error();
  if (!on_curve) return std::nullopt;
  return P256Key(point, std::move(key));
}

bool P256Key::signed_this(ByteView message, ByteView r_s) const {
  return r_s.size() == 64 && signed_this_der(message, der_signature(r_s));
}

bool P256Key::signed_this_der(ByteView message, ByteView signature) const {
  ByteArray<32> digest = sha256(message);
  OpensslPtr<EVP_PKEY_CTX, EVP_PKEY_CTX_free> context(EVP_PKEY_CTX_new(evp(), nullptr));
  bool good = context && EVP_PKEY_verify_init(context.get()) == 1 &&
              EVP_PKEY_verify(context.get(), signature.data(), signature.size(), digest.data(), digest.size()) == 1;
  ERR_clear_error();
  return good;
}

ByteArray<32> sha256(ByteView first, ByteView second) {
  ByteArray<32> digest{};
  OpensslPtr<EVP_MD_CTX, EVP_MD_CTX_free> context(EVP_MD_CTX_new());
  bool done = context && EVP_DigestInit_ex(context.get(), sha256_method(), nullptr) == 1 &&
              EVP_DigestUpdate(context.get(), first.data(), first.size()) == 1 &&
              EVP_DigestUpdate(context.get(), second.data(), second.size()) == 1 &&
              EVP_DigestFinal_ex(context.get(), digest.data(), nullptr) == 1;
  if (!done) throw std::bad_alloc();  // nothing else can go wrong; a digest that was not computed must not be used
  return digest;
}

}  // namespace enclayer::attestation
