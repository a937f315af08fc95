// SPDX-License-Identifier: Apache-2.0
// An API server that knows pods with claims of EPC, ResourceClaimTemplates and claims made of them: it answers as a real
// one does (1.36), over TLS, to whoever shows the token, in pages as they are asked for.
#pragma once

#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>

#include "fake/http_service.h"
#include "fake/temp_folder.h"

namespace enclayer::fake {

class TemplateApiServer {
 public:
  using Json = nlohmann::json;
  using Templates = std::map<std::string, Json>;  // by "namespace/name"

  TemplateApiServer() {
    account_.write("token", "secret\n");
    account_.write("ca.crt", identity_.authority);
    service_.emplace([this](const HttpRequest& request) { return answer(request); }, identity_);
  }

  std::filesystem::path account() const { return account_.path(); }
  std::string url() const { return service_->url(); }
  std::map<std::string, std::string> environment() const {
    const std::string address = service_->address();
    const std::size_t colon = address.rfind(':');
    return {{"KUBERNETES_SERVICE_HOST", address.substr(0, colon)},
            {"KUBERNETES_SERVICE_PORT", address.substr(colon + 1)}};
  }

  // A pod as admission leaves it, on no node.
  static Json pod(const std::string& name_space, const std::string& name, const std::string& from) {
    return {{"metadata", {{"namespace", name_space}, {"name", name}}},
            {"spec", {{"resourceClaims", {{{"name", "epc-web"}, {"resourceClaimTemplateName", from}}}}}}};
  }

  // --- What a test does to it ---

  void put_pod(const Json& pod) {
    change([&] { pods_[key(pod)] = pod; });
  }
  void schedule(const std::string& pod) {
    change([&] { pods_.erase(pod); });  // it is asked for pods on no node
  }
  void put_template(const Json& object) {
    change([&] { templates_[key(object)] = object; });
  }
  // As the control plane makes one of a template, and removes it with its pod.
  void claim_of(const std::string& name_space, const std::string& from, bool there = true) {
    change([&] {
      if (there)
        claims_.insert(name_space + "/" + from);
      else
        claims_.erase(name_space + "/" + from);
    });
  }
  void refuse(const std::string& name_space) {
    change([&] { refused_ = name_space; });
  }
  void go_away(bool away) {
    change([&] { away_ = away; });
  }

  // --- What came of it ---

  Templates templates() const {
    std::lock_guard lock(mutex_);
    return templates_;
  }
  bool wait_for(const std::function<bool(const Templates&)>& enough, std::chrono::milliseconds timeout) const {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, timeout, [&] { return enough(templates_); });
  }
  unsigned writes() const {
    std::lock_guard lock(mutex_);
    return writes_;
  }
  bool is_watched() const {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(60), [&] { return watched_; });
  }
  // What a real one would not have accepted, or nobody should ask; empty.
  std::string broken() const {
    std::lock_guard lock(mutex_);
    return broken_;
  }

 private:
  static std::string key(const Json& object) {
    return object["metadata"].value("namespace", "") + "/" + object["metadata"].value("name", "");
  }
  void change(const std::function<void()>& how) {
    std::lock_guard lock(mutex_);
    how();
    ++version_;
    changed_.notify_all();
  }
  static HttpAnswer object(const Json& json, int status = 200) { return http_answer(status, json.dump()); }
  static HttpAnswer status(int code, const std::string& message) {
    return object({{"kind", "Status"}, {"apiVersion", "v1"}, {"message", message}, {"code", code}}, code);
  }
  // "5" of "...&limit=5&..."
  static std::string parameter(const std::string& target, const std::string& name) {
    const auto at = target.find(name + "=");
    if (at == target.npos) return "";
    return target.substr(at + name.size() + 1, target.find('&', at) - at - name.size() - 1);
  }

  HttpAnswer list(const std::map<std::string, Json>& all, const std::string& target) const {
    const std::size_t limit = std::stoul(parameter(target, "limit"));
    const std::string from = parameter(target, "continue");
    std::size_t at = from.empty() ? 0 : std::stoul(from);
    Json out = {{"metadata", {{"resourceVersion", std::to_string(version_)}}}, {"items", Json::array()}};
    auto one = all.begin();
    for (std::advance(one, std::min(at, all.size())); one != all.end() && out["items"].size() < limit; ++one, ++at)
      out["items"].push_back(one->second);
    if (one != all.end()) out["metadata"]["continue"] = std::to_string(at);
    return object(out);
  }

  HttpAnswer answer(const HttpRequest& request) {
    std::unique_lock lock(mutex_);
    if (away_) return {"", HttpAnswer::Then::kReset};
    if (request.head.find("\r\nAuthorization: Bearer secret\r\n") == std::string::npos)
      return status(401, "Unauthorized");
    const std::string& target = request.target;
    const std::string group = "/apis/resource.k8s.io/v1/";
    if (target.starts_with("/api/v1/pods?labelSelector=enclayer.io%2Fepc-claims&fieldSelector=spec.nodeName%3D&")) {
      if (target.find("watch=1") == target.npos) return list(pods_, target);
      const std::string since = parameter(target, "resourceVersion");
      watched_ = true;
      changed_.notify_all();
      // One event, and then nothing, as long as the watch lasts.
      changed_.wait_for(lock, std::chrono::milliseconds(500), [&] { return std::to_string(version_) != since; });
      if (std::to_string(version_) == since) return http_answer(200, "");
      return {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n12\r\n{\"type\":\"ADDED\"}\n\r\n",
              HttpAnswer::Then::kHang};
    }
    if (target.starts_with(group + "resourceclaimtemplates?labelSelector=app.kubernetes.io%2Fcomponent%3Dclaim-"
                                   "templates%2Capp.kubernetes.io%2Fmanaged-by%3Denclayer&")) {
      std::map<std::string, Json> ours;
      for (const auto& [name, one] : templates_)
        if (one["metadata"].contains("labels") &&
            one["metadata"]["labels"].value("app.kubernetes.io/component", "") == "claim-templates")
          ours[name] = one;
      return list(ours, target);
    }
    const std::string namespaces = group + "namespaces/";
    if (!target.starts_with(namespaces)) return nobody_asks(request);
    const std::string name_space =
        target.substr(namespaces.size(), target.find('/', namespaces.size()) - namespaces.size());
    const std::string rest = target.substr(namespaces.size() + name_space.size());
    const std::string of = "/resourceclaims?limit=1&labelSelector=enclayer.io%2Fepc-template%3D";
    if (request.method == "GET" && rest.starts_with(of)) {
      Json out = {{"items", Json::array()}};
      if (claims_.contains(name_space + "/" + rest.substr(of.size()))) out["items"].push_back(Json::object());
      return object(out);
    }
    const std::string of_templates = "/resourceclaimtemplates";
    if (request.method == "POST" && rest == of_templates) {
      ++writes_;
      if (name_space == refused_) return status(403, "exceeded quota");
      const Json one = Json::parse(request.body, nullptr, false);
      if (!one.is_object() || one.value("kind", "") != "ResourceClaimTemplate" ||
          key(one).rfind(name_space + "/", 0) != 0)
        return nobody_asks(request);
      if (templates_.contains(key(one))) return status(409, key(one) + " already exists");
      templates_[key(one)] = one;
      changed_.notify_all();
      return object(one, 201);
    }
    if (request.method == "DELETE" && rest.starts_with(of_templates + "/")) {
      ++writes_;
      const std::string name = name_space + "/" + rest.substr(of_templates.size() + 1);
      if (templates_.erase(name) == 0) return status(404, name + " not found");
      changed_.notify_all();
      return object({{"kind", "Status"}, {"status", "Success"}});
    }
    return nobody_asks(request);
  }

  HttpAnswer nobody_asks(const HttpRequest& request) {
    broken_ += request.method + " " + request.target + "; ";
    return status(404, "the server could not find the requested resource");
  }

  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::map<std::string, Json> pods_;
  Templates templates_;
  std::set<std::string> claims_;  // "namespace/template"
  std::string refused_, broken_;
  bool away_ = false, watched_ = false;
  unsigned writes_ = 0;
  int version_ = 1;
  TempFolder account_;
  TlsIdentity identity_ = make_tls_identity();
  std::optional<HttpService> service_;
};

}  // namespace enclayer::fake
