// SPDX-License-Identifier: Apache-2.0
#include "attest/vault_transit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/bytes.h"
#include "fake/http_service.h"
#include "fake/temp_folder.h"
#include "fake/vault.h"

namespace enclayer::attest {
namespace {

using fake::HttpAnswer;
using fake::HttpRequest;
using fake::HttpService;
using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

constexpr char kToken[] = "hvs.ours";

class VaultTransitTest : public testing::Test {
 protected:
  VaultTransitTest() { folder_.write("token", std::string(kToken) + "\n"); }

  VaultTransit::Options options(const std::string& url) const {
    return {.url = url, .key = "team/transit/attest", .token_file = folder_.path() / "token"};
  }
  // The secret, or kind and words of the error.
  std::string secret(const std::string& url, std::string_view name, const std::string& ciphertext) const {
    auto found = VaultTransit::open(options(url))->decrypt(name, base::as_bytes(ciphertext));
    return found ? std::string(base::as_text(*found))
                 : std::string(to_string(found.error().kind())) + ": " + found.error().message();
  }
  // With a service that answers always so.
  std::string answered(HttpAnswer answer) const {
    HttpService vault([&](const HttpRequest&) { return answer; });
    return secret(vault.url(), "db-password", "vault:v1:AAAA");
  }

  fake::TempFolder folder_;
};

TEST_F(VaultTransitTest, decrypts_by_the_key_that_is_named_with_our_token) {
  fake::Vault engine(kToken, "team/transit/attest");
  HttpRequest asked;
  HttpService vault([&](const HttpRequest& request) {
    asked = request;
    return engine.answer(request);
  });
  EXPECT_EQ(secret(vault.url() + "/", "db-password", fake::Vault::sealed("db-password", "open sesame") + "\n"),
            "open sesame");
  EXPECT_EQ(asked.method, "POST");
  EXPECT_EQ(asked.target, "/v1/team/transit/decrypt/attest");
  EXPECT_EQ(json::parse(asked.body).at("associated_data"), "ZGItcGFzc3dvcmQ=");
  EXPECT_THAT(asked.head, HasSubstr("X-Vault-Request: true"));
  EXPECT_THAT(asked.head, Not(HasSubstr("Transfer-Encoding")));
}

TEST_F(VaultTransitTest, takes_every_byte_and_the_largest_secret) {
  fake::Vault engine(kToken, "team/transit/attest");
  HttpService vault([&](const HttpRequest& request) { return engine.answer(request); });
  std::string large(kMaxSecretSize, '\0');
  for (std::size_t i = 0; i < large.size(); ++i) large[i] = static_cast<char>(i * 7);
  EXPECT_EQ(secret(vault.url(), "n", fake::Vault::sealed("n", large)), large);
  EXPECT_THAT(secret(vault.url(), "n", fake::Vault::sealed("n", large + "!")), HasSubstr("1 to 65536 bytes"));
}

TEST_F(VaultTransitTest, a_ciphertext_is_for_its_name_alone) {
  fake::Vault engine(kToken, "team/transit/attest");
  HttpService vault([&](const HttpRequest& request) { return engine.answer(request); });
  const std::string moved = secret(vault.url(), "for-anybody", fake::Vault::sealed("db-password", "open sesame"));
  EXPECT_THAT(moved, testing::StartsWith("malformed: "));
  EXPECT_THAT(moved, HasSubstr("message authentication failed"));
}

TEST_F(VaultTransitTest, asks_nobody_about_what_is_no_ciphertext) {
  HttpService vault([](const HttpRequest&) { return fake::http_answer(200, "{}"); });
  for (const char* text : {"", "open sesame", "vault:", "vault:v1:\"", "vault:v1:AA\nAA", " vault:v1:AA"})
    EXPECT_THAT(secret(vault.url(), "n", text), HasSubstr("is no ciphertext")) << text;
  EXPECT_TRUE(vault.requests().empty());
}

TEST_F(VaultTransitTest, whatever_is_no_secret_is_unavailable_and_says_what_to_do) {
  EXPECT_THAT(answered(fake::http_answer(403, R"({"errors":["permission denied"]})")),
              testing::AllOf(HasSubstr("unavailable: "), HasSubstr("permission denied"), HasSubstr("`update`")));
  EXPECT_THAT(answered(fake::http_answer(503, R"({"errors":["Vault is sealed"]})")), HasSubstr("Vault is sealed"));
  EXPECT_THAT(answered(fake::http_answer(404, R"({"errors":["no handler for route"]})")), HasSubstr("mounted"));
  const HttpAnswer strange[] = {
      fake::http_answer(200, "no JSON"),
      fake::http_answer(200, "{}"),
      fake::http_answer(200, R"({"data":{"plaintext":""}})"),
      fake::http_answer(200, R"({"data":{"plaintext":"no base64!"}})"),
      fake::http_answer(200, R"({"data":{"plaintext":1}})"),
      fake::http_answer(200, R"({"data":{"plaintext":"QQ==","plaintext":"Qg=="}})"),
      fake::http_answer(200, std::string(200 << 10, ' ')),
      fake::http_answer(204, ""),
      fake::http_answer(302, "", "Location: http://127.0.0.1/\r\n"),
      {"HTTP/1.1 200 OK\r\n", HttpAnswer::Then::kReset},
  };
  for (const HttpAnswer& answer : strange)
    EXPECT_THAT(answered(answer), testing::StartsWith("unavailable: ")) << answer.bytes.substr(0, 200);
}

TEST_F(VaultTransitTest, no_one_answers) {
  std::string nobody;
  {
    HttpService gone([](const HttpRequest&) { return fake::http_answer(200, "{}"); });
    nobody = gone.url();
  }
  EXPECT_THAT(secret(nobody, "n", "vault:v1:AAAA"), testing::StartsWith("unavailable: "));
}

TEST_F(VaultTransitTest, reads_the_token_for_each_secret_and_shows_it_to_nobody) {
  fake::Vault engine("hvs.renewed", "team/transit/attest");
  HttpService vault([&](const HttpRequest& request) { return engine.answer(request); });
  auto transit = VaultTransit::open(options(vault.url())).value();
  const std::string sealed = fake::Vault::sealed("n", "s");
  auto before = transit.decrypt("n", base::as_bytes(sealed));
  ASSERT_FALSE(before);
  EXPECT_EQ(before.error().kind(), ErrorKind::kUnavailable);
  EXPECT_THAT(before.error().message(), Not(HasSubstr(kToken)));
  folder_.write("token", "hvs.renewed");
  EXPECT_TRUE(transit.decrypt("n", base::as_bytes(sealed)));
  for (const char* token : {"", "\n", "two\nlines", "a b"}) {
    folder_.write("token", token);
    auto none = transit.decrypt("n", base::as_bytes(sealed));
    ASSERT_FALSE(none);
    EXPECT_EQ(none.error().kind(), ErrorKind::kUnavailable);
    EXPECT_THAT(none.error().message(), HasSubstr("holds no token"));
  }
}

TEST_F(VaultTransitTest, holds_up_no_second_thread_while_vault_is_slow) {
  fake::Vault engine(kToken, "team/transit/attest");
  std::mutex slow;
  std::unique_lock held(slow);
  std::promise<void> asked;
  HttpService vault([&](const HttpRequest& request) {
    asked.set_value();
    const std::lock_guard wait(slow);
    return engine.answer(request);
  });
  const auto transit = VaultTransit::open(options(vault.url())).value();
  const std::string sealed = fake::Vault::sealed("n", "s");
  bool first = false;
  std::thread other([&] { first = transit.decrypt("n", base::as_bytes(sealed)).has_value(); });
  asked.get_future().wait();
  auto second = transit.decrypt("n", base::as_bytes(sealed));
  held.unlock();
  other.join();
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind(), ErrorKind::kUnavailable);
  EXPECT_THAT(second.error().message(), HasSubstr("another secret"));
  EXPECT_TRUE(first);
}

TEST_F(VaultTransitTest, sends_its_token_over_no_network_in_the_clear) {
  for (const char* url : {"http://vault.example:8200", "vault.example", "ftp://vault.example", ""})
    EXPECT_EQ(VaultTransit::open(options(url)).error().kind(), ErrorKind::kInvalidArgument) << url;
  EXPECT_TRUE(VaultTransit::open(options("https://vault.example:8200")));
  EXPECT_TRUE(VaultTransit::open(options("http://[::1]:8200")));
  for (const char* key :
       {"", "attest", "/attest", "transit/", "transit//attest", "../sys/transit/attest", "transit/a?b"}) {
    auto bad = options("https://vault.example");
    bad.key = key;
    EXPECT_EQ(VaultTransit::open(bad).error().kind(), ErrorKind::kInvalidArgument) << key;
  }
}

}  // namespace
}  // namespace enclayer::attest
