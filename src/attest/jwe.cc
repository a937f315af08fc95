// SPDX-License-Identifier: Apache-2.0
#include "attest/jwe.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>

#include <array>
#include <nlohmann/json.hpp>
#include <optional>

#include "attest/base64url.h"
#include "attestation/openssl.h"
#include "base/bytes.h"
#include "base/json.h"
#include "base/malformed.h"

namespace enclayer::attest {
namespace {

using attestation::OpensslPtr;
using nlohmann::json;
constexpr base::Malformed malformed_jwe{"JWE: "};
constexpr std::string_view kEnc = "A256GCM";
constexpr std::size_t kKeySize = 32, kIvSize = 12, kTagSize = 16;  // RFC 7518, section 5.3

EVP_PKEY* pkey(const std::shared_ptr<void>& key) { return static_cast<EVP_PKEY*>(key.get()); }
using PkeyContext = OpensslPtr<EVP_PKEY_CTX, EVP_PKEY_CTX_free>;
PkeyContext context_of(EVP_PKEY* key) { return PkeyContext(::EVP_PKEY_CTX_new_from_pkey(nullptr, key, nullptr)); }

Error openssl_failed(std::string_view doing) {
  ::ERR_clear_error();
  return {ErrorKind::kInternal, "JWE: OpenSSL cannot " + std::string(doing)};
}

// A content encryption key: gone from memory when it is not needed any more.
struct ContentKey {
  std::array<std::uint8_t, kKeySize> bytes{};
  ContentKey() = default;
  ContentKey(const ContentKey&) = default;
  ContentKey& operator=(const ContentKey&) = default;
  ~ContentKey() { ::OPENSSL_cleanse(bytes.data(), bytes.size()); }
};

// RSAES-OAEP with SHA-256 for both of its hashes.
template <auto init, auto run>
std::optional<Bytes> oaep(EVP_PKEY* key, ByteView in) {
  PkeyContext context = context_of(key);
  std::size_t size = 0;
  if (!context || init(context.get()) != 1 ||
      ::EVP_PKEY_CTX_set_rsa_padding(context.get(), RSA_PKCS1_OAEP_PADDING) != 1 ||
      ::EVP_PKEY_CTX_set_rsa_oaep_md(context.get(), ::EVP_sha256()) != 1 ||
      ::EVP_PKEY_CTX_set_rsa_mgf1_md(context.get(), ::EVP_sha256()) != 1 ||
      run(context.get(), nullptr, &size, in.data(), in.size()) != 1)
    return std::nullopt;
  Bytes out(size);
  if (run(context.get(), out.data(), &size, in.data(), in.size()) != 1) return std::nullopt;
  out.resize(size);
  return out;
}

void append_be32(Bytes& out, std::size_t number) {
  for (int shift : {24, 16, 8, 0}) out.push_back(static_cast<std::uint8_t>(number >> shift));
}

// ECDH-ES, direct key agreement (RFC 7518, section 4.6.2): the Concat KDF of NIST SP 800-56A with SHA-256, which OpenSSL
// calls SSKDF. PartyUInfo and PartyVInfo are empty, as no apu and apv are in the header.
std::optional<ContentKey> agree(EVP_PKEY* own, EVP_PKEY* peer) {
  PkeyContext context = context_of(own);
  std::size_t size = 0;
  if (!context || ::EVP_PKEY_derive_init(context.get()) != 1 || ::EVP_PKEY_derive_set_peer(context.get(), peer) != 1 ||
      ::EVP_PKEY_derive(context.get(), nullptr, &size) != 1)
    return std::nullopt;
  Bytes shared(size);
  if (::EVP_PKEY_derive(context.get(), shared.data(), &size) != 1) return std::nullopt;

  Bytes info;
  append_be32(info, kEnc.size());
  base::append(info, base::as_bytes(kEnc));
  append_be32(info, 0);
  append_be32(info, 0);
  append_be32(info, kKeySize * 8);
  OpensslPtr<EVP_KDF, EVP_KDF_free> kdf(::EVP_KDF_fetch(nullptr, "SSKDF", nullptr));
  OpensslPtr<EVP_KDF_CTX, EVP_KDF_CTX_free> deriving(kdf ? ::EVP_KDF_CTX_new(kdf.get()) : nullptr);
  char digest[] = "SHA256";
  const OSSL_PARAM parameters[] = {::OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
                                   ::OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, shared.data(), size),
                                   ::OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info.data(), info.size()),
                                   ::OSSL_PARAM_construct_end()};
  ContentKey out;
  const bool good = deriving && ::EVP_KDF_derive(deriving.get(), out.bytes.data(), out.bytes.size(), parameters) == 1;
  ::OPENSSL_cleanse(shared.data(), shared.size());
  return good ? std::optional(out) : std::nullopt;
}

// The point of a key on that curve, as JWK.
Result<EncryptionKey> public_part(EVP_PKEY* key) {
  auto number = [&](const char* name, std::size_t size) {
    BIGNUM* found = nullptr;
    Bytes bytes(size);
    if (::EVP_PKEY_get_bn_param(key, name, &found) == 1) ::BN_bn2binpad(found, bytes.data(), static_cast<int>(size));
    ::BN_free(found);
    return to_base64url(bytes);
  };
  const auto size = static_cast<std::size_t>((::EVP_PKEY_get_bits(key) + 7) / 8);
  if (::EVP_PKEY_is_a(key, "RSA") == 1)
    return EncryptionKey::parse(json{{"kty", "RSA"}, {"n", number(OSSL_PKEY_PARAM_RSA_N, size)}, {"e", "AQAB"}}.dump());
  return EncryptionKey::parse(json{
      {"kty", "EC"},
      {"crv", size == 32 ? "P-256" : "P-384"},
      {"x", number(OSSL_PKEY_PARAM_EC_PUB_X, size)},
      {"y", number(OSSL_PKEY_PARAM_EC_PUB_Y,
                   size)}}.dump());
}

using Key = OpensslPtr<EVP_PKEY, EVP_PKEY_free>;

// A key of the same curve, for one agreement.
Key ephemeral_key(EVP_PKEY* like) {
  PkeyContext context = context_of(like);
  EVP_PKEY* made = nullptr;
  if (!context || ::EVP_PKEY_keygen_init(context.get()) != 1 || ::EVP_PKEY_generate(context.get(), &made) != 1)
    return nullptr;
  return Key(made);
}

struct Sealed {
  Bytes iv = Bytes(kIvSize), ciphertext, tag = Bytes(kTagSize);
};

std::optional<Sealed> seal(const ContentKey& key, std::string_view associated, ByteView secret) {
  Sealed out;
  out.ciphertext.resize(secret.size());
  OpensslPtr<EVP_CIPHER_CTX, EVP_CIPHER_CTX_free> gcm(::EVP_CIPHER_CTX_new());
  int size = 0;
  if (!gcm || ::RAND_bytes(out.iv.data(), kIvSize) != 1 ||
      ::EVP_EncryptInit_ex2(gcm.get(), ::EVP_aes_256_gcm(), key.bytes.data(), out.iv.data(), nullptr) != 1 ||
      ::EVP_EncryptUpdate(gcm.get(), nullptr, &size, base::as_bytes(associated).data(),
                          static_cast<int>(associated.size())) != 1 ||
      ::EVP_EncryptUpdate(gcm.get(), out.ciphertext.data(), &size, secret.data(), static_cast<int>(secret.size())) !=
          1 ||
      ::EVP_EncryptFinal_ex(gcm.get(), nullptr, &size) != 1 ||
      ::EVP_CIPHER_CTX_ctrl(gcm.get(), EVP_CTRL_AEAD_GET_TAG, kTagSize, out.tag.data()) != 1)
    return std::nullopt;
  return out;
}

std::optional<Bytes> open(const ContentKey& key, std::string_view associated, Sealed sealed) {
  Bytes out(sealed.ciphertext.size());
  OpensslPtr<EVP_CIPHER_CTX, EVP_CIPHER_CTX_free> gcm(::EVP_CIPHER_CTX_new());
  int size = 0;
  if (!gcm || ::EVP_DecryptInit_ex2(gcm.get(), ::EVP_aes_256_gcm(), key.bytes.data(), sealed.iv.data(), nullptr) != 1 ||
      ::EVP_DecryptUpdate(gcm.get(), nullptr, &size, base::as_bytes(associated).data(),
                          static_cast<int>(associated.size())) != 1 ||
      ::EVP_DecryptUpdate(gcm.get(), out.data(), &size, sealed.ciphertext.data(), static_cast<int>(out.size())) != 1 ||
      ::EVP_CIPHER_CTX_ctrl(gcm.get(), EVP_CTRL_AEAD_SET_TAG, kTagSize, sealed.tag.data()) != 1 ||
      ::EVP_DecryptFinal_ex(gcm.get(), nullptr, &size) != 1) {
    ::OPENSSL_cleanse(out.data(), out.size());
    return std::nullopt;
  }
  return out;
}

}  // namespace

Result<std::string> encrypt_jwe(ByteView secret, const EncryptionKey& key) {
  if (secret.size() > kMaxSecretSize)
    return Error(ErrorKind::kInvalidArgument, "JWE: a secret has at most " + std::to_string(kMaxSecretSize) +
                                                  " bytes, this one " + std::to_string(secret.size()));
  auto* to = static_cast<EVP_PKEY*>(key.openssl());
  json header = {{"alg", key.algorithm()}, {"enc", kEnc}, {"kid", key.thumbprint()}};
  ContentKey content;
  Bytes wrapped;  // of direct agreement: nothing
  if (key.rsa()) {
    if (::RAND_bytes(content.bytes.data(), kKeySize) != 1) return openssl_failed("make a content key");
    auto encrypted = oaep<::EVP_PKEY_encrypt_init, ::EVP_PKEY_encrypt>(to, content.bytes);
    if (!encrypted) return openssl_failed("wrap to an RSA key");
    wrapped = std::move(*encrypted);
  } else {
    Key ephemeral = ephemeral_key(to);
    auto agreed = ephemeral ? agree(ephemeral.get(), to) : std::nullopt;
    if (!agreed) return openssl_failed("agree on a content key");
    content = *agreed;
    ENCLAYER_TRY(const EncryptionKey epk, public_part(ephemeral.get()));
    header["epk"] = json::parse(epk.jwk());
  }
  const std::string associated = to_base64url(base::as_bytes(header.dump()));
  auto sealed = seal(content, associated, secret);
  if (!sealed) return openssl_failed("encrypt");
  return associated + "." + to_base64url(wrapped) + "." + to_base64url(sealed->iv) + "." +
         to_base64url(sealed->ciphertext) + "." + to_base64url(sealed->tag);
}

Result<DecryptionKey> DecryptionKey::generate(Kind kind) {
  Key key(kind == Kind::kRsa3072 ? ::EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", std::size_t{3072})
                                 : ::EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"));
  if (!key) return openssl_failed("make a key");
  ENCLAYER_TRY(EncryptionKey of, public_part(key.get()));
  DecryptionKey out(std::move(of));
  out.private_ = std::shared_ptr<void>(key.release(), [](void* it) { ::EVP_PKEY_free(static_cast<EVP_PKEY*>(it)); });
  return out;
}

std::string DecryptionKey::jwk() const {
  json out = json::parse(public_.jwk());
  out["use"] = "enc";
  return out.dump();
}

Result<Bytes> DecryptionKey::decrypt(std::string_view jwe) const {
  constexpr std::size_t kMostHeader = 4 << 10;  // bytes
  if (jwe.size() > 2 * kMaxSecretSize) return malformed_jwe("it has more bytes than a secret can take");
  std::array<std::string_view, 5> parts;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const std::size_t dot = jwe.find('.');
    if ((dot == std::string_view::npos) != (i + 1 == parts.size())) return malformed_jwe("it has not five parts");
    parts[i] = jwe.substr(0, dot);
    if (dot != std::string_view::npos) jwe.remove_prefix(dot + 1);
  }
  auto header = from_base64url(parts[0]), wrapped = from_base64url(parts[1]), iv = from_base64url(parts[2]),
       ciphertext = from_base64url(parts[3]), tag = from_base64url(parts[4]);
  if (!header || !wrapped || !iv || !ciphertext || !tag) return malformed_jwe("a part is not base64url");
  if (iv->size() != kIvSize || tag->size() != kTagSize) return malformed_jwe("its IV or tag is not one of A256GCM");

  const std::string_view text = base::as_text(*header);
  if (auto bounded = base::JsonDocument::parse(text, {.size = kMostHeader, .depth = 3, .values = 64}); !bounded)
    return malformed_jwe("its header: " + bounded.error().message());
  const json said = json::parse(text, nullptr, false);
  for (const auto& member : said.items()) {
    const std::string& name = member.key();
    if (name != "alg" && name != "enc" && name != "kid" && name != "epk" && name != "typ" && name != "cty")
      return malformed_jwe("its header has \"" + name.substr(0, 32) + "\", which is not read here");
  }
  if (said.value("enc", json()) != json(kEnc) || said.value("alg", json()) != json(public_.algorithm()))
    return malformed_jwe("its header does not say " + std::string(public_.algorithm()) + " and " + std::string(kEnc));

  constexpr char kNotOurs[] = "it is for another key, or was changed on its way";
  ContentKey content;
  if (public_.rsa()) {
    auto opened = oaep<::EVP_PKEY_decrypt_init, ::EVP_PKEY_decrypt>(pkey(private_), *wrapped);
    if (!opened || opened->size() != kKeySize) {
      ::ERR_clear_error();
      return malformed_jwe(kNotOurs);
    }
    std::copy(opened->begin(), opened->end(), content.bytes.begin());
    ::OPENSSL_cleanse(opened->data(), opened->size());
  } else {
    if (!wrapped->empty()) return malformed_jwe("a key is wrapped in it, and ECDH-ES wraps none");
    auto epk = EncryptionKey::parse(said.value("epk", json()).dump());
    auto agreed = epk && !epk->rsa() ? agree(pkey(private_), static_cast<EVP_PKEY*>(epk->openssl())) : std::nullopt;
    if (!agreed) {
      ::ERR_clear_error();
      return malformed_jwe("its \"epk\" is no key with which ours can agree");
    }
    content = *agreed;
  }
  auto secret = open(content, parts[0], {*iv, *ciphertext, *tag});
  ::ERR_clear_error();
  if (!secret) return malformed_jwe(kNotOurs);
  return std::move(*secret);
}

}  // namespace enclayer::attest
