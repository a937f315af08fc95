// SPDX-License-Identifier: Apache-2.0
// Another implementation of JOSE, latchset's libjose, opens what we seal and seals what we open. Of RSA keys it has only
// RSA1_5 with OpenSSL 3 (version 11, Debian 12: encryption and decryption by RSA-OAEP fail), which nobody should take.
#include <gtest/gtest.h>

extern "C" {
#include <jose/jose.h>
}

#include <array>
#include <cstdlib>
#include <memory>

#include "attest/base64url.h"
#include "attest/jwe.h"
#include "base/bytes.h"

namespace enclayer::attest {
namespace {

struct Release {
  void operator()(json_t* it) const { json_decref(it); }
};
using Json = std::unique_ptr<json_t, Release>;

Json parse(const std::string& text) { return Json(json_loads(text.c_str(), 0, nullptr)); }
std::string dump(const json_t* it) {
  std::unique_ptr<char, decltype(&std::free)> text(json_dumps(it, JSON_SORT_KEYS), std::free);
  return text.get();
}

class JweWitness : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Keys, JweWitness,
                         testing::Values(R"({"kty":"EC","crv":"P-256"})", R"({"kty":"EC","crv":"P-384"})"));

TEST_P(JweWitness, opens_what_we_seal) {
  Json key = parse(GetParam());
  ASSERT_TRUE(jose_jwk_gen(nullptr, key.get()));
  Json pub(json_deep_copy(key.get()));
  ASSERT_TRUE(jose_jwk_pub(nullptr, pub.get()));
  json_object_del(pub.get(), "key_ops");
  const auto ours = EncryptionKey::parse(dump(pub.get()));
  ASSERT_TRUE(ours) << ours.error().message();
  Json thumbprint(jose_jwk_thp(nullptr, pub.get(), "S256"));
  EXPECT_EQ(ours->thumbprint(), json_string_value(thumbprint.get()));

  const std::string jwe = encrypt_jwe(base::as_bytes("a secret"), *ours).value();
  Json object(json_object());
  std::size_t begin = 0;
  for (const char* part : {"protected", "encrypted_key", "iv", "ciphertext", "tag"}) {
    const std::size_t end = std::min(jwe.find('.', begin), jwe.size());
    if (end > begin) json_object_set_new(object.get(), part, json_string(jwe.substr(begin, end - begin).c_str()));
    begin = end + 1;
  }
  std::size_t size = 0;
  std::unique_ptr<void, decltype(&std::free)> found(jose_jwe_dec(nullptr, object.get(), nullptr, key.get(), &size),
                                                    std::free);
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(std::string(static_cast<const char*>(found.get()), size), "a secret");
}

TEST(JweWitnessOfOurs, seals_what_we_open) {
  const DecryptionKey key = DecryptionKey::generate(DecryptionKey::Kind::kP256).value();
  Json jwk = parse(key.public_key().jwk());
  Json jwe =
      parse("{\"protected\":{\"alg\":\"" + std::string(key.public_key().algorithm()) + "\",\"enc\":\"A256GCM\"}}");
  Json recipient(json_object()), content(json_object());
  ASSERT_TRUE(jose_jwe_enc_jwk(nullptr, jwe.get(), recipient.get(), jwk.get(), content.get()));
  // It puts epk into the unprotected header, which the compact form does not have.
  if (json_t* epk = json_object_get(json_object_get(recipient.get(), "header"), "epk"))
    json_object_set(json_object_get(jwe.get(), "protected"), "epk", epk);
  json_object_del(recipient.get(), "header");
  ASSERT_TRUE(jose_jwe_enc_cek(nullptr, jwe.get(), content.get(), "a secret", 8));
  json_object_update(jwe.get(), recipient.get());
  std::string compact;
  for (const char* part : {"protected", "encrypted_key", "iv", "ciphertext", "tag"}) {
    const char* text = json_string_value(json_object_get(jwe.get(), part));
    compact += (part == std::string_view("protected") ? "" : ".") + std::string(text == nullptr ? "" : text);
  }
  auto secret = key.decrypt(compact);
  ASSERT_TRUE(secret) << secret.error().message() << "\n" << dump(jwe.get());
  EXPECT_EQ(base::as_text(*secret), "a secret");
}

}  // namespace
}  // namespace enclayer::attest
