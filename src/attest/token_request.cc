// SPDX-License-Identifier: Apache-2.0
#include "attest/token_request.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "attest/base64url.h"
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
    const ErrorKind kind = response.status == 403   ? ErrorKind::kPermissionDenied
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

}  // namespace

Result<Token> request_token(http::Client& http, const TokenRequest& request) {
  std::string url = request.url;
  while (url.ends_with('/')) url.pop_back();
  ENCLAYER_TRY(const std::string nonce, ask(http, {url + "/nonce", "GET", {}, {}}, "nonce"));

  ENCLAYER_TRY(DecryptionKey key, DecryptionKey::generate(DecryptionKey::Kind::kP256));
  const std::string runtime_data = json{{"keys", json::array({json::parse(key.jwk())})}, {"nonce", nonce}}.dump(
      -1, ' ', false, json::error_handler_t::replace);
  ByteArray<64> report_data{};
  std::ranges::copy(base::sha256(base::as_bytes(runtime_data)), report_data.begin());
  ENCLAYER_TRY(const Bytes quote, request.quote(report_data));

  const json body = {{"audience", request.audience},
                     {"quote", to_base64url(quote)},
                     {"runtime_data", to_base64url(base::as_bytes(runtime_data))}};
  ENCLAYER_TRY(std::string token,
               ask(http, {url + "/ear", "POST", {"Content-Type: application/json"}, body.dump()}, "token"));
  return Token{std::move(token), std::move(key)};
}

}  // namespace enclayer::attest
