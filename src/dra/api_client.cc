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
constexpr std::size_t kMostBody = 8 << 20;
constexpr int kMostPages = 1'000, kClaimsOnPage = 200;
constexpr base::JsonLimits kPageLimits{.size = kMostBody, .depth = 64, .values = 1 << 20};

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

}  // namespace

Result<ApiClient> ApiClient::open(const http::ApiServer& server, std::chrono::milliseconds total) {
  http::Options options;
  options.limits = detect::api_limits();
  options.limits.total = total;
  options.limits.request = std::min(options.limits.request, total);
  options.limits.max_body = kMostBody;
  options.user_agent = "enclayer-dra-driver";
  options.advice.connect = "does this pod reach the API server (network policy, kube-proxy)?";
  options.any_status = true;
  ENCLAYER_TRY(http::AccountClient client, http::AccountClient::open(server.account, std::move(options)));
  return ApiClient(server.url, std::move(client));
}

Result<std::string> ApiClient::send(const std::string& method, const std::string& path, const std::string& body) {
  ENCLAYER_TRY(const http::Response answer,
               client_.send({url_ + path, method, {"Content-Type: application/json"}, body}));
  const std::string_view text = base::as_text(answer.body);
  if (answer.status / 100 == 2) return std::string(text);
  std::string said = detect::status_message(text);
  if (!said.empty()) said = " (\"" + base::printable(said, 600) + "\")";
  return Error(kind_for(answer.status),
               method + " " + path + ": the API server answers with status " + std::to_string(answer.status) + said +
                   advice_for(answer.status),
               answer.status);
}

Result<std::string> ApiClient::claim(const ClaimName& name) {
  ENCLAYER_CHECK(check_name(name));
  return send("GET", "/apis/resource.k8s.io/v1/namespaces/" + name.name_space + "/resourceclaims/" + name.name);
}

Result<std::vector<std::string>> ApiClient::claims() {
  std::vector<std::string> all;
  std::string next;
  for (int page = 0; page < kMostPages; ++page) {
    ENCLAYER_TRY(const std::string text,
                 send("GET", std::string(kClaims) + "?limit=" + std::to_string(kClaimsOnPage) + next));
    ENCLAYER_TRY(auto document, base::JsonDocument::parse(text, kPageLimits));
    auto json = nlohmann::json::parse(text);
    for (auto& item : json["items"]) {
      if (!item.is_object()) return base::malformed("a ResourceClaimList has an entry that is no object");
      item["kind"] = "ResourceClaim";  // which entries of a list do not say
      all.push_back(item.dump());
    }
    const std::string token = document.root()["metadata"]["continue"].text();
    if (token.empty()) return all;
    if (!std::all_of(token.begin(), token.end(),
                     [](unsigned char c) { return std::isalnum(c) || c == '-' || c == '_'; }))
      return base::malformed("a ResourceClaimList continues at what is no token");
    next = "&continue=" + token;
  }
  return Error(ErrorKind::kExhausted, "the cluster has more ResourceClaims than are read");
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
