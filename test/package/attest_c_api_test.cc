// SPDX-License-Identifier: Apache-2.0
// include/enclayer/attest.h, every way to misuse it, and a service that is none. What it does with a real one:
// test/integration/attest_request_test.cc, from C.
#include "enclayer/attest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string>

#include "attest/base64url.h"
#include "attest/jwe.h"
#include "base/bytes.h"
#include "fake/http_service.h"

namespace enclayer {
namespace {

using fake::HttpAnswer;
using fake::HttpRequest;
using fake::HttpService;
using nlohmann::json;
using testing::HasSubstr;

constexpr char kJwk[] = R"({"kty":"EC","crv":"P-256","x":"eA","y":"eQ"})";

struct Quotes {
  int calls = 0, result = 0;
  std::size_t size = 3;
  std::array<std::uint8_t, 64> report_data{};
};

int make_quote(void* context, const std::uint8_t report_data[64], std::uint8_t* quote, std::size_t* size) {
  auto& quotes = *static_cast<Quotes*>(context);
  ++quotes.calls;
  std::copy_n(report_data, 64, quotes.report_data.begin());
  if (*size != ENCLAYER_ATTEST_MAX_QUOTE) return 99;
  std::ranges::copy(base::as_bytes("abc"), quote);
  *size = quotes.size;
  return quotes.result;
}

// As release_door.h answers, whatever the quote.
HttpAnswer releasing(const HttpRequest& request, const std::string& secret) {
  const auto data = attest::from_base64url(json::parse(request.body).at("runtime_data").get<std::string>()).value();
  const auto key = attest::EncryptionKey::of_runtime_data(base::as_text(data)).value();
  return fake::http_answer(200, json{{"value", attest::encrypt_jwe(base::as_bytes(secret), key).value()}}.dump());
}

// As rats_door.h answers.
HttpAnswer giving_tokens(const HttpRequest& request) {
  return fake::http_answer(200,
                           request.target == "/nonce" ? R"({"nonce":"n","expires_in":300})" : R"({"token":"a.b.c"})");
}

class AttestFromC : public testing::Test {
 protected:
  enclayer_attest_service service_of(const std::string& url) {
    url_ = url;
    enclayer_attest_service out{};
    out.struct_size = sizeof out;
    out.url = url_.c_str();
    out.timeout_seconds = 1;
    out.make_quote = make_quote;
    out.context = &quotes_;
    return out;
  }
  int secret(const enclayer_attest_service& service, std::size_t room = ENCLAYER_ATTEST_MAX_SECRET) {
    size_ = room;
    return enclayer_attest_secret(&service, "db-password", bytes_.data(), &size_, why_.data(), why_.size());
  }
  int token(const enclayer_attest_service& service, const char* jwk = nullptr, std::size_t room = 64) {
    size_ = room;
    return enclayer_attest_token(&service, "vault", jwk, reinterpret_cast<char*>(bytes_.data()), &size_, why_.data(),
                                 why_.size());
  }
  std::string why() const { return why_.data(); }

  Quotes quotes_;
  std::string url_;
  std::vector<std::uint8_t> bytes_ = std::vector<std::uint8_t>(ENCLAYER_ATTEST_MAX_SECRET);
  std::size_t size_ = 0;
  std::array<char, 256> why_{};
};

TEST_F(AttestFromC, gets_a_secret_into_the_callers_memory) {
  HttpRequest asked;
  HttpService attest([&](const HttpRequest& request) { return releasing(asked = request, "open sesame"); });
  auto service = service_of(attest.url());
  service.bearer_token = "ours";
  ASSERT_EQ(secret(service), ENCLAYER_ATTEST_OK) << why();
  EXPECT_EQ(base::as_text({bytes_.data(), size_}), "open sesame");
  EXPECT_EQ(why(), "");
  EXPECT_EQ(quotes_.calls, 1);
  EXPECT_EQ(asked.target, "/release/db-password");
  EXPECT_THAT(asked.head, HasSubstr("\r\nAuthorization: Bearer ours\r\n"));
  EXPECT_EQ(json::parse(asked.body).at("quote"), attest::to_base64url(base::as_bytes("abc")));
  EXPECT_THAT(std::vector<int>(quotes_.report_data.begin() + 32, quotes_.report_data.end()), testing::Each(0));
}

TEST_F(AttestFromC, writes_nothing_where_there_is_no_room) {
  HttpService attest([](const HttpRequest& request) { return releasing(request, "open sesame"); });
  EXPECT_EQ(secret(service_of(attest.url()), 10), ENCLAYER_ATTEST_NO_ROOM);
  EXPECT_EQ(size_, 11u);
  EXPECT_THAT(bytes_, testing::Each(0));
  EXPECT_EQ(secret(service_of(attest.url()), 11), ENCLAYER_ATTEST_OK);
}

TEST_F(AttestFromC, gets_a_token_with_a_nul_at_its_end_for_the_callers_key) {
  std::string body;
  HttpService attest([&](const HttpRequest& request) {
    body = request.body;
    return giving_tokens(request);
  });
  bytes_.assign(bytes_.size(), 0xff);
  ASSERT_EQ(token(service_of(attest.url()), kJwk), ENCLAYER_ATTEST_OK) << why();
  EXPECT_STREQ(reinterpret_cast<const char*>(bytes_.data()), "a.b.c");
  EXPECT_EQ(size_, 5u);
  const auto data = attest::from_base64url(json::parse(body).at("runtime_data").get<std::string>()).value();
  EXPECT_EQ(json::parse(base::as_text(data)), (json{{"keys", {json::parse(kJwk)}}, {"nonce", "n"}}));
  EXPECT_EQ(token(service_of(attest.url()), kJwk, 5), ENCLAYER_ATTEST_NO_ROOM);
  EXPECT_EQ(size_, 6u);
  EXPECT_EQ(token(service_of(attest.url())), ENCLAYER_ATTEST_OK);
}

TEST_F(AttestFromC, refuses_what_makes_no_sense_before_anybody_is_asked) {
  HttpService attest(giving_tokens);
  const auto good = service_of(attest.url());
  auto refused = [&](auto change) {
    auto service = good;
    change(service);
    return secret(service) == ENCLAYER_ATTEST_INVALID_ARGUMENT && !why().empty();
  };
  EXPECT_TRUE(refused([](auto& it) { it.struct_size = 8; }));
  EXPECT_TRUE(refused([](auto& it) { it.url = nullptr; }));
  EXPECT_TRUE(refused([](auto& it) { it.url = "attest.example"; }));
  EXPECT_TRUE(refused([](auto& it) { it.make_quote = nullptr; }));
  EXPECT_TRUE(refused([](auto& it) { it.certificate = "a"; }));
  EXPECT_TRUE(refused([](auto& it) { it.bearer_token = "a\nb"; }));
  size_ = 1;
  EXPECT_EQ(enclayer_attest_secret(nullptr, "n", bytes_.data(), &size_, nullptr, 0), ENCLAYER_ATTEST_INVALID_ARGUMENT);
  EXPECT_EQ(enclayer_attest_secret(&good, nullptr, bytes_.data(), &size_, nullptr, 0),
            ENCLAYER_ATTEST_INVALID_ARGUMENT);
  EXPECT_EQ(enclayer_attest_secret(&good, "../n", bytes_.data(), &size_, nullptr, 0), ENCLAYER_ATTEST_INVALID_ARGUMENT);
  EXPECT_EQ(enclayer_attest_secret(&good, "n", nullptr, &size_, nullptr, 0), ENCLAYER_ATTEST_INVALID_ARGUMENT);
  EXPECT_EQ(enclayer_attest_secret(&good, "n", bytes_.data(), nullptr, nullptr, 0), ENCLAYER_ATTEST_INVALID_ARGUMENT);
  EXPECT_EQ(enclayer_attest_token(&good, nullptr, nullptr, nullptr, &size_, nullptr, 0),
            ENCLAYER_ATTEST_INVALID_ARGUMENT);
  for (const char* jwk : {"", "{}", "[]", "{\"kty\":\"EC\",\"d\":\"AA\"}", "{\"kty\":\"EC\",\"kty\":\"RSA\"}"})
    EXPECT_EQ(token(good, jwk), ENCLAYER_ATTEST_INVALID_ARGUMENT) << jwk;
  EXPECT_EQ(quotes_.calls, 0);
  EXPECT_TRUE(attest.requests().empty());
}

TEST_F(AttestFromC, says_whose_fault_it_is) {
  HttpAnswer answer = fake::http_answer(403, R"({"detail":"not this enclave"})");
  HttpService attest([&](const HttpRequest&) { return answer; });
  const auto service = service_of(attest.url());
  EXPECT_EQ(secret(service), ENCLAYER_ATTEST_REFUSED);
  EXPECT_THAT(why(), HasSubstr("not this enclave"));
  answer = fake::http_answer(200, "<html>");
  EXPECT_EQ(secret(service), ENCLAYER_ATTEST_MALFORMED);
  answer = fake::http_answer(503, "");
  EXPECT_EQ(secret(service), ENCLAYER_ATTEST_UNAVAILABLE);
  answer = {"", HttpAnswer::Then::kHang};
  EXPECT_EQ(secret(service), ENCLAYER_ATTEST_UNAVAILABLE);
  quotes_.result = 7;
  EXPECT_EQ(secret(service), ENCLAYER_ATTEST_NO_QUOTE);
  EXPECT_THAT(why(), HasSubstr("returned 7"));
  quotes_ = {};
  for (const std::size_t size : {std::size_t{0}, std::size_t{ENCLAYER_ATTEST_MAX_QUOTE + 1}}) {
    quotes_.size = size;
    EXPECT_EQ(secret(service), ENCLAYER_ATTEST_NO_QUOTE) << size;
  }
  std::array<char, 8> cut{};
  size_ = 1;
  enclayer_attest_secret(&service, "n", bytes_.data(), &size_, cut.data(), cut.size());
  EXPECT_EQ(std::strlen(cut.data()), 7u);
}

TEST_F(AttestFromC, goes_through_a_proxy) {
  HttpService proxy(giving_tokens);
  auto service = service_of("http://attest.example");
  const std::string url = proxy.url();
  service.proxy = url.c_str();
  EXPECT_EQ(token(service), ENCLAYER_ATTEST_MALFORMED) << "it answers absolute targets as if they were all tokens";
  EXPECT_EQ(proxy.requests().front(), "http://attest.example/nonce");
}

}  // namespace
}  // namespace enclayer
