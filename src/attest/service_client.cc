// SPDX-License-Identifier: Apache-2.0
#include "attest/service_client.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "attest/base64url.h"
#include "attest/release_secrets.h"
#include "base/bytes.h"
#include "base/digest.h"
#include "base/json.h"
#include "base/printable.h"
#include "http/client.h"

namespace enclayer::attest {
namespace {

using nlohmann::json;

// The text of one member of the answer.
Result<std::string> ask(http::Client& http, const http::Request& request, std::string_view member) {
  ENCLAYER_TRY(const http::Response response, http.send(request));
  auto answer = base::JsonDocument::parse(base::as_text(response.body), base::JsonLimits{});
  if (response.status != 200) {
    const std::string detail = answer ? answer->root()["detail"].text() : "";  // RFC 9457
    const bool denied = response.status == 401 || response.status == 403;
    const ErrorKind kind = denied                   ? ErrorKind::kPermissionDenied
                           : response.status == 400 ? ErrorKind::kInvalidArgument
                                                    : ErrorKind::kUnavailable;
    return Error(kind, request.url + " answers with status " + std::to_string(response.status) +
                           (detail.empty() ? "" : ": " + base::printable(detail, 500)));
  }
  const std::string text = answer ? answer->root()[member].text() : "";
  if (text.empty())
    return Error(ErrorKind::kMalformed,
                 request.url + " answers without \"" + std::string(member) + "\": is an attestation service there?");
  return text;
}

std::string without_slash(std::string url) {
  while (url.ends_with('/')) url.pop_back();
  return url;
}

// The members of a request that speak for that key, which is a JWK, and for `nonce` where there is one.
Result<json> evidence_of(const std::string& jwk, const std::string& nonce, const QuoteOf& quote) {
  json said = {{"keys", json::array({json::parse(jwk)})}};
  if (!nonce.empty()) said["nonce"] = nonce;
  const std::string runtime_data = said.dump(-1, ' ', false, json::error_handler_t::replace);
  ByteArray<64> report_data{};
  std::ranges::copy(base::sha256(base::as_bytes(runtime_data)), report_data.begin());
  ENCLAYER_TRY(const Bytes bytes, quote(report_data));
  return json{{"quote", to_base64url(bytes)}, {"runtime_data", to_base64url(base::as_bytes(runtime_data))}};
}

}  // namespace

Result<Token> request_token(http::Client& http, const std::string& url, const std::string& audience,
                            const QuoteOf& quote) {
  ENCLAYER_TRY(DecryptionKey key, DecryptionKey::generate(DecryptionKey::Kind::kP256));
  ENCLAYER_TRY(std::string token, request_token(http, url, audience, key.jwk(), quote));
  return Token{std::move(token), std::move(key)};
}

Result<std::string> request_token(http::Client& http, const std::string& url, const std::string& audience,
                                  const std::string& jwk, const QuoteOf& quote) {
  auto key = base::JsonDocument::parse(jwk, {.size = EncryptionKey::kMaxJsonSize, .depth = 4, .values = 64});
  if (!key || key->root()["kty"].text().empty())
    return Error(ErrorKind::kInvalidArgument, "the key is no JWK" + (key ? "" : ": " + key.error().message()));
  for (const char* secret : kPrivateMembers)
    if (key->root().has(secret))
      return Error(ErrorKind::kInvalidArgument, "the key is a private one, and would not be secret any more");
  const std::string service = without_slash(url);
  ENCLAYER_TRY(const std::string nonce, ask(http, {service + "/nonce", "GET", {}, {}}, "nonce"));
  ENCLAYER_TRY(json body, evidence_of(jwk, nonce, quote));
  body["audience"] = audience;
  return ask(http,
             {service + "/ear",
              "POST",
              {"Content-Type: application/json"},
              body.dump(-1, ' ', false, json::error_handler_t::replace)},
             "token");
}

Result<Bytes> request_secret(http::Client& http, const std::string& url, const std::string& name,
                             const std::string& bearer, const QuoteOf& quote) {
  if (!SecretFolder::is_name(name))
    return Error(ErrorKind::kInvalidArgument,
                 "\"" + base::printable(name, 64) + "\" is no name of a secret: letters, digits, '-', '_' and '.'");
  std::vector<std::string> headers = {"Content-Type: application/json"};
  if (!bearer.empty()) {
    auto in_token = [](char c) { return c > ' ' && c <= '~'; };
    if (!std::all_of(bearer.begin(), bearer.end(), in_token))
      return Error(ErrorKind::kInvalidArgument, "the ServiceAccount token has characters in it that no token has");
    headers.push_back("Authorization: Bearer " + bearer);
  }
  ENCLAYER_TRY(const DecryptionKey key, DecryptionKey::generate(DecryptionKey::Kind::kP256));
  ENCLAYER_TRY(const json body, evidence_of(key.jwk(), "", quote));
  ENCLAYER_TRY(const std::string jwe,
               ask(http, {without_slash(url) + "/release/" + name, "POST", headers, body.dump()}, "value"));
  return key.decrypt(jwe);
}

}  // namespace enclayer::attest
