// SPDX-License-Identifier: Apache-2.0
// A stand-in of kubectl with a cluster behind it, for black-box tests of `enclayer enable` and its kin: a program with
// kubectl's arguments, whose cluster is one file, $FAKE_CLUSTER/cluster.json. What was called stands in calls.log
// beside it. The file:
//
//   {"version": "v1.36.3",
//    "objects": [...],                    what is there, nodes and users' pods included
//    "unknown_kinds": ["MutatingAdmissionPolicy"],    this API server is older
//    "denied": ["create daemonsets"],     rights that the user lacks
//    "faults": [{"match": "apply", "skip": 1, "times": 1, "err": "Unable to connect ...", "code": 1}],
//                                         calls whose arguments contain `match` fail so, after `skip` that do not
//    "not_ready": {"enclayer-detect": {"node-a": ["ErrImagePull", "no such image"]}},
//    "self_test": {"phase": "Failed", "log": "..."},
//    "facts": {...},                      what every quote helper says with --facts
//    "keeps_old": ["node-a"],             its quote helper is not replaced while two would run side by side
//    "late_epc": 2}                       so many more listings of nodes show no EPC yet
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
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace {

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
bool ours(const json& object) {
  return object.contains("/metadata/labels"_json_pointer) &&
         object["metadata"]["labels"].value("app.kubernetes.io/managed-by", "") == "enclayer";
}

struct Failure {
  std::string text;
};

class Cluster {
 public:
  explicit Cluster(const std::string& folder) : path_(folder + "/cluster.json") {
    lock_ = ::open((folder + "/lock").c_str(), O_RDWR | O_CREAT, 0600);
    ::flock(lock_, LOCK_EX);
    state_ = json::parse(std::ifstream(path_));
    for (const char* list : {"objects", "unknown_kinds", "denied", "faults", "keeps_old"})
      if (!state_.contains(list)) state_[list] = json::array();
  }
  void save() { std::ofstream(path_) << state_.dump(1); }
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
    for (const json& set : objects()) {
      if (kind_of(set) != "DaemonSet") continue;
      has_plugin |= name_of(set) == "enclayer-device-plugin";
      json pods = pods_of(set);
      if (resource == "pods" && (name_space.empty() || space_of(set) == name_space))
        for (json& pod : pods) out.push_back(pod);
      if (resource == "controllerrevisions" && space_of(set) == name_space)
        out.push_back({{"metadata",
                        {{"name", name_of(set)},
                         {"labels", {{"controller-revision-hash", revision(set)}}},
                         {"ownerReferences", {{{"kind", "DaemonSet"}, {"name", name_of(set)}}}}}},
                       {"revision", 1}});
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
      if (!why.is_null())
        pod["status"]["containerStatuses"] = {
            {{"name", "it"}, {"ready", false}, {"state", {{"waiting", {{"reason", why[0]}, {"message", why[1]}}}}}}};
      out.push_back(std::move(pod));
    }
    return out;
  }

  std::string path_;
  json state_;
  int lock_ = -1;
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

class Command {
 public:
  Command(Cluster& cluster, std::vector<std::string> arguments) : cluster_(cluster), arguments_(std::move(arguments)) {}

  int run() {
    const std::string& verb = arguments_.at(0);
    if (verb == "get" && has("--raw")) return raw(after("--raw"));
    if (verb == "get") return has("-f") ? get_documents() : get_kinds();
    if (verb == "create") return create();
    if (verb == "apply") return apply();
    if (verb == "diff") return diff();
    if (verb == "delete") return remove();
    if (verb == "label" || verb == "annotate") return label();
    if (verb == "exec") {
      std::cout << cluster_.state().value("facts", json::object());
      return 0;
    }
    if (verb == "logs") {
      std::cout << cluster_.state().value("/self_test/log"_json_pointer, "");
      return 0;
    }
    throw Failure{"error: unknown command \"" + verb + "\" for \"kubectl\""};
  }

 private:
  bool has(const std::string& argument) const {
    return std::find(arguments_.begin(), arguments_.end(), argument) != arguments_.end();
  }
  std::string after(const std::string& argument) const {
    auto found = std::find(arguments_.begin(), arguments_.end(), argument);
    return found == arguments_.end() || found + 1 == arguments_.end() ? "" : *(found + 1);
  }

  int raw(std::string path) {
    bool only_ours = path.find("labelSelector=") != std::string::npos;
    path = path.substr(0, path.find('?'));
    if (path == "/version") {
      std::cout << json{{"gitVersion", cluster_.state().value("version", "v1.36.3")}};
      return 0;
    }
    std::vector<std::string> parts;
    for (std::size_t begin = 1; begin <= path.size();) {
      std::size_t end = std::min(path.find('/', begin), path.size());
      parts.push_back(path.substr(begin, end - begin));
      begin = end + 1;
    }
    std::string name_space, name;
    for (std::size_t i = 0; i + 2 < parts.size(); ++i)
      if (parts[i] == "namespaces") {
        name_space = parts[i + 1];
        if (i + 3 < parts.size()) name = parts[i + 3];
        parts = {parts[i + 2]};
      }
    const std::string resource = parts.back();
    for (const char* kind : {"MutatingAdmissionPolicy", "ValidatingAdmissionPolicy"})
      if (resource == plural(kind) && !cluster_.knows(kind))
        throw Failure{"Error from server (NotFound): the server could not find the requested resource"};
    if (resource == "nodefeaturerules" && !cluster_.state().value("has_nfd", false))
      throw Failure{"Error from server (NotFound): the server could not find the requested resource"};
    json items = cluster_.list(resource, name_space);
    if (!name.empty()) {
      for (const json& item : items)
        if (name_of(item) == name) {
          std::cout << item;
          return 0;
        }
      throw Failure{"Error from server (NotFound): " + resource + " \"" + name + "\" not found"};
    }
    if (only_ours)
      for (std::size_t i = items.size(); i-- > 0;)
        if (!ours(items[i])) items.erase(i);
    std::cout << json{{"kind", "List"}, {"apiVersion", "v1"}, {"metadata", json::object()}, {"items", items}};
    return 0;
  }

  int get_documents() {
    json items = json::array();
    for (const json& document : input())
      if (json* found = cluster_.find(document)) items.push_back(*found);
    if (!items.empty()) std::cout << json{{"kind", "List"}, {"items", items}};
    return 0;
  }

  int get_kinds() {
    json items = json::array();
    std::string selector = after("-l");
    bool negated = selector.find("!=") != std::string::npos;
    std::string kinds = arguments_.at(1) + ",";
    while (!kinds.empty()) {
      std::string kind = kinds.substr(0, std::min(kinds.find('.'), kinds.find(',')));
      kinds.erase(0, kinds.find(',') + 1);
      for (const json& object : cluster_.objects())
        if (plural(kind_of(object)) == kind && ours(object) != negated &&
            (after("-n").empty() || space_of(object) == after("-n")))
          items.push_back(object);
    }
    std::cout << json{{"kind", "List"}, {"items", items}};
    return 0;
  }

  int create() {
    for (json& object : input()) {
      if (kind_of(object) == "SelfSubjectAccessReview") {
        const json& asked = object["spec"]["resourceAttributes"];
        std::string right = asked["verb"].get<std::string>() + " " + asked["resource"].get<std::string>();
        const json& denied = cluster_.state()["denied"];
        bool allowed = std::find(denied.begin(), denied.end(), right) == denied.end();
        std::cout << right << " " << asked.value("namespace", "") << " " << (allowed ? "true" : "") << "\n";
        continue;
      }
      object["status"] = {{"phase", cluster_.state().value("/self_test/phase"_json_pointer, "Succeeded")}};
      object["spec"]["nodeName"] = "node-a";
      cluster_.objects().push_back(object);
    }
    return 0;
  }

  int apply() {
    bool dry = has("--dry-run=server");
    json items = json::array(), objects = cluster_.objects();
    for (json& document : input()) {
      if (!cluster_.knows(kind_of(document)))
        throw Failure{"error: resource mapping not found: no matches for kind \"" + kind_of(document) + "\""};
      if (json* found = cluster_.find(document)) {
        if (found->contains("managed_elsewhere") && !has("--force-conflicts"))
          throw Failure{
              "error: Apply failed with 1 conflict: conflict with \"kubectl-edit\" using apps/v1: .spec.x\n"
              "Please review the fields above--they currently have other managers."};
        items.push_back(document);
        if (!dry) *found = document;
      } else {
        items.push_back(document);
        if (!dry) cluster_.objects().push_back(document);
      }
    }
    std::cout << json{{"kind", "List"}, {"items", items}};
    return 0;
  }

  int diff() {
    bool differs = false;
    for (const json& document : input()) {
      json* found = cluster_.find(document);
      if (found != nullptr && *found == document) continue;
      std::cout << "diff " << kind_of(document) << "/" << name_of(document) << "\n";
      differs = true;
    }
    return differs ? 1 : 0;
  }

  int remove() {
    std::vector<json> wanted;
    if (has("-f"))
      wanted = input();
    else
      wanted = {{{"kind", "Pod"}, {"metadata", {{"name", arguments_.at(2)}, {"namespace", after("-n")}}}}};
    json& objects = cluster_.objects();
    for (const json& like : wanted)
      for (std::size_t i = objects.size(); i-- > 0;)
        if (same(objects[i], like)) objects.erase(i);
    return 0;
  }

  int label() {
    const char* where = arguments_.at(0) == "label" ? "labels" : "annotations";
    for (json& object : cluster_.objects())
      if (kind_of(object) == "Node" && has(name_of(object)))
        for (const std::string& argument : arguments_)
          if (argument.ends_with("-")) object["metadata"][where].erase(argument.substr(0, argument.size() - 1));
    return 0;
  }

  static std::vector<json> input() { return documents(std::string(std::istreambuf_iterator<char>(std::cin), {})); }

  Cluster& cluster_;
  std::vector<std::string> arguments_;
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

}  // namespace

int main(int argc, char** argv) {
  const char* folder = std::getenv("FAKE_CLUSTER");
  if (folder == nullptr) {
    std::fprintf(stderr,
                 "The connection to the server localhost:8080 was refused - did you specify the right host or port?\n");
    return 1;
  }
  Cluster cluster(folder);
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
  std::ofstream(std::string(folder) + "/calls.log", std::ios::app) << line << "\n";
  if (const json* due = fault(cluster.state(), line)) {
    std::fprintf(stderr, "%s\n", (*due)["err"].get<std::string>().c_str());
    int code = due->value("code", 1);
    cluster.save();
    return code;
  }
  try {
    int code = Command(cluster, arguments).run();
    cluster.save();
    return code;
  } catch (const Failure& failure) {
    std::fprintf(stderr, "%s\n", failure.text.c_str());
    return 1;
  }
}
