// SPDX-License-Identifier: Apache-2.0
#include "attest/jwe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "attest/base64url.h"
#include "base/bytes.h"

namespace enclayer::attest {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using Kind = DecryptionKey::Kind;

const DecryptionKey& key_of(Kind kind) {
  static const DecryptionKey kRsa = DecryptionKey::generate(Kind::kRsa3072).value();
  static const DecryptionKey kEc = DecryptionKey::generate(Kind::kP256).value();
  return kind == Kind::kRsa3072 ? kRsa : kEc;
}
ByteView bytes(std::string_view text) { return base::as_bytes(text); }

json header_of(const std::string& jwe) {
  const Bytes header = from_base64url(jwe.substr(0, jwe.find('.'))).value();
  return json::parse(header.begin(), header.end());
}
std::string with_header(const std::string& jwe, const json& header) {
  const std::string text = header.dump();
  return to_base64url(bytes(text)) + jwe.substr(jwe.find('.'));
}

class Jwe : public testing::TestWithParam<Kind> {};
INSTANTIATE_TEST_SUITE_P(Keys, Jwe, testing::Values(Kind::kRsa3072, Kind::kP256),
                         [](const auto& of) { return of.param == Kind::kRsa3072 ? "Rsa" : "Ec"; });

TEST_P(Jwe, brings_a_secret_to_its_key_and_to_no_other) {
  const DecryptionKey& key = key_of(GetParam());
  const DecryptionKey another = DecryptionKey::generate(GetParam()).value();
  for (const std::string& secret : {std::string("correct horse"), std::string(), std::string(kMaxSecretSize, 's')}) {
    const std::string jwe = encrypt_jwe(bytes(secret), key.public_key()).value();
    EXPECT_EQ(base::as_text(key.decrypt(jwe).value()), secret);
    auto other = another.decrypt(jwe);
    ASSERT_FALSE(other);
    EXPECT_EQ(other.error().kind(), ErrorKind::kMalformed);
  }
  EXPECT_FALSE(encrypt_jwe(Bytes(kMaxSecretSize + 1), key.public_key()));
}

TEST_P(Jwe, names_its_algorithms_and_the_key_that_it_is_for) {
  const DecryptionKey& key = key_of(GetParam());
  const json header = header_of(encrypt_jwe(bytes("s"), key.public_key()).value());
  EXPECT_EQ(header["alg"], GetParam() == Kind::kRsa3072 ? "RSA-OAEP-256" : "ECDH-ES");
  EXPECT_EQ(header["enc"], "A256GCM");
  EXPECT_EQ(header["kid"], key.public_key().thumbprint());
  EXPECT_FALSE(header.contains("zip"));
}

TEST_P(Jwe, is_another_one_each_time) {
  const DecryptionKey& key = key_of(GetParam());
  EXPECT_NE(encrypt_jwe(bytes("s"), key.public_key()).value(), encrypt_jwe(bytes("s"), key.public_key()).value());
}

TEST_P(Jwe, is_refused_when_any_character_was_changed_or_it_was_cut) {
  const DecryptionKey& key = key_of(GetParam());
  const std::string jwe = encrypt_jwe(bytes("secret"), key.public_key()).value();
  for (std::size_t at = 0; at < jwe.size(); at += GetParam() == Kind::kRsa3072 ? 23 : 1) {
    std::string changed = jwe;
    changed[at] = changed[at] == 'A' ? 'B' : 'A';
    EXPECT_FALSE(key.decrypt(changed)) << at;
    EXPECT_FALSE(key.decrypt(jwe.substr(0, at))) << at;
  }
}

TEST_P(Jwe, with_other_algorithms_or_anything_that_is_not_read_is_refused) {
  const DecryptionKey& key = key_of(GetParam());
  const std::string jwe = encrypt_jwe(bytes("secret"), key.public_key()).value();
  for (const auto& [name, value] : {std::pair<std::string, json>{"alg", "RSA1_5"},
                                    {"alg", "RSA-OAEP"},
                                    {"alg", "dir"},
                                    {"alg", "ECDH-ES+A256KW"},
                                    {"enc", "A128CBC-HS256"},
                                    {"enc", nullptr},
                                    {"zip", "DEF"},
                                    {"crit", json::array({"b64"})},
                                    {"apu", "QQ"},
                                    {"p2c", 1'000'000'000}}) {
    json header = header_of(jwe);
    header[name] = value;
    auto found = key.decrypt(with_header(jwe, header));
    ASSERT_FALSE(found) << name;
    EXPECT_THAT(found.error().message(), HasSubstr("header")) << name;
  }
}

TEST(JweOfEcdh, agrees_with_points_on_its_own_curve_alone) {
  const DecryptionKey& key = key_of(Kind::kP256);
  const std::string jwe = encrypt_jwe(bytes("secret"), key.public_key()).value();
  json header = header_of(jwe);
  const std::string x = header["epk"]["x"];
  for (const json& epk : {json(), json{{"kty", "EC"}}, json{{"kty", "EC"}, {"crv", "P-256"}, {"x", x}, {"y", x}},
                          json::parse(key_of(Kind::kRsa3072).public_key().jwk())}) {
    header["epk"] = epk;
    auto found = key.decrypt(with_header(jwe, header));
    ASSERT_FALSE(found) << epk;
    EXPECT_THAT(found.error().message(), HasSubstr("\"epk\"")) << epk;
  }
}

// RFC 7638, section 3.1.
constexpr char kRfc7638[] =
    R"({"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB"})";

TEST(Jwk, has_the_thumbprint_of_the_rfc) {
  json jwk = json::parse(kRfc7638);
  jwk["kid"] = "2011-04-29";
  jwk["alg"] = "RSA-OAEP-256";
  EXPECT_EQ(EncryptionKey::parse(jwk.dump()).value().thumbprint(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
}

TEST(Jwk, that_is_not_a_public_key_for_wrapping_is_refused) {
  const json rsa = json::parse(kRfc7638);
  const json ec = json::parse(key_of(Kind::kP256).public_key().jwk());
  const std::string n = rsa["n"], x = ec["x"];
  auto with = [](json key, const char* name, const json& value) {
    key[name] = value;
    return key;
  };
  struct Case {
    json jwk;
    const char* says;
  };
  for (const Case& c : {Case{with(rsa, "n", n.substr(0, 172)), "no modulus of 2048 to 4096 bits"},
                        {with(rsa, "n", "AA" + n.substr(2)), "no modulus"},
                        {with(rsa, "n", n + n + n), "no modulus"},
                        {with(rsa, "n", n + "="), "no modulus"},
                        {with(rsa, "n", n.substr(0, n.size() - 1) + "x"), "no modulus"},  // bits that are left over
                        {with(rsa, "n", std::string(341, '_') + "w"), "no public key"},
                        {with(rsa, "e", "Aw"), "not \"AQAB\""},
                        {with(rsa, "d", "AQAB"), "a private part"},
                        {with(rsa, "alg", "RSA1_5"), "\"alg\" is \"RSA1_5\""},
                        {with(rsa, "alg", "RSA-OAEP"), "\"alg\" is \"RSA-OAEP\""},
                        {with(rsa, "use", "sig"), "\"use\""},
                        {with(rsa, "use", 1), "\"use\""},
                        {with(rsa, "key_ops", {"verify"}), "\"key_ops\""},
                        {with(rsa, "kty", "oct"), "\"kty\""},
                        {with(ec, "crv", "secp256k1"), "\"crv\""},
                        {with(ec, "y", x), "no public key"},
                        {with(ec, "x", x + "AA"), "not 32 bytes"},
                        {with(ec, "d", x), "a private part"}}) {
    auto key = EncryptionKey::parse(c.jwk.dump());
    ASSERT_FALSE(key) << c.jwk;
    EXPECT_THAT(key.error().message(), HasSubstr(c.says)) << c.jwk;
  }
  EXPECT_FALSE(EncryptionKey::parse(R"({"kty":"EC","kty":"RSA"})")) << "a key twice";
  EXPECT_TRUE(EncryptionKey::parse(with(rsa, "key_ops", {"wrapKey"}).dump()));
}

TEST(Jwk, of_runtime_data_is_the_first_one_that_is_for_encryption) {
  json sign = json::parse(key_of(Kind::kP256).public_key().jwk()), encrypt = json::parse(kRfc7638);
  sign["use"] = "sig";
  encrypt["use"] = "enc";
  auto of = [](const json& keys) {
    return EncryptionKey::of_runtime_data(json{{"keys", keys}, {"nonce", "n"}}.dump());
  };
  EXPECT_EQ(of({sign, encrypt}).value().thumbprint(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
  EXPECT_FALSE(of({sign}));
  EXPECT_FALSE(of(json::array()));
  encrypt["alg"] = "RSA1_5";
  json good = json::parse(key_of(Kind::kP256).jwk());
  EXPECT_FALSE(of({encrypt, good})) << "the first one is not good, and a second one is not tried";
  EXPECT_FALSE(EncryptionKey::of_runtime_data("not JSON"));
  EXPECT_FALSE(EncryptionKey::of_runtime_data("{}"));
}

}  // namespace
}  // namespace enclayer::attest
