// SPDX-License-Identifier: Apache-2.0
#include "attest/jwk.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "attest/base64url.h"
#include "attestation/openssl.h"
#include "base/bytes.h"
#include "base/digest.h"
#include "base/json.h"
#include "base/malformed.h"
#include "base/printable.h"

namespace enclayer::attest {
namespace {

using attestation::OpensslPtr;
using nlohmann::json;
constexpr base::Malformed malformed_jwk{"JWK: "};

struct Curve {
  const char* name;  // RFC 7518, section 6.2.1.1, and OpenSSL's too
  std::size_t bytes;
};
constexpr Curve kCurves[] = {{"P-256", 32}, {"P-384", 48}};

// A public key of these parameters that passes OpenSSL's own checks (a point that is on its curve, a modulus that is no
// square and has no small factor).
std::shared_ptr<void> make_key(const char* type, OSSL_PARAM_BLD* builder) {
  OpensslPtr<OSSL_PARAM, OSSL_PARAM_free> parameters(::OSSL_PARAM_BLD_to_param(builder));
  OpensslPtr<EVP_PKEY_CTX, EVP_PKEY_CTX_free> making(::EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  EVP_PKEY* made = nullptr;
  if (!parameters || !making || ::EVP_PKEY_fromdata_init(making.get()) != 1 ||
      ::EVP_PKEY_fromdata(making.get(), &made, EVP_PKEY_PUBLIC_KEY, parameters.get()) != 1) {
    ::ERR_clear_error();
    return nullptr;
  }
  std::shared_ptr<void> key(made, [](void* it) { ::EVP_PKEY_free(static_cast<EVP_PKEY*>(it)); });
  OpensslPtr<EVP_PKEY_CTX, EVP_PKEY_CTX_free> checking(::EVP_PKEY_CTX_new_from_pkey(nullptr, made, nullptr));
  const bool good = checking && ::EVP_PKEY_public_check(checking.get()) == 1;
  ::ERR_clear_error();
  return good ? key : nullptr;
}

std::shared_ptr<void> rsa_key(const Bytes& n) {
  OpensslPtr<OSSL_PARAM_BLD, OSSL_PARAM_BLD_free> builder(::OSSL_PARAM_BLD_new());
  OpensslPtr<BIGNUM, BN_free> modulus(::BN_bin2bn(n.data(), static_cast<int>(n.size()), nullptr));
  if (!builder || !modulus || ::OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, modulus.get()) != 1 ||
      ::OSSL_PARAM_BLD_push_ulong(builder.get(), OSSL_PKEY_PARAM_RSA_E, 65537) != 1)
    return nullptr;
  return make_key("RSA", builder.get());
}

std::shared_ptr<void> ec_key(const Curve& curve, const Bytes& x, const Bytes& y) {
  Bytes point{0x04};  // uncompressed (SEC 1, section 2.3.3)
  base::append(point, x);
  base::append(point, y);
  OpensslPtr<OSSL_PARAM_BLD, OSSL_PARAM_BLD_free> builder(::OSSL_PARAM_BLD_new());
  if (!builder || ::OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, curve.name, 0) != 1 ||
      ::OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size()) != 1)
    return nullptr;
  return make_key("EC", builder.get());
}

// The text of a member; "" where it is none.
std::string text(const json& object, const char* name) {
  auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

bool has_any(const json& list, std::initializer_list<const char*> of) {
  return list.is_array() && std::any_of(of.begin(), of.end(), [&](const char* one) {
           return std::find(list.begin(), list.end(), json(one)) != list.end();
         });
}

// What its members say that the key is for (RFC 7517, sections 4.2 to 4.4).
Result<> check_use(const json& jwk, std::string_view algorithm) {
  if (jwk.contains("use") && text(jwk, "use") != "enc") return malformed_jwk("its \"use\" is not \"enc\"");
  const bool rsa = algorithm == "RSA-OAEP-256";
  if (auto operations = jwk.find("key_ops"); operations != jwk.end())
    if (!(rsa ? has_any(*operations, {"encrypt", "wrapKey"}) : has_any(*operations, {"deriveKey", "deriveBits"})))
      return malformed_jwk("its \"key_ops\" do not allow to wrap a key to it");
  if (jwk.contains("alg") && text(jwk, "alg") != algorithm)
    return malformed_jwk("its \"alg\" is \"" + base::printable(text(jwk, "alg"), 32) + "\"; of this kind of key only " +
                         std::string(algorithm) + " is taken");
  return {};
}

}  // namespace

Result<EncryptionKey> EncryptionKey::parse(std::string_view text_of_jwk) {
  // Judges depth and duplicate keys; what it lets pass can be parsed again without a thought.
  if (auto bounded = base::JsonDocument::parse(text_of_jwk, {.size = kMaxJsonSize, .depth = 3, .values = 64}); !bounded)
    return malformed_jwk(bounded.error().message());
  const json jwk = json::parse(text_of_jwk, nullptr, false);
  for (const char* secret : kPrivateMembers)
    if (jwk.contains(secret)) return malformed_jwk("it has a private part, which is not secret any more");

  EncryptionKey out;
  const std::string type = text(jwk, "kty");
  if (type == "RSA") {
    constexpr std::size_t kFewest = 256, kMost = 512;  // bytes of the modulus
    auto n = from_base64url(text(jwk, "n"));
    if (!n || n->size() < kFewest || n->size() > kMost || n->front() < 0x80)
      return malformed_jwk(
          "\"n\" is no modulus of 2048 to 4096 bits, a multiple of 8, in base64url without leading zeros");
    if (text(jwk, "e") != "AQAB") return malformed_jwk("\"e\" is not \"AQAB\", which is 65537");
    out.rsa_ = true;
    out.jwk_ = json{{"e", "AQAB"}, {"kty", "RSA"}, {"n", text(jwk, "n")}}.dump();  // sorted, as RFC 7638 wants it
    ENCLAYER_CHECK(check_use(jwk, out.algorithm()));
    out.key_ = rsa_key(*n);
  } else if (type == "EC") {
    auto is_it = [&](const Curve& curve) { return text(jwk, "crv") == curve.name; };
    auto curve = std::find_if(std::begin(kCurves), std::end(kCurves), is_it);
    if (curve == std::end(kCurves)) return malformed_jwk("\"crv\" is neither \"P-256\" nor \"P-384\"");
    auto x = from_base64url(text(jwk, "x")), y = from_base64url(text(jwk, "y"));
    if (!x || !y || x->size() != curve->bytes || y->size() != curve->bytes)
      return malformed_jwk("\"x\" and \"y\" are not " + std::to_string(curve->bytes) + " bytes each in base64url");
    out.jwk_ = json{{"crv", curve->name}, {"kty", "EC"}, {"x", text(jwk, "x")}, {"y", text(jwk, "y")}}.dump();
    ENCLAYER_CHECK(check_use(jwk, out.algorithm()));
    out.key_ = ec_key(*curve, *x, *y);
  } else {
    return malformed_jwk("\"kty\" is neither \"RSA\" nor \"EC\"");
  }
  if (out.key_ == nullptr) return malformed_jwk("its numbers are no public key");
  return out;
}

Result<EncryptionKey> EncryptionKey::of_runtime_data(std::string_view text_of_keys) {
  constexpr std::size_t kMostSize = 256 << 10;  // as the service takes of runtime data
  constexpr base::Malformed no_key{"runtime data: "};
  if (auto bounded = base::JsonDocument::parse(text_of_keys, {.size = kMostSize, .depth = 12, .values = 4096});
      !bounded)
    return no_key(bounded.error().message());
  const json data = json::parse(text_of_keys, nullptr, false);
  auto keys = data.find("keys");
  if (keys == data.end() || !keys->is_array()) return no_key("\"keys\" is no list of JWKs");
  for (const json& key : *keys)
    if (key.is_object() && (text(key, "use") == "enc" ||
                            (key.contains("key_ops") && has_any(key["key_ops"], {"encrypt", "wrapKey", "deriveKey"}))))
      return parse(key.dump(-1, ' ', false, json::error_handler_t::replace));
  return no_key(
      "of its \"keys\" none has \"use\" \"enc\", or \"key_ops\" with \"encrypt\", \"wrapKey\" or \"deriveKey\"");
}

std::string EncryptionKey::thumbprint() const { return to_base64url(base::sha256(base::as_bytes(jwk_))); }

}  // namespace enclayer::attest
