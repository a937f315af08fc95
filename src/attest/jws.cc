// SPDX-License-Identifier: Apache-2.0
#include "attest/jws.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>

#include "attest/base64url.h"
#include "attest/certificate.h"
#include "attestation/openssl.h"
#include "base/base64.h"
#include "base/bytes.h"
#include "base/digest.h"
#include "base/malformed.h"

namespace enclayer::attest {
namespace {

using attestation::OpensslPtr;
using nlohmann::ordered_json;

constexpr std::string_view kSimulated = "SIMULATED", kName = "enclayer-attest token signing";
constexpr int kRsaBits = 2048;
// Of the certificate, which is an envelope for clients that want one; how long a key signs is SigningKeys' business.
constexpr std::chrono::days kCertificateLife{10 * 365};

EVP_PKEY* pkey(const std::shared_ptr<void>& key) { return static_cast<EVP_PKEY*>(key.get()); }

Error openssl_failed(std::string_view doing) {
  ::ERR_clear_error();
  return {ErrorKind::kInternal, "OpenSSL cannot " + std::string(doing)};
}

// A number of the key, in the bytes that it takes, or in `size` where that is given.
std::string number_of(EVP_PKEY* key, const char* name, int size = 0) {
  BIGNUM* number = nullptr;
  if (::EVP_PKEY_get_bn_param(key, name, &number) != 1) return {};
  Bytes bytes(static_cast<std::size_t>(size > 0 ? size : BN_num_bytes(number)));
  ::BN_bn2binpad(number, bytes.data(), static_cast<int>(bytes.size()));
  ::BN_free(number);
  return to_base64url(bytes);
}

struct Curve {
  int nid;
  const char* name;  // in JWKs (RFC 7518, section 6.2.1.1)
  int size;          // of a coordinate, in bytes
};
constexpr Curve kCurves[] = {
    {NID_X9_62_prime256v1, "P-256", 32}, {NID_secp384r1, "P-384", 48}, {NID_secp521r1, "P-521", 66}};

const Curve* curve_of(EVP_PKEY* key) {
  char group[32] = {};
  if (::EVP_PKEY_is_a(key, "EC") != 1 || ::EVP_PKEY_get_group_name(key, group, sizeof group, nullptr) != 1)
    return nullptr;
  const auto* found = std::find_if(std::begin(kCurves), std::end(kCurves),
                                   [nid = ::OBJ_txt2nid(group)](const Curve& one) { return one.nid == nid; });
  return found == std::end(kCurves) ? nullptr : found;
}

// The members that a thumbprint is made of, in the order of their names (RFC 7638, section 3.2); null for other keys.
ordered_json public_members(EVP_PKEY* key) {
  if (::EVP_PKEY_is_a(key, "RSA") == 1)
    return {{"e", number_of(key, OSSL_PKEY_PARAM_RSA_E)}, {"kty", "RSA"}, {"n", number_of(key, OSSL_PKEY_PARAM_RSA_N)}};
  if (const Curve* curve = curve_of(key))
    return {{"crv", curve->name},
            {"kty", "EC"},
            {"x", number_of(key, OSSL_PKEY_PARAM_EC_PUB_X, curve->size)},
            {"y", number_of(key, OSSL_PKEY_PARAM_EC_PUB_Y, curve->size)}};
  ByteArray<32> raw{};
  std::size_t size = raw.size();
  if (::EVP_PKEY_is_a(key, "ED25519") == 1 && ::EVP_PKEY_get_raw_public_key(key, raw.data(), &size) == 1)
    return {{"crv", "Ed25519"}, {"kty", "OKP"}, {"x", to_base64url(raw)}};
  return nullptr;
}

Result<Algorithm> algorithm_of(EVP_PKEY* key) {
  if (::EVP_PKEY_is_a(key, "RSA") == 1 && ::EVP_PKEY_get_bits(key) >= kRsaBits && ::EVP_PKEY_get_bits(key) <= 4096)
    return Algorithm::kRs256;
  if (const Curve* curve = curve_of(key); curve != nullptr && curve->nid == NID_X9_62_prime256v1)
    return Algorithm::kEs256;
  return base::malformed("its key is neither RSA of 2,048 to 4,096 bits nor on P-256");
}

// r || s (RFC 7518, section 3.4) of OpenSSL's DER.
Result<Bytes> raw_signature(ByteView der) {
  const unsigned char* at = der.data();
  OpensslPtr<ECDSA_SIG, ECDSA_SIG_free> parts(::d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size())));
  Bytes out(64);
  if (!parts || ::BN_bn2binpad(::ECDSA_SIG_get0_r(parts.get()), out.data(), 32) != 32 ||
      ::BN_bn2binpad(::ECDSA_SIG_get0_s(parts.get()), out.data() + 32, 32) != 32)
    return openssl_failed("read its own signature");
  return out;
}

}  // namespace

Result<std::string> public_jwk(ByteView subject_public_key_info) {
  const unsigned char* at = subject_public_key_info.data();
  OpensslPtr<EVP_PKEY, EVP_PKEY_free> key(
      ::d2i_PUBKEY(nullptr, &at, static_cast<long>(subject_public_key_info.size())));
  ::ERR_clear_error();
  const ordered_json jwk = key ? public_members(key.get()) : nullptr;
  if (jwk.is_null()) return Error(ErrorKind::kUnsupported, "there is no JWK for a key of this kind");
  return jwk.dump();
}

std::string_view to_string(Algorithm algorithm) { return algorithm == Algorithm::kRs256 ? "RS256" : "ES256"; }

Result<TokenKey> TokenKey::generate(Algorithm algorithm, bool simulated, Time made) {
  OpensslPtr<EVP_PKEY, EVP_PKEY_free> key(algorithm == Algorithm::kRs256 ? EVP_RSA_gen(kRsaBits) : EVP_EC_gen("P-256"));
  if (!key) return openssl_failed("make a key");
  const std::string name = (simulated ? std::string(kSimulated) + " " : "") + std::string(kName);
  const auto certificate = make_certificate(key.get(), name, made, made + kCertificateLife);
  OpensslPtr<BIO, BIO_free_all> out(::BIO_new(::BIO_s_mem()));
  if (!certificate || !out ||
      ::PEM_write_bio_PrivateKey(out.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1 ||
      ::PEM_write_bio_X509(out.get(), certificate.get()) != 1)
    return openssl_failed("make a certificate");
  return from_pem(attestation::text_of(out.get()));
}

Result<TokenKey> TokenKey::from_pem(std::string_view pem) {
  auto bio = [&] { return OpensslPtr<BIO, BIO_free_all>(::BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()))); };
  TokenKey out;
  // Without a function that asks for a passphrase, OpenSSL would ask at the terminal.
  auto no_passphrase = [](char*, int, int, void*) { return 0; };
  out.key_.reset(::PEM_read_bio_PrivateKey(bio().get(), nullptr, no_passphrase, nullptr), ::EVP_PKEY_free);
  out.certificate_.reset(::PEM_read_bio_X509(bio().get(), nullptr, nullptr, nullptr), ::X509_free);
  ::ERR_clear_error();
  if (!out.key_) return base::malformed("it holds no private key in PEM without a passphrase");
  auto* certificate = static_cast<X509*>(out.certificate_.get());
  if (certificate == nullptr) return base::malformed("it holds no certificate in PEM beside its key");
  if (::X509_check_private_key(certificate, pkey(out.key_)) != 1) {
    ::ERR_clear_error();
    return base::malformed("its certificate is of another key");
  }
  ENCLAYER_TRY(out.algorithm_, algorithm_of(pkey(out.key_)));
  const auto made = attestation::time_of(::X509_get0_notBefore(certificate));
  if (!made) return base::malformed("its certificate has no date");
  out.made_ = *made;
  out.simulated_ = attestation::printable(::X509_get_subject_name(certificate)).find(kSimulated) != std::string::npos;

  ordered_json jwk = public_members(pkey(out.key_));
  out.id_ = to_base64url(base::sha256(base::as_bytes(jwk.dump())));
  Bytes der(static_cast<std::size_t>(::i2d_X509(certificate, nullptr)));
  unsigned char* to = der.data();
  ::i2d_X509(certificate, &to);
  jwk["use"] = "sig";
  jwk["alg"] = to_string(out.algorithm_);
  jwk["kid"] = out.id_;
  jwk["x5c"] = {base::to_base64(der)};
  out.jwk_ = jwk.dump();
  return out;
}

std::string TokenKey::to_pem() const {
  OpensslPtr<BIO, BIO_free_all> out(::BIO_new(::BIO_s_mem()));
  if (!out || ::PEM_write_bio_PrivateKey(out.get(), pkey(key_), nullptr, nullptr, 0, nullptr, nullptr) != 1 ||
      ::PEM_write_bio_X509(out.get(), static_cast<X509*>(certificate_.get())) != 1)
    std::abort();  // out of memory
  return attestation::text_of(out.get());
}

Result<std::string> TokenKey::sign(std::string_view claims, std::string_view jku) const {
  ordered_json header = {{"alg", to_string(algorithm_)}, {"kid", id_}, {"typ", "JWT"}};
  if (!jku.empty()) header["jku"] = jku;
  std::string token = to_base64url(base::as_bytes(header.dump())) + "." + to_base64url(base::as_bytes(claims));
  OpensslPtr<EVP_MD_CTX, EVP_MD_CTX_free> context(::EVP_MD_CTX_new());
  std::size_t size = static_cast<std::size_t>(::EVP_PKEY_get_size(pkey(key_)));
  Bytes signature(size);
  if (!context || ::EVP_DigestSignInit(context.get(), nullptr, ::EVP_sha256(), nullptr, pkey(key_)) != 1 ||
      ::EVP_DigestSign(context.get(), signature.data(), &size, base::as_bytes(token).data(), token.size()) != 1)
    return openssl_failed("sign a token");
  signature.resize(size);
  if (algorithm_ == Algorithm::kEs256) {
    ENCLAYER_TRY(signature, raw_signature(signature));
  }
  return token + "." + to_base64url(signature);
}

}  // namespace enclayer::attest
