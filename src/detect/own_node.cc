// SPDX-License-Identifier: Apache-2.0
#include "detect/own_node.h"

#include "base/bytes.h"
#include "base/container_runtime.h"
#include "base/dns_name.h"
#include "base/printable.h"
#include "detect/node_metadata.h"
#include "http/account_client.h"

namespace enclayer::detect {
namespace {

constexpr int kTries = 3;  // to read and change a node that others change too

// Of what a patch answers, metadata is all that we read; without the rest of the object it has some 10 KB.
constexpr auto kMetadataOnly = "Accept: application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
// In managedFields it is said that the labels are ours.
constexpr auto kFieldManager = "enclayer-detect";

std::string about_status(long status) {
  switch (status) {
    case 401: return "the ServiceAccount's token is not accepted; is the account still there?";
    case 403:
      return "the ServiceAccount may change its own node's labels only (deploy/manifests/detect/detect.yaml and "
             "detect-policy.yaml): does the pod run on this node, and is this Kubernetes 1.30 or later?";
    case 404: return "there is no such node; 'kubectl get nodes' lists the names";
    default: return {};
  }
}

http::Advice advice() {
  return {.status = about_status,
          .words = status_message,
          .connect = "does this pod reach the API server (network policy, kube-proxy)?",
          .authority = "the API server's certificate is not of the cluster's authority (ca.crt)",
          .ca_pem = "the ServiceAccount's ca.crt holds no certificates",
          .not_http = "is that the API server?"};
}

class NodeClient {
 public:
  NodeClient(const http::ApiServer& api, const std::string& name, http::AccountClient client)
      : url_(api.url + "/api/v1/nodes/" + name), client_(std::move(client)) {}

  Result<NodeMetadata> read() { return send({url_, "GET", {"Accept: application/json"}, {}}); }
  Result<NodeMetadata> patch(std::string merge_patch) {
    return send({url_ + "?fieldManager=" + kFieldManager,
                 "PATCH",
                 {kMetadataOnly, "Content-Type: application/merge-patch+json"},
                 std::move(merge_patch)});
  }

 private:
  Result<NodeMetadata> send(const http::Request& request) {
    ENCLAYER_TRY(const http::Response answer, client_.send(request));
    auto node = parse_node_metadata(base::as_text(answer.body));
    return node ? node : node.error().with_context(request.method + " " + url_);
  }

  std::string url_;
  http::AccountClient client_;
};

// What a patch changes, by key.
Labelled changes(const NodeMetadata& before, const NodeMetadata& after) {
  Labelled out;
  for (std::string_view name : own_labels()) {
    const std::string key(name);
    bool was = before.labels.contains(key), is = after.labels.contains(key);
    if (was && !is) out.removed.push_back(key);
    if (is && (!was || before.labels.at(key) != after.labels.at(key))) out.set.push_back(key);
  }
  return out;
}

}  // namespace

http::Limits api_limits() {
  http::Limits limits;
  limits.connect = std::chrono::seconds(5);
  limits.request = std::chrono::seconds(10);
  limits.total = std::chrono::seconds(40);
  limits.max_body = 1 << 20;  // annotations alone may have 256 KiB, and managedFields names each of them again
  return limits;
}

Result<Labelled> label_node(const http::ApiServer& api, const std::string& name, const Labels& wanted,
                            http::Options options) {
  if (!base::is_dns_name(name))
    return Error(ErrorKind::kInvalidArgument, "\"" + base::printable(name, 253) + "\" is no name of a node");
  options.advice = advice();
  ENCLAYER_TRY(http::AccountClient account, http::AccountClient::open(api.account, std::move(options)));
  NodeClient client(api, name, std::move(account));

  auto platform = wanted.find(std::string(kPlatformLabel));
  bool simulated = platform != wanted.end() && platform->second == "sim";
  for (int number = 1;; ++number) {
    ENCLAYER_TRY(NodeMetadata before, client.read());
    auto sim = before.labels.find(std::string(kSimLabel));
    bool taken_out = simulated && (sim == before.labels.end() || sim->second != "true");
    Labels right = taken_out ? Labels() : wanted;
    if (!right.empty() && !before.runtime.empty() && !base::why_no_cdi(before.runtime).empty())
      right[std::string(kCdiLabel)] = "false";
    std::string patch = label_patch(before, right);
    if (patch.empty()) return Labelled{{}, {}, taken_out};
    auto after = client.patch(std::move(patch));
    if (!after && after.error().kind() == ErrorKind::kConflict && number < kTries) continue;
    if (!after) return after.error();
    if (!label_patch(*after, right).empty())
      return Error(ErrorKind::kConflict,
                   "the API server took our labels of node " + name + " and kept others; does a webhook change them?");
    Labelled out = changes(before, *after);
    out.taken_out = taken_out;
    return out;
  }
}

}  // namespace enclayer::detect
