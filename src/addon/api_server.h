// SPDX-License-Identifier: Apache-2.0
// The API server of one cluster, asked over HTTP through `kubectl proxy`: kubectl finds the cluster, logs in and speaks
// TLS; what we send are requests of the Kubernetes API, and what comes back are its own answers. Why so, and what it
// costs: docs/decisions/cluster.md.
//
//   ENCLAYER_TRY(auto api, ApiServer::start(kubectl, folder));
//   auto node = api->send({.path = "/api/v1/nodes/a", .doing = "read node a"});
//   if (!node && node.error().code() == 404) ...
//
// An error's code is the HTTP status, 0 where there was none. Its kind follows from that, and from nothing in words:
//   kPermissionDenied  401, 403: the login is not accepted; a right is missing, or a policy refuses
//   kNotFound          404: no such object, or the cluster does not know the kind
//   kConflict          409: another field manager holds the fields (which are told), or the object is there
//   kInvalidArgument   every other 4xx: an object that the API server finds invalid
//   kUnavailable       429, 5xx, no answer; after three tries. What kubectl says of a server that it cannot reach is
//                      told
//   kTimedOut, kMalformed  as http/client.h says
// Messages begin with "cannot <doing>: ".
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "addon/kubectl.h"
#include "base/child_process.h"
#include "base/json.h"
#include "base/wakeup.h"
#include "enclayer/error.h"
#include "enclayer/time.h"

namespace enclayer::http {
struct Response;
}

namespace enclayer::addon {

// An object, or a place where objects of a kind are, as the API names it.
struct Reference {
  std::string api_version, kind;  // "apps/v1", "DaemonSet"
  std::string name_space = {}, name = {};

  std::string title() const;  // "DaemonSet enclayer-system/enclayer-detect"
  std::string path() const;   // "/apis/apps/v1/namespaces/enclayer-system/daemonsets/enclayer-detect"
  bool operator==(const Reference&) const = default;
};

// "daemonsets" of "DaemonSet", as the API server forms it.
std::string plural(std::string_view kind);

struct ApiRequest {
  std::string method = "GET";
  std::string path;        // with its query
  std::string doing = {};  // for errors: "list nodes"
  std::string body = {}, content_type = "application/json";
  bool metadata_only = false;        // of each object of a list nothing else is answered; much less of a large one
  std::chrono::seconds timeout{60};  // for all tries
};

// Objects that cannot be read, as claims may hold what their author wrote, of any depth: whoever makes one may not keep
// everybody from seeing the others.
struct Unreadable {
  std::size_t count = 0;
  std::string first;  // "bank/a: JSON text nests deeper than 64 levels"

  std::string text() const;  // "bank/a: JSON text nests ... (and 3 more)"
};

class ApiServer {
 public:
  // Objects in one answer to a list: 500 pods are 2 to 15 MB.
  static constexpr int kPage = 500;
  // Bytes of an answer; more is kMalformed. An object of etcd has 1.5 MB at most.
  static constexpr std::size_t kMostAnswer = std::size_t{256} << 20;

  // Starts the proxy on a socket in `folder` (socket_in()), for as long as the ApiServer lives. The folder has to be the
  // user's alone: whoever can connect there acts with the user's rights. kInvalidArgument: kubectl ended at once, with
  // its words (no such context, no such kubeconfig).
  static std::filesystem::path socket_in(const std::filesystem::path& folder) { return folder / "api"; }
  static Result<std::unique_ptr<ApiServer>> start(const Kubectl& kubectl, const std::filesystem::path& folder);
  ~ApiServer();

  // The body of an answer with status 2xx.
  Result<std::string> send(const ApiRequest& request) const;
  // Its clock, by which its answers are dated (RFC 9110, 6.6.1).
  Result<Time> time() const;
  // All of them, eight at a time; the answers in the order of the requests.
  std::vector<Result<std::string>> send_all(const std::vector<ApiRequest>& requests) const;

  // Lists, page by page; gives the list's resourceVersion, from which watch() goes on. `path` without limit. What cannot
  // be read is left out and noted in `unreadable`, or without that kMalformed.
  using Each = std::function<void(base::JsonValue object)>;
  Result<std::string> list(const std::string& path, const std::string& doing, const Each& each,
                           bool metadata_only = false, Unreadable* unreadable = nullptr) const;

  const Kubectl& kubectl() const { return kubectl_; }

  // From any thread: requests that are under way fail, and so do all that come. stopped() is a descriptor that is
  // readable from then on, for what else has to end with them.
  void stop() const { stop_.ring(); }
  int stopped() const { return stop_.fd(); }

 private:
  Result<http::Response> answer(const ApiRequest& request) const;
  ApiServer(const Kubectl& kubectl, std::filesystem::path socket) : kubectl_(kubectl), socket_(std::move(socket)) {}

  Kubectl kubectl_;
  std::filesystem::path socket_;
  base::Wakeup stop_;
  base::UniqueFd said_;  // the pipe of its standard output: without a reader, the next word would end it
  std::unique_ptr<base::ChildProcess> proxy_;
};

// Runs `task` for 0 .. count-1, eight at a time.
void at_once(std::size_t count, const std::function<void(std::size_t)>& task);

// What has changed in a list since `version`: a watch for two seconds (opening it is what costs the API server), whose
// events come in one answer.
inline constexpr std::chrono::seconds kWatch{2};
ApiRequest watch_request(const std::string& path, const std::string& version, const std::string& doing);
// Calls `each` for every event, with its type (ADDED, MODIFIED, DELETED) and the object; `version` becomes that of the
// last. False: the API server no longer knows what happened since then, so that the list has to be read anew.
Result<bool> read_events(std::string_view answer, std::string& version,
                         const std::function<void(const std::string& type, base::JsonValue object)>& each,
                         Unreadable* unreadable = nullptr);

// Calls `each` for the items of a list, one at a time, so that no more than one of them is kept as a tree; gives the
// list without them.
Result<base::JsonDocument> read_list(std::string_view list, const ApiServer::Each& each,
                                     Unreadable* unreadable = nullptr);

// What is read of one object: more than a pod can have, since etcd takes 1.5 MiB of protobuf, where a value has two
// bytes at least, and a byte becomes six ("\u0001") at most.
inline constexpr base::JsonLimits kObjectLimits{.size = 16 << 20, .depth = 64, .values = 1 << 20};

// The error that an answer of the API server, or of the proxy in its place, stands for.
Error api_error(unsigned status, std::string_view body, const std::string& doing);

}  // namespace enclayer::addon
