// SPDX-License-Identifier: Apache-2.0
// An API server that knows one node and Events: it answers GET and merge patches of the node, and merge patches and POST
// of Events, as a real one does, over TLS, to whoever shows the token of the moment. A test can put answers of its own
// before the next ones.
//
//   fake::ApiServer api;
//   run({bin + "/enclayer", "detect", "--label-node", "n1", "--account-dir", api.account()}, 30s, api.environment());
//   EXPECT_EQ(api.labels()["enclayer.io/sgx"], "true");
#pragma once

#include <algorithm>
#include <deque>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "fake/http_service.h"
#include "fake/temp_folder.h"

namespace enclayer::fake {

class ApiServer {
 public:
  using Labels = std::map<std::string, std::string>;
  // The answer to one request; nullopt: as a real one would.
  using Hook = std::function<std::optional<HttpAnswer>(const HttpRequest&)>;

  explicit ApiServer(Labels labels = {{"kubernetes.io/os", "linux"}}) : labels_(std::move(labels)) {
    account_.write("token", token_ + "\n");
    account_.write("ca.crt", identity_.authority);
    service_.emplace([this](const HttpRequest& request) { return answer(request); }, identity_);
  }

  // What the kubelet gives a pod.
  std::filesystem::path account() const { return account_.path(); }
  std::map<std::string, std::string> environment() const {
    std::string address = service_->address();
    std::size_t colon = address.rfind(':');
    return {{"KUBERNETES_SERVICE_HOST", address.substr(0, colon)},
            {"KUBERNETES_SERVICE_PORT", address.substr(colon + 1)},
            {"https_proxy", "http://127.0.0.1:1"},  // not for the API server
            {"HTTPS_PROXY", "http://127.0.0.1:1"}};
  }
  std::string url() const { return service_->url(); }

  Labels labels() const {
    std::lock_guard lock(mutex_);
    return labels_;
  }
  std::map<std::string, nlohmann::json> events() const {  // by name
    std::lock_guard lock(mutex_);
    return events_;
  }
  // As somebody else does with kubectl.
  void set(const std::string& key, const std::optional<std::string>& value) {
    std::lock_guard lock(mutex_);
    change(key, value);
  }
  void set_runtime(const std::string& runtime) {
    std::lock_guard lock(mutex_);
    runtime_ = runtime;
  }
  // All requests for Events are answered with this status from now on; 0: as a real one would.
  void refuse_events(int status) {
    std::lock_guard lock(mutex_);
    events_refused_ = status;
  }
  void next(Hook hook) {
    std::lock_guard lock(mutex_);
    hooks_.push_back(std::move(hook));
  }
  void next(HttpAnswer answer) {
    next([answer = std::move(answer)](const HttpRequest&) { return std::optional(answer); });
  }
  // What tokens are from now on; the file still has the old one.
  void renew_token(const std::string& token) {
    std::lock_guard lock(mutex_);
    token_ = token;
  }
  void write_token() {
    std::lock_guard lock(mutex_);
    account_.write("token", token_);
  }

  // "GET", "PATCH", in their order.
  std::vector<std::string> methods() const {
    std::lock_guard lock(mutex_);
    return methods_;
  }
  std::size_t count(const std::string& method) const {
    auto all = methods();
    return static_cast<std::size_t>(std::count(all.begin(), all.end(), method));
  }
  // What a real one would not have accepted; empty.
  std::string broken() const {
    std::lock_guard lock(mutex_);
    return broken_;
  }

 private:
  using Json = nlohmann::json;

  static HttpAnswer status(int code, const std::string& message) {
    return http_answer(code,
                       Json{{"kind", "Status"}, {"apiVersion", "v1"}, {"message", message}, {"code", code}}.dump());
  }
  void change(const std::string& key, const std::optional<std::string>& value) {
    ++version_;
    if (value)
      labels_[key] = *value;
    else
      labels_.erase(key);
  }
  HttpAnswer object(bool whole = false) const {
    Json out = {{"kind", whole ? "Node" : "PartialObjectMetadata"},
                {"apiVersion", whole ? "v1" : "meta.k8s.io/v1"},
                {"metadata",
                 {{"name", "n1"}, {"uid", "u-1"}, {"resourceVersion", std::to_string(version_)}, {"labels", labels_}}}};
    if (whole && !runtime_.empty()) out["status"] = {{"nodeInfo", {{"containerRuntimeVersion", runtime_}}}};
    return http_answer(200, out.dump());
  }
  HttpAnswer answer(const HttpRequest& request) {
    std::unique_lock lock(mutex_);
    methods_.push_back(request.method);
    if (!hooks_.empty()) {
      Hook hook = std::move(hooks_.front());
      hooks_.pop_front();
      lock.unlock();
      if (auto own = hook(request)) return *own;
      lock.lock();
    }
    auto has = [&](const std::string& line) { return request.head.find("\r\n" + line + "\r\n") != std::string::npos; };
    if (!has("Authorization: Bearer " + token_)) return status(401, "Unauthorized");
    if (request.target.find("/events") != std::string::npos) return of_event(request, has);
    const bool whole = has("Accept: application/json");
    if (!whole && !has("Accept: application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1")) broken_ += "Accept; ";
    const std::string path = "/api/v1/nodes/n1";
    if (request.method == "GET" && request.target == path) return object(whole);
    if (request.method != "PATCH" || request.target != path + "?fieldManager=enclayer-detect")
      return status(404, "nodes \"" + request.target.substr(request.target.rfind('/') + 1) + "\" not found");
    if (!has("Content-Type: application/merge-patch+json")) broken_ += "Content-Type; ";
    Json patch = Json::parse(request.body, nullptr, false);
    if (!patch.is_object() || patch.size() != 1 || !patch.contains("metadata") || patch["metadata"].size() != 3)
      return status(400, "no patch of labels");
    if (patch["metadata"]["uid"] != "u-1" || patch["metadata"]["resourceVersion"] != std::to_string(version_))
      return status(409, "Operation cannot be fulfilled on nodes \"n1\": the object has been modified");
    for (const auto& [key, value] : patch["metadata"]["labels"].items()) {
      if (!key.starts_with("enclayer.io/") || key == "enclayer.io/sim") broken_ += "key " + key + "; ";
      change(key, value.is_null() ? std::nullopt : std::optional(value.get<std::string>()));
    }
    return object();
  }

  // A real one makes an Event in the namespace of its object, or in `default`, and patches none that is not there.
  HttpAnswer of_event(const HttpRequest& request, const std::function<bool(const std::string&)>& has) {
    const std::string begin = "/api/v1/namespaces/", end = "?fieldManager=enclayer-detect";
    const std::size_t events = request.target.find("/events");
    if (!request.target.starts_with(begin) || !request.target.ends_with(end)) return status(404, "no such path");
    const std::string space = request.target.substr(begin.size(), events - begin.size());
    const std::string rest = request.target.substr(events + 7, request.target.size() - end.size() - events - 7);
    const bool patches = request.method == "PATCH";
    if (!has(std::string("Content-Type: application/") + (patches ? "merge-patch+json" : "json")))
      broken_ += "Content-Type of an Event; ";
    Json sent = Json::parse(request.body, nullptr, false);
    if (events_refused_ != 0) return status(events_refused_, "not now");
    if (!sent.is_object()) return status(400, "no object");
    if (patches) {
      auto found = events_.find(rest.substr(std::min<std::size_t>(1, rest.size())));
      if (found == events_.end() || found->second["metadata"]["namespace"] != space) return status(404, "not found");
      found->second.merge_patch(sent);
      return http_answer(200, found->second.dump());
    }
    if (request.method != "POST" || !rest.empty()) return status(405, "not allowed");
    const Json& object = sent["involvedObject"];
    if (sent["metadata"]["namespace"] != space || object.value("namespace", "default") != space)
      return status(400, "involvedObject.namespace: Invalid value");
    const std::string name = sent["metadata"]["name"];
    if (events_.contains(name)) return status(409, "already exists");
    events_[name] = sent;
    return http_answer(201, sent.dump());
  }

  mutable std::mutex mutex_;
  Labels labels_;
  std::deque<Hook> hooks_;
  std::vector<std::string> methods_;
  std::map<std::string, Json> events_;
  std::string token_ = "first", broken_;
  std::string runtime_;  // of the node's status
  int version_ = 1, events_refused_ = 0;
  TempFolder account_;
  TlsIdentity identity_ = make_tls_identity();
  std::optional<HttpService> service_;
};

}  // namespace enclayer::fake
