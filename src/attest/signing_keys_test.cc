// SPDX-License-Identifier: Apache-2.0
#include "attest/signing_keys.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include <nlohmann/json.hpp>

#include "attest/base64url.h"
#include "base/base64.h"
#include "base/bytes.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/hex.h"
#include "fake/ra_tls.h"
#include "fake/temp_folder.h"

namespace enclayer::attest {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using testing::HasSubstr;

const Time kNow = parse_time("2026-11-29T12:00:00Z").value();

std::vector<std::string> kids(const std::string& jwks) {
  std::vector<std::string> out;
  const json parsed = json::parse(jwks);
  for (const json& key : parsed.at("keys")) out.push_back(key.at("kid"));
  return out;
}

// Whether the key in x5c made the token's signature.
bool verifies(const std::string& token, const json& jwk) {
  const std::size_t last = token.rfind('.');
  Bytes signature = from_base64url(token.substr(last + 1)).value();
  const Bytes der = base::from_base64(jwk.at("x5c").at(0).get<std::string>(), base::Base64::kPem).value();
  const unsigned char* at = der.data();
  X509* certificate = ::d2i_X509(nullptr, &at, static_cast<long>(der.size()));
  if (jwk.at("alg") == "ES256") {
    ECDSA_SIG* parts = ::ECDSA_SIG_new();
    ::ECDSA_SIG_set0(parts, ::BN_bin2bn(signature.data(), 32, nullptr),
                     ::BN_bin2bn(signature.data() + 32, 32, nullptr));
    unsigned char* out = nullptr;
    const int size = ::i2d_ECDSA_SIG(parts, &out);
    signature.assign(out, out + size);
    ::OPENSSL_free(out);
    ::ECDSA_SIG_free(parts);
  }
  EVP_MD_CTX* context = ::EVP_MD_CTX_new();
  const bool good =
      ::EVP_DigestVerifyInit(context, nullptr, ::EVP_sha256(), nullptr, ::X509_get0_pubkey(certificate)) == 1 &&
      ::EVP_DigestVerify(context, signature.data(), signature.size(),
                         reinterpret_cast<const unsigned char*>(token.data()), last) == 1;
  ::EVP_MD_CTX_free(context);
  ::X509_free(certificate);
  return good;
}

TEST(Jwk, is_made_of_a_public_key_of_each_kind) {
  // The key of RFC 8037, appendix A.2; its thumbprint is A.3's.
  const Bytes ed25519 =
      base::from_hex("302a300506032b6570032100d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
          .value();
  const std::string jwk = public_jwk(ed25519).value();
  EXPECT_EQ(jwk, R"({"crv":"Ed25519","kty":"OKP","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})");
  EXPECT_EQ(to_base64url(base::sha256(base::as_bytes(jwk))), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
  for (const char* curve : {"P-256", "P-384", "P-521"}) {
    const json ec = json::parse(public_jwk(fake::RaTlsMaker(curve).public_key()).value());
    EXPECT_EQ(ec.at("crv"), curve);
    EXPECT_EQ(from_base64url(ec.at("x").get<std::string>())->size(),
              from_base64url(ec.at("y").get<std::string>())->size());
  }
  EXPECT_EQ(json::parse(public_jwk(fake::RaTlsMaker("RSA").public_key()).value()).at("e"), "AQAB");
  EXPECT_FALSE(public_jwk(fake::RaTlsMaker("secp256k1").public_key()));
  EXPECT_FALSE(public_jwk(Bytes{1, 2, 3}));
}

class SigningKeysTest : public testing::Test {
 protected:
  Result<std::unique_ptr<SigningKeys>> open(Time now = kNow, bool simulated = false, bool ours = true) {
    return SigningKeys::open({.folder = keys_, .ours = ours, .simulated = simulated}, now);
  }
  std::vector<std::string> files() {
    std::vector<std::string> out;
    for (const std::string& name : base::Root(keys_).list(""))
      if (name.ends_with(".pem")) out.push_back(name);
    return out;
  }
  fake::TempFolder folder_;
  const std::filesystem::path keys_ = folder_.path() / "keys";
};

TEST_F(SigningKeysTest, keys_are_made_once_sign_and_are_published_with_their_certificates) {
  auto keys = open();
  ASSERT_TRUE(keys) << keys.error().message();
  const json published = json::parse((*keys)->jwks(kNow)).at("keys");
  ASSERT_EQ(published.size(), 2u);
  for (const Algorithm algorithm : {Algorithm::kRs256, Algorithm::kEs256}) {
    auto key = (*keys)->signing(algorithm, kNow);
    const std::string token = key->sign(R"({"iss":"x"})", "https://x/certs").value();
    const json header = json::parse(base::as_text(from_base64url(token.substr(0, token.find('.'))).value()));
    EXPECT_EQ(header,
              (json{{"alg", to_string(algorithm)}, {"kid", key->id()}, {"typ", "JWT"}, {"jku", "https://x/certs"}}));
    int good = 0;
    for (const json& jwk : published) good += jwk.at("kid") == key->id() && verifies(token, jwk) ? 1 : 0;
    EXPECT_EQ(good, 1);
  }
  for (const std::string& name : files()) EXPECT_EQ(base::Root(keys_).stat(name)->st_mode & 0777, 0600u) << name;
  auto again = open();
  ASSERT_TRUE(again);
  EXPECT_EQ((*again)->jwks(kNow), (*keys)->jwks(kNow));
  EXPECT_EQ((*again)->nonce_key(), (*keys)->nonce_key());
}

TEST_F(SigningKeysTest, new_key_is_published_before_it_signs_and_the_old_one_until_its_last_token_died) {
  auto keys = open().value();
  const auto old = keys->signing(Algorithm::kEs256, kNow);
  const Time later = kNow + std::chrono::days(90);
  ASSERT_TRUE(keys->renew(later - 1s));
  EXPECT_EQ(kids(keys->jwks(Algorithm::kEs256, later)).size(), 1u);
  ASSERT_TRUE(keys->renew(later));
  const auto both = kids(keys->jwks(Algorithm::kEs256, later));
  ASSERT_EQ(both.size(), 2u);
  EXPECT_EQ(both[0], old->id());
  EXPECT_EQ(keys->signing(Algorithm::kEs256, later + SigningKeys::kPublishedFirst - 1s)->id(), old->id());
  const Time over = later + SigningKeys::kPublishedFirst;
  EXPECT_EQ(keys->signing(Algorithm::kEs256, over)->id(), both[1]);
  const Time last = over + 600s + SigningKeys::kSkew;
  EXPECT_EQ(kids(keys->jwks(Algorithm::kEs256, last)), both);
  EXPECT_EQ(kids(keys->jwks(Algorithm::kEs256, last + 1s)), std::vector{both[1]});
  ASSERT_TRUE(keys->renew(last));
  EXPECT_EQ(files().size(), 4u);
  ASSERT_TRUE(keys->renew(last + 1s));
  EXPECT_EQ(files().size(), 2u);
  EXPECT_EQ(keys->signing(Algorithm::kEs256, last + 1s)->id(), both[1]);
}

TEST_F(SigningKeysTest, replicas_agree_by_the_folder_alone) {
  auto one = open().value();
  auto other = open(kNow, false, false).value();
  ASSERT_TRUE(one->renew(kNow + std::chrono::days(91)));
  ASSERT_TRUE(other->renew(kNow + std::chrono::days(91)));
  for (const auto after : {91 * 24h, 91 * 24h + SigningKeys::kPublishedFirst + 1h}) {
    EXPECT_EQ(one->jwks(kNow + after), other->jwks(kNow + after));
    EXPECT_EQ(one->signing(Algorithm::kRs256, kNow + after)->id(),
              other->signing(Algorithm::kRs256, kNow + after)->id());
  }
}

TEST_F(SigningKeysTest, clock_that_jumps_leaves_a_key_that_signs) {
  auto keys = open().value();
  for (const auto jump : {-24h * 365, 24h * 365}) {
    ASSERT_TRUE(keys->renew(kNow + jump));
    EXPECT_NE(keys->signing(Algorithm::kRs256, kNow + jump), nullptr);
  }
}

TEST_F(SigningKeysTest, simulated_and_other_instances_never_share_keys) {
  ASSERT_TRUE(open(kNow, true));
  auto other = open();
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().kind(), ErrorKind::kConflict);
  EXPECT_THAT(other.error().message(), HasSubstr("simulated instance"));
  std::filesystem::remove_all(keys_);
  ASSERT_TRUE(open());
  EXPECT_EQ(open(kNow, true).error().kind(), ErrorKind::kConflict);
}

TEST_F(SigningKeysTest, damaged_readable_and_missing_keys_are_named_and_change_nothing) {
  auto keys = open().value();
  const std::string before = keys->jwks(kNow), file = files().front();
  const std::string pem = base::read_text(keys_ / file, 1 << 20).value();

  folder_.write("keys/" + file, pem.substr(0, pem.size() / 2));
  EXPECT_THAT(keys->renew(kNow).error().message(), HasSubstr(file));
  folder_.write("keys/" + file, pem.substr(0, pem.find("-----BEGIN CERTIFICATE")) +
                                    TokenKey::generate(Algorithm::kEs256, false, kNow)->to_pem().substr(241));
  EXPECT_FALSE(keys->renew(kNow));
  folder_.write("keys/" + file, pem);
  std::filesystem::permissions(keys_ / file, std::filesystem::perms(0640));
  EXPECT_EQ(keys->renew(kNow).error().kind(), ErrorKind::kConflict);
  EXPECT_EQ(keys->jwks(kNow), before);
  std::filesystem::permissions(keys_ / file, std::filesystem::perms(0600));
  EXPECT_TRUE(keys->renew(kNow));

  std::filesystem::remove(keys_ / file);
  EXPECT_EQ(open(kNow, false, false).error().kind(), ErrorKind::kNotFound);
  std::filesystem::remove_all(keys_);
  EXPECT_EQ(open(kNow, false, false).error().kind(), ErrorKind::kNotFound);
}

}  // namespace
}  // namespace enclayer::attest
