// SPDX-License-Identifier: Apache-2.0
// An API server that knows one node, its ResourceSlices and a few ResourceClaims: it answers as a real one does (1.36),
// over TLS, to whoever shows the token. It can drop the fields of consumable capacity, as one whose features are off.
//
//   fake::DraApiServer api;
//   fake::Process driver({..., "--account-dir", api.account()}, api.environment());
//   ASSERT_TRUE(api.wait_for([](const auto& slices) { return slices.size() == 1; }, 10s));
#pragma once

#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <thread>

#include "fake/http_service.h"
#include "fake/temp_folder.h"

namespace enclayer::fake {

class DraApiServer {
 public:
  using Json = nlohmann::json;
  using Slices = std::map<std::string, Json>;  // by name

  // Each answer takes `takes`, one after the other.
  explicit DraApiServer(std::chrono::milliseconds takes = {}) : takes_(takes) {
    account_.write("token", "secret\n");
    account_.write("ca.crt", identity_.authority);
    service_.emplace([this](const HttpRequest& request) { return answer(request); }, identity_);
  }

  std::filesystem::path account() const { return account_.path(); }
  std::map<std::string, std::string> environment() const {
    const std::string address = service_->address();
    const std::size_t colon = address.rfind(':');
    return {{"KUBERNETES_SERVICE_HOST", address.substr(0, colon)},
            {"KUBERNETES_SERVICE_PORT", address.substr(colon + 1)}};
  }

  // --- What a test does to it ---

  void set_runtime(const std::string& runtime) {
    change([&] { runtime_ = runtime; });
  }
  void drop_capacity() {
    change([&] { drops_ = true; });
  }
  void go_away(bool away) {
    change([&] { away_ = away; });
  }
  void put_claim(const Json& claim) {
    const Json& name = claim["metadata"];
    change([&] { claims_[name["namespace"].get<std::string>() + "/" + name["name"].get<std::string>()] = claim; });
  }
  void put_slice(const Json& slice) {
    change([&] { slices_[slice["metadata"]["name"]] = slice; });
  }
  void wipe_slices() {
    change([&] { slices_.clear(); });
  }  // as a kubelet that starts

  // --- What came of it ---

  Slices slices() const {
    std::lock_guard lock(mutex_);
    return slices_;
  }
  bool wait_for(const std::function<bool(const Slices&)>& enough, std::chrono::milliseconds timeout) const {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, timeout, [&] { return enough(slices_); });
  }
  // What a real one would not have accepted; empty.
  std::string broken() const {
    std::lock_guard lock(mutex_);
    return broken_;
  }

 private:
  void change(const std::function<void()>& how) {
    std::lock_guard lock(mutex_);
    how();
    changed_.notify_all();
  }

  static HttpAnswer object(const Json& json, int status = 200) { return http_answer(status, json.dump()); }
  static HttpAnswer status(int code, const std::string& message) {
    return object({{"kind", "Status"}, {"apiVersion", "v1"}, {"message", message}, {"code", code}}, code);
  }

  HttpAnswer answer(const HttpRequest& request) {
    std::this_thread::sleep_for(takes_);
    std::lock_guard lock(mutex_);
    if (away_) return {"", HttpAnswer::Then::kReset};
    if (request.head.find("\r\nAuthorization: Bearer secret\r\n") == std::string::npos)
      return status(401, "Unauthorized");
    const std::string resource = "/apis/resource.k8s.io/v1/";
    const std::string& target = request.target;
    if (request.method == "GET" && target == "/api/v1/nodes/n1")
      return object({{"kind", "Node"},
                     {"metadata", {{"name", "n1"}, {"uid", "u-1"}}},
                     {"status", {{"nodeInfo", {{"containerRuntimeVersion", runtime_}}}}}});
    if (target.starts_with(resource + "resourceslices"))
      return slices(request, target.substr((resource + "resourceslices").size()));
    if (request.method == "GET" && target.starts_with(resource + "resourceclaims")) {
      Json list = {{"kind", "ResourceClaimList"}, {"metadata", Json::object()}, {"items", Json::array()}};
      for (const auto& [name, claim] : claims_) list["items"].push_back(claim);
      return object(list);
    }
    if (request.method == "GET" && target.starts_with(resource + "namespaces/")) {
      std::string name = target.substr((resource + "namespaces/").size());
      const std::string between = "/resourceclaims/";
      if (auto at = name.find(between); at != std::string::npos) name.replace(at, between.size(), "/");
      if (auto found = claims_.find(name); found != claims_.end()) return object(found->second);
      return status(404, "resourceclaims \"" + name + "\" not found");
    }
    broken_ += request.method + " " + target + "; ";
    return status(404, "the server could not find the requested resource");
  }

  HttpAnswer slices(const HttpRequest& request, const std::string& rest) {
    if (request.method == "GET") {
      // One request at a time: there is nobody who could wait beside the others.
      if (rest.find("&watch=1&") != rest.npos) return status(503, "no watches here");
      if (rest != "?fieldSelector=spec.nodeName%3Dn1%2Cspec.driver%3Dsgx.enclayer.io") broken_ += "GET " + rest + "; ";
      Json list = {{"kind", "ResourceSliceList"}, {"items", Json::array()}};
      for (const auto& [name, slice] : slices_) list["items"].push_back(slice);
      return object(list);
    }
    const std::string name = rest.empty() ? "" : rest.substr(1);
    if (request.method == "DELETE") {
      if (slices_.erase(name) == 0) return status(404, "resourceslices \"" + name + "\" not found");
      changed_.notify_all();
      return object({{"kind", "Status"}, {"status", "Success"}});
    }
    Json slice = Json::parse(request.body, nullptr, false);
    if (!slice.is_object() || slice.value("kind", "") != "ResourceSlice") return status(400, "no ResourceSlice");
    const std::string own = slice["metadata"].value("name", "");
    auto found = slices_.find(own);
    if (request.method == "POST" && found != slices_.end())
      return status(409, "resourceslices \"" + own + "\" already exists");
    if (request.method == "PUT" && (found == slices_.end() || own != name)) return status(404, "not found");
    if (request.method == "PUT" && found->second["metadata"]["resourceVersion"] != slice["metadata"]["resourceVersion"])
      return status(409, "the object has been modified");
    if (drops_)
      for (auto& device : slice["spec"]["devices"]) {
        device.erase("allowMultipleAllocations");
        if (device.contains("capacity")) device["capacity"]["epc"].erase("requestPolicy");
      }
    slice["metadata"]["resourceVersion"] = std::to_string(++version_);
    slices_[own] = slice;
    changed_.notify_all();
    return object(slice, request.method == "POST" ? 201 : 200);
  }

  const std::chrono::milliseconds takes_;
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  Slices slices_;
  std::map<std::string, Json> claims_;  // by "namespace/name"
  std::string runtime_ = "containerd://2.0.4", broken_;
  bool drops_ = false, away_ = false;
  int version_ = 1;
  TempFolder account_;
  TlsIdentity identity_ = make_tls_identity();
  std::optional<HttpService> service_;
};

}  // namespace enclayer::fake
