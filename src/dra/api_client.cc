// SPDX-License-Identifier: Apache-2.0
#include "dra/api_client.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/dns_name.h"
#include "base/json.h"
#include "base/malformed.h"
#include "base/printable.h"
#include "detect/node_metadata.h"
#include "detect/own_node.h"

namespace enclayer::dra {
namespace {

constexpr auto kClaims = "/apis/resource.k8s.io/v1/resourceclaims";
constexpr int kClaimsOnPage = 200;
constexpr base::JsonLimits kPageLimits{.size = ApiClient::kMostPage, .depth = 64, .values = 1 << 20};

const char* advice_for(unsigned status) {
  switch (status) {
    case 401: return "; the ServiceAccount's token is not accepted: is the account still there?";
    case 403: return "; the ServiceAccount lacks a right (docs/dra.md lists them)";
    default: return "";
  }
}

ErrorKind kind_for(unsigned status) {
  return status == 404 ? ErrorKind::kNotFound : status == 409 ? ErrorKind::kConflict : ErrorKind::kUnavailable;
}

http::Options options_for(std::chrono::milliseconds total, const std::string& who) {
  http::Options options;
  options.limits = detect::api_limits();
  options.limits.total = total;
  options.limits.request = std::min(options.limits.request, total);
  options.limits.max_body = ApiClient::kMostPage;
  options.user_agent = who;
  options.advice.connect = "does this pod reach the API server (network policy, kube-proxy)?";
  options.any_status = true;
  return options;
}

Result<std::string> body_of(const http::Response& answer, const std::string& asked) {
  const std::string_view text = base::as_text(answer.body);
  if (answer.status / 100 == 2) return std::string(text);
  return Error(
      kind_for(answer.status),
      asked + ": the API server answers with " + detect::refusal_of(answer.status, text) + advice_for(answer.status),
      answer.status);
}

}  // namespace

Result<ApiClient> ApiClient::open(const http::ApiServer& server, std::chrono::milliseconds total,
                                  const std::string& who) {
  ENCLAYER_TRY(http::AccountClient client, http::AccountClient::open(server.account, options_for(total, who)));
  return ApiClient(server.url, std::move(client));
}

Result<std::string> ApiClient::send(const std::string& method, const std::string& path, const std::string& body) {
  ENCLAYER_TRY(const http::Response answer,
               client_.send({url_ + path, method, {"Content-Type: application/json"}, body}));
  return body_of(answer, method + " " + path);
}

Result<std::string> ApiClient::claim(const ClaimName& name) {
  ENCLAYER_CHECK(check_name(name));
  return send("GET", "/apis/resource.k8s.io/v1/namespaces/" + name.name_space + "/resourceclaims/" + name.name);
}

Result<std::vector<std::string>> ApiClient::claims() {
  std::vector<std::string> all;
  ENCLAYER_CHECK(pages(kClaims, kClaimsOnPage, [&](const std::string& text) -> Result<> {
    auto json = nlohmann::json::parse(text);
    for (auto& item : json["items"]) {
      if (!item.is_object()) return base::malformed("a ResourceClaimList has an entry that is no object");
      item["kind"] = "ResourceClaim";  // which entries of a list do not say
      all.push_back(item.dump());
    }
    return {};
  }));
  return all;
}

Result<> ApiClient::pages(const std::string& path, int size,
                          const std::function<Result<>(const std::string& text)>& page) {
  std::string next;
  for (int number = 0; number < kMostPages; ++number) {
    ENCLAYER_TRY(const std::string text, send("GET", path + (path.find('?') == path.npos ? "?" : "&") +
                                                         "limit=" + std::to_string(size) + next));
    ENCLAYER_TRY(auto document, base::JsonDocument::parse(text, kPageLimits));
    ENCLAYER_CHECK(page(text));
    const std::string token = document.root()["metadata"]["continue"].text();
    if (token.empty()) return {};
    if (!std::all_of(token.begin(), token.end(),
                     [](unsigned char c) { return std::isalnum(c) || c == '-' || c == '_'; }))
      return base::malformed("a list of the API server continues at what is no token");
    next = "&continue=" + token;
  }
  return Error(ErrorKind::kExhausted, "GET " + path + ": the cluster has more of them than are read");
}

Result<> ApiClient::wait_for_change(const http::ApiServer& server, const std::string& path, const std::string& version,
                                    std::chrono::seconds patience, const std::string& who, int stop) {
  constexpr unsigned kGone = 410;
  constexpr std::chrono::seconds kLate(10);  // of an answer that should have ended
  http::Options options = options_for(patience + kLate, who);
  options.limits.request = options.limits.total;
  options.limits.stalled = patience + kLate;  // nothing comes as long as nothing happens
  options.limits.tries = 1;
  options.stop = stop;
  ENCLAYER_TRY(http::AccountClient client, http::AccountClient::open(server.account, std::move(options)));
  const std::string watch =
      path + "&watch=1&timeoutSeconds=" + std::to_string(patience.count()) + "&resourceVersion=" + version;
  ENCLAYER_TRY(const http::Response answer, client.send({server.url + watch, "GET", {}, {}, true}));
  if (answer.status == kGone) return {};
  ENCLAYER_CHECK(body_of(answer, "GET " + watch));
  return {};
}

Result<NodeFacts> read_node(ApiClient& api, const std::string& node) {
  if (!base::is_dns_name(node))
    return Error(ErrorKind::kInvalidArgument, "'" + base::printable(node, 253) + "' is no name of a node");
  ENCLAYER_TRY(const std::string text, api.send("GET", "/api/v1/nodes/" + node));
  ENCLAYER_TRY(auto document, base::JsonDocument::parse(text, kPageLimits));
  NodeFacts facts{document.root()["metadata"]["uid"].text(),
                  document.root()["status"]["nodeInfo"]["containerRuntimeVersion"].text()};
  if (facts.uid.empty()) return base::malformed("what the API server answered for node " + node + " is no node");
  return facts;
}

}  // namespace enclayer::dra
