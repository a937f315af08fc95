// SPDX-License-Identifier: Apache-2.0
#include "attest/callers.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/json.h"
#include "base/printable.h"
#include "http/account_client.h"

namespace enclayer::attest {
namespace {

using nlohmann::ordered_json;

constexpr std::string_view kBearer = "Bearer ";
constexpr std::size_t kMaxToken = 8 << 10;  // bytes; a ServiceAccount's has 1 to 2 KB
constexpr std::uint32_t kUnauthorized = 401, kForbidden = 403;

Error denied(std::uint32_t status, std::string why) { return {ErrorKind::kPermissionDenied, std::move(why), status}; }

bool among(const std::vector<std::string>& list, const std::string& name) {
  return std::find(list.begin(), list.end(), name) != list.end();
}

}  // namespace

Result<std::string> Callers::account_of(std::string_view token) const {
  const bool plain = std::all_of(token.begin(), token.end(), [](char c) { return c > ' ' && c <= '~'; });
  if (token.empty() || token.size() > kMaxToken || !plain) return denied(kUnauthorized, "that is no bearer token");
  const std::unique_lock only_one(*asking_, std::try_to_lock);
  if (!only_one)
    return Error(ErrorKind::kUnavailable, "the API server is being asked about another caller; try again in a moment");
  http::Options options;
  options.limits.connect = std::chrono::seconds(2);
  options.limits.request = options.limits.total = std::chrono::seconds(5);
  options.limits.tries = 2;
  options.any_status = true;  // a review is created, which is 201
  ENCLAYER_TRY(auto api, http::AccountClient::open(options_.account, std::move(options)));
  const ordered_json review = {{"apiVersion", "authentication.k8s.io/v1"},
                               {"kind", "TokenReview"},
                               {"spec", {{"token", token}, {"audiences", {options_.audience}}}}};
  auto answer = api.send({options_.api_server + "/apis/authentication.k8s.io/v1/tokenreviews",
                          "POST",
                          {"Content-Type: application/json"},
                          review.dump()});
  if (!answer || answer->status / 100 != 2)
    return Error(ErrorKind::kUnavailable, "the API server does not say who is calling: " +
                                              (answer ? "status " + std::to_string(answer->status) +
                                                            " for a TokenReview; does our ServiceAccount "
                                                            "have the right (ClusterRole system:auth-delegator)?"
                                                      : answer.error().message()));
  ENCLAYER_TRY(const auto document, base::JsonDocument::parse(base::as_text(answer->body)));
  const auto status = document.root()["status"];
  bool ours = false;  // an API server that does not know audiences would name none
  for (const auto& [key, audience] : status["audiences"].entries()) ours = ours || audience.text() == options_.audience;
  if (!status["authenticated"].truth() || !ours)
    return denied(kUnauthorized, "the API server does not know this token for the audience " + options_.audience);
  return status["user"]["username"].text();
}

Result<std::string> Callers::caller_of(const http::Incoming& request) const {
  if (!request.client.empty() && among(options_.subjects, request.client)) return request.client;
  if (!options_.accounts.empty() && request.authorization.starts_with(kBearer)) {
    ENCLAYER_TRY(const std::string account, account_of(std::string_view(request.authorization).substr(kBearer.size())));
    if (among(options_.accounts, account)) return account;
    return denied(kForbidden, base::printable(account, 128) + " may not ask for secrets here");
  }
  if (!request.client.empty()) return denied(kForbidden, request.client + " may not ask for secrets here");
  return denied(kUnauthorized, "who asks for a secret has to say who he is: a client certificate, or a bearer token");
}

}  // namespace enclayer::attest
