// SPDX-License-Identifier: Apache-2.0
// A stand-in of kubectl with a cluster behind it, for black-box tests of `enclayer enable` and its kin: a program with
// kubectl's arguments, whose cluster is one file, $FAKE_CLUSTER/cluster.json. Its `proxy` is the API server, on a unix
// socket. What was called and asked for stands in calls.log beside the file: "proxy --unix-socket=...", "GET /version".
// The file:
//
//   {"version": "v1.36.3",
//    "objects": [...],                    what is there, nodes and users' pods included
//    "unknown_kinds": ["MutatingAdmissionPolicy"],    this API server is older
//    "denied": ["create daemonsets"],     rights that the user lacks
//    "faults": [{"match": "PATCH", "skip": 1, "times": 3, "err": "dial tcp: ...", "status": 403}],
//                                         calls and requests that contain `match` fail so, after `skip` that do not:
//                                         a request with a Status of that code, or, without one, as the real proxy
//                                         says that it does not reach the API server
//    "not_ready": {"enclayer-detect": {"node-a": ["ErrImagePull", "no such image"]}},
//    "self_test": {"phase": "Failed", "log": "..."},
//    "date": "Thu, 01 Jan 2026 00:00:00 GMT",    its clock; this one where nothing is said
//    "logs": "...",                       what containers of other pods have written
//    "readyz": "ok, ...",                 what every pod says of itself with --probe=/readyz
//    "facts": {...},                      what every quote helper says with --facts
//    "pages": {"enclayer-quote-helper-node-a/quote-helper": ["first", "then", null]},
//                                         what that container says of its metrics, one after the other and then the
//                                         last; null: it never says anything; a number: so many line feeds
//    "keeps_old": ["node-a"],             its quote helper is not replaced while two would run side by side
//    "late_epc": 2}                       so many more looks at the nodes show no EPC yet
//
// The proxy reads it once. While there is a file `away` beside it, the proxy does not reach the API server.
//
// DaemonSets have their pods at once: enclayer-detect on every node, the others where enclayer.io/sgx is "true"; a
// plugin's node offers EPC. A pod's revision is its template.
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "fake/http_service.h"

namespace {

namespace fake = enclayer::fake;
using nlohmann::json;

constexpr char kEpc[] = "kubernetes.azure.com/sgx_epc_mem_in_MiB";

json from_yaml(const YAML::Node& node) {
  if (node.IsMap()) {
    json out = json::object();
    for (const auto& entry : node) out[entry.first.as<std::string>()] = from_yaml(entry.second);
    return out;
  }
  if (node.IsSequence()) {
    json out = json::array();
    for (const auto& entry : node) out.push_back(from_yaml(entry));
    return out;
  }
  if (!node.IsScalar()) return nullptr;
  if (node.Tag() == "?") {  // not quoted
    if (long long number = 0; YAML::convert<long long>::decode(node, number)) return number;
    if (bool truth = false; YAML::convert<bool>::decode(node, truth)) return truth;
  }
  return node.Scalar();
}

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

std::string plural(const std::string& kind) {
  std::string out = lower(kind);
  if (out.ends_with("y")) return out.substr(0, out.size() - 1) + "ies";
  return out + (out.ends_with("s") ? "es" : "s");
}

std::string field(const json& object, const char* pointer) {
  auto at = json::json_pointer(pointer);
  return object.contains(at) && object[at].is_string() ? object[at].get<std::string>() : "";
}
std::string kind_of(const json& object) { return field(object, "/kind"); }
std::string name_of(const json& object) { return field(object, "/metadata/name"); }
std::string space_of(const json& object) { return field(object, "/metadata/namespace"); }
bool same(const json& a, const json& b) {
  return kind_of(a) == kind_of(b) && name_of(a) == name_of(b) && space_of(a) == space_of(b);
}
// Whether a label of that name says enclayer.
bool ours(const json& object, const std::string& label = "part-of") {
  return object.contains("/metadata/labels"_json_pointer) &&
         object["metadata"]["labels"].value("app.kubernetes.io/" + label, "") == "enclayer";
}

using fake::HttpAnswer;
using fake::HttpRequest;

HttpAnswer answered(int status, const json& body) {
  return fake::http_answer(status, body.dump(), "Content-Type: application/json\r\n");
}
HttpAnswer refused(int status, const std::string& message, const json& details = json::object()) {
  return answered(status, {{"kind", "Status"},
                           {"apiVersion", "v1"},
                           {"status", "Failure"},
                           {"message", message},
                           {"details", details},
                           {"code", status}});
}

class Cluster {
 public:
  explicit Cluster(const std::string& folder) : folder_(folder) {
    locked([&] { state_ = json::parse(std::ifstream(folder_ + "/cluster.json")); });
    for (const char* list : {"objects", "unknown_kinds", "denied", "faults", "keeps_old"})
      if (!state_.contains(list)) state_[list] = json::array();
  }
  void save() {
    locked([&] { std::ofstream(folder_ + "/cluster.json") << state_.dump(1); });
  }
  json& state() { return state_; }
  json& objects() { return state_["objects"]; }

  bool knows(const std::string& kind) const {
    const json& unknown = state_["unknown_kinds"];
    return std::none_of(unknown.begin(), unknown.end(),
                        [&](const json& one) { return kind.starts_with(one.get<std::string>()); });
  }

  json* find(const json& like) {
    for (json& object : objects())
      if (same(object, like)) return &object;
    return nullptr;
  }

  // Of one kind, in the cluster or in one namespace; what the DaemonSet controller and the kubelets would add included.
  json list(const std::string& resource, const std::string& name_space) {
    json out = json::array();
    for (const json& object : objects())
      if (plural(kind_of(object)) == resource && (name_space.empty() || space_of(object) == name_space))
        out.push_back(object);
    bool has_plugin = false;
    if (resource == "deployments")
      for (json& found : out)
        for (const char* count : {"replicas", "updatedReplicas", "readyReplicas"})
          found["status"][count] = state_.value("replicas_down", false) ? json(0) : found["spec"]["replicas"];
    for (const json& set : objects()) {
      if (kind_of(set) != "DaemonSet") continue;
      has_plugin |= name_of(set) == "enclayer-device-plugin";
      json pods = pods_of(set);
      if (resource == "pods" && (name_space.empty() || space_of(set) == name_space))
        for (json& pod : pods) out.push_back(pod);
      if (resource == "controllerrevisions" && (name_space.empty() || space_of(set) == name_space)) {
        json labels = set["spec"]["template"]["metadata"]["labels"];
        labels["controller-revision-hash"] = revision(set);
        out.push_back({{"metadata",
                        {{"name", name_of(set)},
                         {"namespace", space_of(set)},
                         {"labels", std::move(labels)},
                         {"ownerReferences", {{{"kind", "DaemonSet"}, {"name", name_of(set)}}}}}},
                       {"revision", 1}});
      }
      if (resource != "daemonsets") continue;
      int ready = 0;
      for (const json& pod : pods) ready += pod["status"]["conditions"][0]["status"] == "True";
      for (json& found : out)
        if (same(found, set))
          found["status"] = {{"observedGeneration", 0},
                             {"desiredNumberScheduled", pods.size()},
                             {"updatedNumberScheduled", ready},
                             {"numberReady", ready},
                             {"numberAvailable", ready}};
    }
    int late = state_.value("late_epc", 0);
    if (resource == "nodes" && has_plugin && late > 0) state_["late_epc"] = late - 1;
    if (resource == "nodes" && has_plugin && late == 0)
      for (json& node : out)
        if (takes_part(node))
          for (const char* list : {"capacity", "allocatable"})
            if (!node["status"][list].contains(kEpc)) node["status"][list][kEpc] = "1024";
    return out;
  }

  static bool takes_part(const json& node) {
    return node.contains("/metadata/labels"_json_pointer) &&
           node["metadata"]["labels"].value("enclayer.io/sgx", "") == "true";
  }

 private:
  static std::string revision(const json& set) {
    return std::to_string(std::hash<std::string>()(set["spec"]["template"].dump()));
  }

  json pods_of(const json& set) {
    json out = json::array();
    if (!ours(set)) return out;
    const std::string name = name_of(set);
    for (const json& node : objects()) {
      if (kind_of(node) != "Node" || (name != "enclayer-detect" && !takes_part(node))) continue;
      const std::string on = name_of(node);
      json pod = {{"apiVersion", "v1"}, {"kind", "Pod"}, {"spec", set["spec"]["template"]["spec"]}};
      pod["metadata"] = {{"name", name + "-" + on},
                         {"namespace", space_of(set)},
                         {"labels", set["spec"]["template"]["metadata"]["labels"]}};
      bool surge = set.value("/spec/updateStrategy/rollingUpdate/maxSurge"_json_pointer, 0) > 0;
      json& keeps = state_["keeps_old"];
      bool old = name == "enclayer-quote-helper" && surge && std::find(keeps.begin(), keeps.end(), on) != keeps.end();
      pod["metadata"]["labels"]["controller-revision-hash"] = old ? "old" : revision(set);
      pod["spec"]["nodeName"] = on;
      json why = state_.value(json::json_pointer("/not_ready/" + name + "/" + on), json());
      pod["status"] = {{"phase", why.is_null() ? "Running" : "Pending"},
                       {"conditions", {{{"type", "Ready"}, {"status", why.is_null() ? "True" : "False"}}}}};
      if (why.is_null()) pod["status"]["podIP"] = "10.0.0.1";
      pod["metadata"]["uid"] = "uid-of-" + pod["metadata"]["name"].get<std::string>();
      if (!why.is_null())
        pod["status"]["containerStatuses"] = {
            {{"name", "it"}, {"ready", false}, {"state", {{"waiting", {{"reason", why[0]}, {"message", why[1]}}}}}}};
      out.push_back(std::move(pod));
    }
    return out;
  }

  template <class Task>
  void locked(Task task) {
    int lock = ::open((folder_ + "/lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    ::flock(lock, LOCK_EX);
    task();
    ::close(lock);
  }

  std::string folder_;
  json state_;
};

// Amounts are strings in what an API server answers, however they were written.
void amounts_as_strings(json& object) {
  if (!object.contains("/spec/template/spec/containers"_json_pointer)) return;
  for (json& container : object["spec"]["template"]["spec"]["containers"])
    for (const char* list : {"limits", "requests"})
      if (container.contains("resources") && container["resources"].contains(list))
        for (json& amount : container["resources"][list])
          if (amount.is_number()) amount = amount.dump();
}

std::vector<json> documents(const std::string& text) {
  std::vector<json> out;
  for (const YAML::Node& document : YAML::LoadAll(text)) {
    json object = from_yaml(document);
    if (object.is_null()) continue;
    amounts_as_strings(object);
    if (object.value("kind", "") == "List")
      for (json& item : object["items"]) out.push_back(item);
    else
      out.push_back(std::move(object));
  }
  return out;
}

// What the API server has told a client of its lists, for watches: by path, then by namespace and name.
using Told = std::map<std::string, std::map<std::string, json>>;

// One request to the API server.
class Api {
 public:
  Api(Cluster& cluster, Told& told, const HttpRequest& request) : cluster_(cluster), told_(told), request_(request) {
    std::string path = request.target.substr(0, request.target.find('?'));
    query_ = request.target.substr(path.size());
    std::vector<std::string> parts;
    for (std::size_t begin = 1; begin <= path.size();) {
      std::size_t end = std::min(path.find('/', begin), path.size());
      parts.push_back(path.substr(begin, end - begin));
      begin = end + 1;
    }
    parts.erase(parts.begin(), parts.begin() + std::min<long>(parts.front() == "api" ? 2 : 3, std::ssize(parts)));
    if (parts.size() > 2 && parts[0] == "namespaces") {
      name_space_ = parts[1];
      parts.erase(parts.begin(), parts.begin() + 2);
    }
    parts.resize(3);
    resource_ = parts[0];
    name_ = parts[1];
    part_ = parts[2];
  }

  HttpAnswer answer() {
    if (request_.target == "/version")
      return fake::http_answer(200, json{{"gitVersion", cluster_.state().value("version", "v1.36.3")}}.dump(),
                               "Content-Type: application/json\r\nDate: " +
                                   cluster_.state().value("date", "Thu, 01 Jan 2026 00:00:00 GMT") + "\r\n");
    if (resource_ == "selfsubjectaccessreviews") return review();
    for (const char* kind : {"MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding", "ValidatingAdmissionPolicy",
                             "ValidatingAdmissionPolicyBinding", "PrometheusRule", "PodMonitor"})
      if (resource_ == plural(kind) && !cluster_.knows(kind)) return fake::http_answer(404, "404 page not found\n");
    if (resource_ == "nodefeaturerules" && !cluster_.state().value("has_nfd", false))
      return fake::http_answer(404, "404 page not found\n");
    if (part_ == "log")
      return fake::http_answer(200, cluster_.state().contains("logs")
                                        ? cluster_.state()["logs"].get<std::string>()
                                        : cluster_.state().value("/self_test/log"_json_pointer, ""));
    const std::string& method = request_.method;
    if (method == "POST") return create();
    if (method == "PATCH") return has("application/apply-patch+yaml") ? apply() : merge();
    if (method == "DELETE") return remove();
    return !name_.empty() ? get() : asks("watch=1") ? watch() : list();
  }

 private:
  bool asks(const std::string& parameter) const { return query_.find(parameter) != std::string::npos; }
  bool has(const char* type) const { return request_.head.find(type) != std::string::npos; }
  HttpAnswer not_found() const { return refused(404, resource_ + " \"" + name_ + "\" not found"); }

  json items() {
    json items = cluster_.list(resource_, name_space_);
    for (const std::string label : {"managed-by", "part-of"}) {
      bool others = asks(label + "!%3Denclayer");
      if (!others && !asks(label + "%3Denclayer")) continue;
      for (std::size_t i = items.size(); i-- > 0;)
        if (ours(items[i], label) == others) items.erase(i);
    }
    return items;
  }
  static std::map<std::string, json> by_name(const json& items) {
    std::map<std::string, json> out;
    for (const json& item : items) out[space_of(item) + "/" + name_of(item)] = item;
    return out;
  }

  HttpAnswer list() {
    json all = items();
    told_[resource_] = by_name(all);
    return answered(200, {{"kind", "List"}, {"metadata", {{"resourceVersion", "1"}}}, {"items", all}});
  }
  // What is other than the client knows, at once.
  HttpAnswer watch() {
    std::string events;
    auto event = [&](const char* type, json object) {
      object["metadata"]["resourceVersion"] = "2";
      events += json{{"type", type}, {"object", object}}.dump() + "\n";
    };
    auto &before = told_[resource_], now = by_name(items());
    for (const auto& [key, object] : before)
      if (!now.contains(key)) event("DELETED", object);
    for (const auto& [key, object] : now)
      if (!before.contains(key))
        event("ADDED", object);
      else if (before[key] != object)
        event("MODIFIED", object);
    before = std::move(now);
    return fake::http_answer(200, events);
  }
  HttpAnswer get() {
    for (const json& item : items())
      if (name_of(item) == name_) return answered(200, item);
    return not_found();
  }

  HttpAnswer review() {
    json object = json::parse(request_.body);
    const json& asked = object["spec"]["resourceAttributes"];
    std::string right = asked["verb"].get<std::string>() + " " + asked["resource"].get<std::string>();
    if (asked.contains("subresource")) right += "/" + asked["subresource"].get<std::string>();
    const json& denied = cluster_.state()["denied"];
    object["status"] = {{"allowed", std::find(denied.begin(), denied.end(), right) == denied.end()}};
    return answered(201, object);
  }
  // Both halves of a policy.
  bool acts(const char* kind, const char* name) {
    for (const char* half : {"", "Binding"})
      if (cluster_.find({{"kind", std::string(kind) + half}, {"metadata", {{"name", name}}}}) == nullptr) return false;
    return true;
  }
  // What admission makes of a pod with EPC under Intel's name.
  HttpAnswer admit(json pod) {
    json& limits = pod["spec"]["containers"][0]["resources"]["limits"];
    if (acts("MutatingAdmissionPolicy", "enclayer-translate")) {
      limits.erase("sgx.intel.com/epc");
      limits[kEpc] = "1";
    } else if (acts("ValidatingAdmissionPolicy", "enclayer-requests")) {
      return refused(422, "ValidatingAdmissionPolicy 'enclayer-requests' denied request: nothing translates here");
    }
    return answered(201, pod);
  }
  HttpAnswer create() {
    json object = json::parse(request_.body);
    if (asks("dryRun=All")) return admit(object);
    object["status"] = {{"phase", cluster_.state().value("/self_test/phase"_json_pointer, "Succeeded")}};
    object["spec"]["nodeName"] = "node-a";
    cluster_.objects().push_back(object);
    return answered(201, object);
  }
  HttpAnswer apply() {
    json document = documents(request_.body).at(0);
    json* found = cluster_.find(document);
    if (found != nullptr && found->contains("managed_elsewhere") && !asks("force=true"))
      return refused(409, "Apply failed with 1 conflict: conflict with \"kubectl-edit\" using apps/v1: .spec.x",
                     {{"causes", {{{"reason", "FieldManagerConflict"}, {"field", ".spec.x"}}}}});
    if (!asks("dryRun=All")) {
      if (found != nullptr)
        *found = document;
      else
        cluster_.objects().push_back(document);
    }
    return answered(found != nullptr ? 200 : 201, document);
  }
  HttpAnswer merge() {
    for (json& object : cluster_.objects())
      if (plural(kind_of(object)) == resource_ && name_of(object) == name_) {
        object.merge_patch(json::parse(request_.body));
        return answered(200, object);
      }
    return not_found();
  }
  HttpAnswer remove() {
    json& objects = cluster_.objects();
    for (std::size_t i = 0; i < objects.size(); ++i)
      if (plural(kind_of(objects[i])) == resource_ && name_of(objects[i]) == name_ &&
          space_of(objects[i]) == name_space_) {
        objects.erase(i);
        return answered(200, {{"kind", "Status"}, {"status", "Success"}});
      }
    // A pod of a DaemonSet makes room for its successor.
    json& keeps = cluster_.state()["keeps_old"];
    for (std::size_t i = 0; i < keeps.size(); ++i)
      if (resource_ == "pods" && name_ == "enclayer-quote-helper-" + keeps[i].get<std::string>()) {
        keeps.erase(i);
        return answered(200, {{"kind", "Status"}, {"status", "Success"}});
      }
    return not_found();
  }

  Cluster& cluster_;
  Told& told_;
  const HttpRequest& request_;
  std::string query_, name_space_, resource_, name_, part_;
};

// A fault that is due for this call: what kubectl says then.
const json* fault(json& state, const std::string& line) {
  for (json& one : state["faults"]) {
    if (line.find(one["match"].get<std::string>()) == std::string::npos) continue;
    if (int skip = one.value("skip", 0); skip > 0) {
      one["skip"] = skip - 1;
      continue;
    }
    int times = one.value("times", 1 << 30);
    if (times <= 0) continue;
    one["times"] = times - 1;
    return &one;
  }
  return nullptr;
}

// Serves until it is killed.
int proxy(const std::string& socket, const char* folder) {
  Told told;
  std::optional<Cluster> cluster;
  if (folder != nullptr) cluster.emplace(folder);
  fake::HttpService service(
      [&](const HttpRequest& request) {
        if (!cluster || ::access((std::string(folder) + "/away").c_str(), F_OK) == 0)
          return fake::http_answer(500, "dial tcp 127.0.0.1:8080: connect: connection refused\n");
        std::string line = request.method + " " + request.target;
        std::ofstream(std::string(folder) + "/calls.log", std::ios::app) << line << "\n";
        const json* due = fault(cluster->state(), line);
        HttpAnswer out = due == nullptr            ? Api(*cluster, told, request).answer()
                         : due->contains("status") ? refused((*due)["status"], (*due)["err"])
                                                   : fake::http_answer(500, (*due)["err"].get<std::string>() + "\n");
        const bool is_trial = request.target.find("dryRun=All") != std::string::npos ||
                              request.target.find("selfsubjectaccessreviews") != std::string::npos;
        if (due != nullptr || (request.method != "GET" && !is_trial)) cluster->save();
        return out;
      },
      std::nullopt, socket);
  std::printf("Starting to serve on %s\n", socket.c_str());
  std::fflush(stdout);
  while (true) ::pause();
}

// A page of the container's metrics; -1: there is none. How often it was asked is in a file of its own, because pods are
// asked at the same time.
int say_metrics(const json& pages, const std::string& container, const std::string& folder) {
  if (!pages.contains(container) || pages[container].empty()) {
    std::fprintf(stderr, "error: unable to upgrade connection: container not found\n");
    return 1;
  }
  std::string count = folder + "/asked-" + container;
  std::replace(count.begin() + static_cast<long>(folder.size()) + 1, count.end(), '/', '-');
  std::size_t before = 0;
  std::ifstream(count) >> before;
  std::ofstream(count) << before + 1;
  const json& page = pages[container][std::min(before, pages[container].size() - 1)];
  while (page.is_null()) ::pause();
  std::cout << (page.is_number() ? std::string(page.get<std::size_t>(), '\n') : page.get<std::string>());
  return 0;
}

int diff(Cluster& cluster) {
  bool differs = false;
  for (const json& document : documents(std::string(std::istreambuf_iterator<char>(std::cin), {}))) {
    json* found = cluster.find(document);
    if (found != nullptr && *found == document) continue;
    std::cout << "diff " << kind_of(document) << "/" << name_of(document) << "\n";
    differs = true;
  }
  return differs ? 1 : 0;
}

}  // namespace

int main(int argc, char** argv) {
  const char* folder = std::getenv("FAKE_CLUSTER");
  std::vector<std::string> arguments;
  std::string line;
  for (int i = 1; i < argc; ++i) {
    std::string argument = argv[i];
    line += (line.empty() ? "" : " ") + argument;
    if (argument.starts_with("--context=") && argument != "--context=fake") {
      std::fprintf(stderr, "error: context \"%s\" does not exist\n", argument.substr(10).c_str());
      return 1;
    }
    if (!argument.starts_with("--context=") && !argument.starts_with("--kubeconfig=")) arguments.push_back(argument);
  }
  if (arguments.at(0) == "proxy") return proxy(arguments.at(1).substr(std::string("--unix-socket=").size()), folder);
  if (folder == nullptr) return 1;
  Cluster cluster(folder);
  std::ofstream(std::string(folder) + "/calls.log", std::ios::app) << line << "\n";
  if (const json* due = fault(cluster.state(), line)) {
    std::fprintf(stderr, "%s\n", (*due)["err"].get<std::string>().c_str());
    cluster.save();
    return 1;
  }
  if (arguments[0] == "diff") return diff(cluster);
  if (arguments[0] == "exec" && arguments.back() == "--probe=/metrics")
    return say_metrics(cluster.state().value("pages", json::object()), arguments.at(3) + "/" + arguments.at(5), folder);
  if (arguments[0] == "exec" && arguments.back() == "--probe=/readyz") {
    std::cout << cluster.state().value("readyz", "ok\n");
    return 0;
  }
  if (arguments[0] == "exec") {
    std::cout << cluster.state().value("facts", json::object());
    return 0;
  }
  std::fprintf(stderr, "error: unknown command \"%s\" for \"kubectl\"\n", arguments[0].c_str());
  return 1;
}
