// SPDX-License-Identifier: Apache-2.0
#include "addon/cluster.h"

#include <algorithm>
#include <charconv>
#include <functional>
#include <nlohmann/json.hpp>

#include "addon/names.h"
#include "base/printable.h"

namespace enclayer::addon {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxList = std::size_t{1} << 30;  // 5,000 pods of a busy cluster are about 40 MB

// ---- JSON that may lack anything ----

const json& at(const json& object, std::string_view key) {
  static const json kNothing;
  if (!object.is_object()) return kNothing;
  auto found = object.find(key);
  return found == object.end() ? kNothing : *found;
}

template <class... Keys>
const json& at(const json& object, std::string_view key, Keys... more) {
  return at(at(object, key), more...);
}

template <class... Keys>
std::string text(const json& object, Keys... keys) {
  const json& value = at(object, keys...);
  return value.is_string() ? value.get<std::string>() : std::string();
}

template <class... Keys>
std::int64_t number(const json& object, Keys... keys) {
  const json& value = at(object, keys...);
  return value.is_number_integer() ? value.get<std::int64_t>() : 0;
}

template <class... Keys>
bool truth(const json& object, Keys... keys) {
  const json& value = at(object, keys...);
  return value.is_boolean() && value.get<bool>();
}

std::string joined(const std::string& reason, const std::string& message) {
  std::string told = base::printable(message, 300);
  if (reason.empty()) return told;
  return told.empty() ? reason : reason + ": " + told;
}

// Keys whose values nobody here looks at. They are most of what a list weighs.
bool is_ballast(const std::string& key) {
  static constexpr std::string_view kBallast[] = {"managedFields",  "images",          "env",         "volumes",
                                                  "volumeMounts",   "securityContext", "tolerations", "livenessProbe",
                                                  "readinessProbe", "startupProbe",    "lifecycle"};
  return std::find(std::begin(kBallast), std::end(kBallast), key) != std::end(kBallast);
}

// Calls `each` for the elements of a list, one at a time; none is kept.
Result<> for_each_item(std::string_view list, const char* what, const std::function<void(const json&)>& each) {
  bool in_items = false, is_list = false;
  json rest = json::parse(
      list,
      [&](int depth, json::parse_event_t event, json& parsed) {
        if (event == json::parse_event_t::key) {
          const auto& key = parsed.get_ref<const std::string&>();
          if (depth == 1) in_items = key == "items";
          is_list |= depth == 1 && in_items;
          return !is_ballast(key);
        }
        if (in_items && depth == 2 && event == json::parse_event_t::object_end) {
          each(parsed);
          return false;
        }
        return true;
      },
      false);
  if (rest.is_discarded() || !is_list)
    return Error(ErrorKind::kMalformed,
                 std::string("the API server's answer is no list of ") + what + ": " + base::printable(list, 80));
  return {};
}

bool is_ours(const json& object) { return text(object, "metadata", "labels", kManagedBy) == kOurs; }

bool is_sgx_resource(std::string_view name) {
  return name == kEpcResource || name == kQuoteResource || name == kProvisionResource ||
         name == base::kEnclaveResource || std::find(kForeignEpc.begin(), kForeignEpc.end(), name) != kForeignEpc.end();
}

Resources sgx_resources(const json& list) {
  Resources out;
  if (!list.is_object()) return out;
  for (const auto& [name, amount] : list.items())
    if (is_sgx_resource(name) && amount.is_string())
      if (auto value = quantity(amount.get_ref<const std::string&>())) out[name] = *value;
  return out;
}

std::map<std::string, std::string, std::less<>> chosen(const json& from, bool (*wanted)(std::string_view)) {
  std::map<std::string, std::string, std::less<>> out;
  if (from.is_object())
    for (const auto& [key, value] : from.items())
      if (value.is_string() && wanted(key)) out[key] = value.get<std::string>();
  return out;
}

bool is_our_key(std::string_view key) { return key.starts_with(kOurPrefix); }

// specs: Intel's rule, Intel's epchook, NFD itself, ACK, aks-engine; and what a cloud calls the machine.
bool is_node_label(std::string_view key) {
  static constexpr std::string_view kForeign[] = {"intel.feature.node.kubernetes.io/sgx",
                                                  "sgx.intel.com/capable",
                                                  "feature.node.kubernetes.io/cpu-security.sgx.enabled",
                                                  "alibabacloud.com/tee-hardware-category",
                                                  "tee",
                                                  "kubernetes.io/os",
                                                  "node.kubernetes.io/instance-type"};
  return is_our_key(key) || std::find(std::begin(kForeign), std::end(kForeign), key) != std::end(kForeign);
}

void add(Resources& to, const Resources& more) {
  for (const auto& [name, amount] : more) to[name] += amount;
}

// As the scheduler counts (KEP-753): init containers run one after the other, those that restart stay.
Resources pod_requests(const json& spec) {
  auto of = [](const json& container) {
    Resources requests = sgx_resources(at(container, "resources", "limits"));
    for (const auto& [name, amount] : sgx_resources(at(container, "resources", "requests"))) requests[name] = amount;
    return requests;
  };
  Resources sum, most;
  if (const json& inits = at(spec, "initContainers"); inits.is_array())
    for (const json& container : inits) {
      Resources now = sum;
      add(now, of(container));
      for (const auto& [name, amount] : now) most[name] = std::max(most[name], amount);
      if (text(container, "restartPolicy") == "Always") sum = now;
    }
  if (const json& containers = at(spec, "containers"); containers.is_array())
    for (const json& container : containers) add(sum, of(container));
  for (const auto& [name, amount] : most) sum[name] = std::max(sum[name], amount);
  return sum;
}

std::vector<std::string> images(const json& spec) {
  std::vector<std::string> out;
  for (const char* list : {"initContainers", "containers"})
    if (const json& containers = at(spec, list); containers.is_array())
      for (const json& container : containers)
        if (std::string image = text(container, "image"); std::find(out.begin(), out.end(), image) == out.end())
          out.push_back(std::move(image));
  return out;
}

// The DaemonSet controller says by an affinity to a field which node a pod is for.
std::string meant_for(const json& spec) {
  const json& terms =
      at(spec, "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms");
  if (!terms.is_array() || terms.empty()) return {};
  const json& fields = at(terms.front(), "matchFields");
  if (!fields.is_array() || fields.empty() || text(fields.front(), "key") != "metadata.name") return {};
  const json& values = at(fields.front(), "values");
  return values.is_array() && !values.empty() && values.front().is_string() ? values.front().get<std::string>() : "";
}

// Of a pod that is not ready, what stands in its way.
std::string why_not(const json& pod) {
  const json& status = at(pod, "status");
  if (text(status, "phase") == "Failed") return joined(text(status, "reason"), text(status, "message"));
  if (const json& conditions = at(status, "conditions"); conditions.is_array())
    for (const json& condition : conditions)
      if (text(condition, "type") == "PodScheduled" && text(condition, "status") == "False")
        return joined(text(condition, "reason"), text(condition, "message"));
  for (const char* list : {"initContainerStatuses", "containerStatuses"})
    if (const json& containers = at(status, list); containers.is_array())
      for (const json& container : containers) {
        const json& state = at(container, "state");
        if (at(state, "waiting").is_object()) {
          std::string why = joined(text(state, "waiting", "reason"), text(state, "waiting", "message"));
          if (const json& last = at(container, "lastState", "terminated"); last.is_object())
            why += " (it ended with " + std::to_string(number(last, "exitCode")) +
                   (text(last, "message").empty() ? "" : ": " + base::printable(text(last, "message"), 300)) + ")";
          return why;
        }
        if (at(state, "terminated").is_object())
          if (std::string(list) == "containerStatuses" || number(state, "terminated", "exitCode") != 0)
            return joined(text(state, "terminated", "reason") + ", exit code " +
                              std::to_string(number(state, "terminated", "exitCode")),
                          text(state, "terminated", "message"));
      }
  if (const json& containers = at(status, "containerStatuses"); containers.is_array())
    for (const json& container : containers)
      if (!truth(container, "ready")) return "container " + text(container, "name") + " runs, but is not ready yet";
  return text(status, "phase") == "Running" ? "not ready yet" : "not started yet";
}

}  // namespace

std::optional<std::int64_t> quantity(std::string_view text) {
  static constexpr std::pair<std::string_view, double> kSuffixes[] = {{"Ki", 1024.0},
                                                                      {"Mi", 1048576.0},
                                                                      {"Gi", 1073741824.0},
                                                                      {"Ti", 1099511627776.0},
                                                                      {"Pi", 1125899906842624.0},
                                                                      {"Ei", 1.152921504606846976e18},
                                                                      {"m", 1e-3},
                                                                      {"u", 1e-6},
                                                                      {"n", 1e-9},
                                                                      {"k", 1e3},
                                                                      {"M", 1e6},
                                                                      {"G", 1e9},
                                                                      {"T", 1e12},
                                                                      {"P", 1e15},
                                                                      {"E", 1e18}};
  if (text.empty() || text.size() > 64) return std::nullopt;
  std::int64_t whole = 0;
  auto [after, error] = std::from_chars(text.data(), text.data() + text.size(), whole);
  if (error == std::errc() && after == text.data() + text.size()) return whole;
  double value = 0;
  auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  if (parsed.ec != std::errc()) return std::nullopt;
  std::string_view suffix = text.substr(static_cast<std::size_t>(parsed.ptr - text.data()));
  if (!suffix.empty()) {
    auto found = std::find_if(std::begin(kSuffixes), std::end(kSuffixes),
                              [&](const auto& candidate) { return candidate.first == suffix; });
    if (found == std::end(kSuffixes)) return std::nullopt;
    value *= found->second;
  }
  if (!(value > -4.6e18 && value < 4.6e18)) return std::nullopt;
  auto rounded = static_cast<std::int64_t>(value);
  return static_cast<double>(rounded) < value ? rounded + 1 : rounded;
}

bool Pod::holds_epc() const {
  auto epc = requests.find(kEpcResource);
  return epc != requests.end() && epc->second > 0 && !node.empty() && phase != "Succeeded" && phase != "Failed";
}

bool DaemonSet::rolled_out() const {
  return seen_generation >= generation && updated >= wanted && available >= wanted && ready >= wanted;
}

const Node* Cluster::node(std::string_view name) const {
  auto found = std::find_if(nodes.begin(), nodes.end(), [&](const Node& one) { return one.name == name; });
  return found == nodes.end() ? nullptr : &*found;
}

const DaemonSet* Cluster::ours(std::string_view name) const {
  auto found = std::find_if(daemon_sets.begin(), daemon_sets.end(),
                            [&](const DaemonSet& set) { return set.ours && set.name == name; });
  return found == daemon_sets.end() ? nullptr : &*found;
}

std::string Cluster::name_space() const {
  if (!stored.empty()) return stored.front().name_space;
  for (const DaemonSet& set : daemon_sets)
    if (set.ours) return set.name_space;
  return {};
}

Result<> read_nodes(std::string_view list, Cluster& into) {
  return for_each_item(list, "nodes", [&](const json& object) {
    Node node;
    node.name = text(object, "metadata", "name");
    node.cordoned = truth(object, "spec", "unschedulable");
    node.kubelet_version = text(object, "status", "nodeInfo", "kubeletVersion");
    node.capacity = sgx_resources(at(object, "status", "capacity"));
    node.allocatable = sgx_resources(at(object, "status", "allocatable"));
    node.labels = chosen(at(object, "metadata", "labels"), is_node_label);
    node.annotations = chosen(at(object, "metadata", "annotations"), is_our_key);
    node.why_not_ready = "it has not reported yet";
    if (const json& conditions = at(object, "status", "conditions"); conditions.is_array())
      for (const json& condition : conditions)
        if (text(condition, "type") == "Ready") {
          node.ready = text(condition, "status") == "True";
          node.why_not_ready = node.ready ? "" : joined(text(condition, "reason"), text(condition, "message"));
        }
    into.nodes.push_back(std::move(node));
  });
}

Result<> read_pods(std::string_view list, Cluster& into) {
  return for_each_item(list, "pods", [&](const json& object) {
    Pod pod;
    pod.requests = pod_requests(at(object, "spec"));
    pod.ours = is_ours(object);
    if (pod.requests.empty() && !pod.ours) return;
    pod.name = text(object, "metadata", "name");
    pod.name_space = text(object, "metadata", "namespace");
    pod.node = text(object, "spec", "nodeName");
    pod.app = text(object, "metadata", "labels", "app.kubernetes.io/name");
    pod.phase = text(object, "status", "phase");
    pod.leaving = at(object, "metadata", "deletionTimestamp").is_string();
    pod.revision = text(object, "metadata", "labels", "controller-revision-hash");
    pod.images = images(at(object, "spec"));
    pod.annotations = chosen(at(object, "metadata", "annotations"), is_our_key);
    if (const json& conditions = at(object, "status", "conditions"); conditions.is_array())
      for (const json& condition : conditions)
        if (text(condition, "type") == "Ready") pod.ready = text(condition, "status") == "True";
    if (!pod.ready) pod.why_not = why_not(object);
    pod.meant_for = pod.node.empty() ? meant_for(at(object, "spec")) : pod.node;
    into.pods.push_back(std::move(pod));
  });
}

Result<> read_daemon_sets(std::string_view list, Cluster& into) {
  return for_each_item(list, "DaemonSets", [&](const json& object) {
    DaemonSet set;
    set.name = text(object, "metadata", "name");
    set.name_space = text(object, "metadata", "namespace");
    set.ours = is_ours(object);
    set.component = text(object, "metadata", "labels", kComponent);
    set.version = text(object, "metadata", "annotations", kVersionAnnotation);
    const json& pod = at(object, "spec", "template", "spec");
    set.images = images(pod);
    set.requests = pod_requests(pod);
    if (const json& containers = at(pod, "containers"); containers.is_array())
      for (const json& container : containers) set.has_standby |= text(container, "name") == kStandby;
    const json& surge = at(object, "spec", "updateStrategy", "rollingUpdate", "maxSurge");
    set.max_surge = surge.is_number_integer() ? surge.get<int>() : surge.is_string() && surge != "0%" && surge != "0";
    set.generation = number(object, "metadata", "generation");
    const json& status = at(object, "status");
    set.seen_generation = number(status, "observedGeneration");
    set.wanted = static_cast<int>(number(status, "desiredNumberScheduled"));
    set.updated = static_cast<int>(number(status, "updatedNumberScheduled"));
    set.ready = static_cast<int>(number(status, "numberReady"));
    set.available = static_cast<int>(number(status, "numberAvailable"));
    set.misscheduled = static_cast<int>(number(status, "numberMisscheduled"));
    into.daemon_sets.push_back(std::move(set));
  });
}

Result<> read_policies(std::string_view list, std::string_view kind, Cluster& into) {
  return for_each_item(list, "policies", [&](const json& object) {
    if (is_ours(object))
      into.policies.push_back({std::string(kind), text(object, "metadata", "name"),
                               text(object, "metadata", "annotations", kVersionAnnotation)});
  });
}

Result<> read_settings(std::string_view list, Cluster& into) {
  return for_each_item(list, "ConfigMaps", [&](const json& object) {
    if (!is_ours(object) || text(object, "metadata", "name") != kSettingsMap) return;
    into.stored.push_back({text(object, "metadata", "namespace"),
                           text(object, "metadata", "annotations", kVersionAnnotation),
                           text(object, "data", kSettingsKey), text(object, "data", kPreviousKey)});
  });
}

Result<> read_rules(std::string_view list, Cluster& into) {
  return for_each_item(list, "NodeFeatureRules", [&](const json& object) {
    const json& rules = at(object, "spec", "rules");
    if (!rules.is_array()) return;
    for (const json& rule : rules) {
      const json& offered = at(rule, "extendedResources");
      if (!offered.is_object()) continue;
      for (const auto& [name, value] : offered.items())
        if (name == kEpcResource || std::find(kForeignEpc.begin(), kForeignEpc.end(), name) != kForeignEpc.end()) {
          std::string name_space = text(object, "metadata", "namespace");
          std::string title = name_space.empty() ? "" : name_space + "/";
          title += text(object, "metadata", "name");
          into.rules.push_back({"NFD rule (NodeFeatureRule) " + title + ", which advertises " + name, false});
        }
    }
  });
}

Result<> read_quotas(std::string_view list, std::string_view kind, Cluster& into) {
  return for_each_item(list, "quotas", [&](const json& object) {
    std::string named;
    auto look_in = [&](const json& amounts) {
      if (!amounts.is_object()) return;
      for (const auto& [key, value] : amounts.items())
        for (std::string_view foreign : kForeignEpc)
          if (key == foreign || key == "requests." + std::string(foreign) || key == "limits." + std::string(foreign))
            if (named.find(key) == std::string::npos) named += (named.empty() ? "" : ", ") + key;
    };
    look_in(at(object, "spec", "hard"));
    if (const json& limits = at(object, "spec", "limits"); limits.is_array())
      for (const json& limit : limits)
        for (const char* field : {"max", "min", "default", "defaultRequest", "maxLimitRequestRatio"})
          look_in(at(limit, field));
    if (!named.empty())
      into.foreign_quotas.push_back(std::string(kind) + " " + text(object, "metadata", "namespace") + "/" +
                                    text(object, "metadata", "name") + ": " + named);
  });
}

Result<> read_revisions(std::string_view list, Cluster& into) {
  std::map<std::string, std::int64_t> newest;
  return for_each_item(list, "ControllerRevisions", [&](const json& object) {
    const json& owners = at(object, "metadata", "ownerReferences");
    std::string hash = text(object, "metadata", "labels", "controller-revision-hash");
    if (!owners.is_array() || owners.empty() || hash.empty()) return;
    std::string set = text(owners.front(), "name");
    std::int64_t revision = number(object, "revision");
    if (text(owners.front(), "kind") != "DaemonSet" || revision <= newest[set]) return;
    newest[set] = revision;
    into.newest_revision[set] = hash;
  });
}

std::vector<Foreign> foreign_daemon_sets(const Cluster& cluster) {
  // Names in the wild: AKS sgx-plugin, sgx-device-plugin, aks-engine's oe-sgx-device-plugin, Intel's intel-sgx-plugin,
  // Alibaba's sgx-device-plugin; for quotes AKS sgx-quote-helper (image sgx-attestation), Intel's intel-sgx-aesmd.
  static constexpr std::string_view kPlugins[] = {"sgx-plugin", "sgx-device-plugin"};
  static constexpr std::string_view kQuotes[] = {"sgx-quote-helper", "sgx-attestation", "sgx-aesmd"};
  auto base_name = [](std::string_view image) {
    image = image.substr(0, image.find('@'));
    if (std::size_t slash = image.rfind('/'); slash != std::string_view::npos) image.remove_prefix(slash + 1);
    return image.substr(0, image.find(':'));
  };
  std::vector<Foreign> out;
  for (const DaemonSet& set : cluster.daemon_sets) {
    if (set.ours) continue;
    std::vector<std::string_view> names = {set.name};
    for (const std::string& image : set.images) names.push_back(base_name(image));
    auto any = [&](const auto& parts) {
      return std::any_of(names.begin(), names.end(), [&](std::string_view name) {
        return std::any_of(std::begin(parts), std::end(parts), [&](std::string_view part) {
          return name == part || name.ends_with("-" + std::string(part));
        });
      });
    };
    bool plugin = any(kPlugins);
    if (!plugin && !any(kQuotes)) continue;
    std::string image = set.images.empty() ? "" : " (image " + set.images.front() + ")";
    out.push_back({"DaemonSet " + set.name_space + "/" + set.name + image, !plugin});
  }
  return out;
}

std::string Object::title() const { return kind + " " + (name_space.empty() ? "" : name_space + "/") + name; }

Result<std::vector<Object>> read_objects(std::string_view text_of_all) {
  std::vector<Object> out;
  auto keep = [&](const json& object) {
    json content = object;
    if (content.is_object()) {
      content.erase("status");
      if (auto metadata = content.find("metadata"); metadata != content.end() && metadata->is_object())
        for (const char* counted : {"resourceVersion", "generation", "managedFields"}) metadata->erase(counted);
    }
    out.push_back({text(object, "apiVersion"), text(object, "kind"), text(object, "metadata", "name"),
                   text(object, "metadata", "namespace"), is_ours(object), content.dump()});
  };
  if (text_of_all.find_first_not_of(" \t\r\n") == std::string_view::npos) return out;
  json parsed = json::parse(text_of_all, nullptr, false);
  if (parsed.is_discarded())
    return Error(ErrorKind::kMalformed, "kubectl did not answer with objects: " + base::printable(text_of_all, 80));
  if (const json& items = at(parsed, "items"); items.is_array())
    for (const json& item : items) keep(item);
  else
    keep(parsed);
  return out;
}

Result<Cluster> look(const Kubectl& kubectl, Look what, std::string_view name_space) {
  struct Question {
    std::string path, doing;
    std::function<Result<>(std::string_view, Cluster&)> read;
    bool needed;            // without it there is no answer
    bool* there = nullptr;  // set when the API server knows the kind
  };
  Cluster cluster;
  bool narrow = what == Look::kRollout;
  std::string in = narrow ? "/namespaces/" + std::string(name_space) : "";
  std::string selected = "?labelSelector=app.kubernetes.io%2Fmanaged-by%3Denclayer";
  std::vector<Question> questions;
  // resourceVersion=0: as the API server has it in memory. A second old at most is good enough to show, and cheap.
  std::string cached = what == Look::kState ? "resourceVersion=0" : "";
  questions.push_back({"/api/v1/nodes" + (cached.empty() ? "" : "?" + cached), "list nodes", read_nodes, true});
  questions.push_back({"/api/v1/pods?fieldSelector=status.phase!%3DSucceeded" + (cached.empty() ? "" : "&" + cached),
                       "list pods", read_pods, true});
  questions.push_back({"/apis/apps/v1" + in + "/daemonsets", "list DaemonSets", read_daemon_sets, true});
  if (narrow) {
    questions.push_back(
        {"/apis/apps/v1" + in + "/controllerrevisions", "list ControllerRevisions", read_revisions, true});
  } else {
    questions.push_back({"/version", "ask the API server for its version",
                         [](std::string_view answer, Cluster& into) -> Result<> {
                           json parsed = json::parse(answer, nullptr, false);
                           into.version = text(parsed, "gitVersion");
                           return {};
                         },
                         false});
    questions.push_back({"/api/v1/configmaps" + selected, "list ConfigMaps", read_settings, false});
    auto policies = [&](const char* resource, const char* kind, bool& there) {
      questions.push_back({"/apis/admissionregistration.k8s.io/v1/" + std::string(resource) + selected,
                           "list " + std::string(kind),
                           [kind](std::string_view answer, Cluster& into) { return read_policies(answer, kind, into); },
                           false, &there});
    };
    policies("mutatingadmissionpolicies", "MutatingAdmissionPolicy", cluster.has_mutating);
    policies("validatingadmissionpolicies", "ValidatingAdmissionPolicy", cluster.has_validating);
  }
  bool unused = false;
  if (what == Look::kAll) {
    questions.push_back(
        {"/apis/nfd.k8s-sigs.io/v1alpha1/nodefeaturerules", "list NodeFeatureRules", read_rules, false, &unused});
    for (auto [resource, kind] : {std::pair{"resourcequotas", "ResourceQuota"}, std::pair{"limitranges", "LimitRange"}})
      questions.push_back(
          {"/api/v1/" + std::string(resource), "list " + std::string(kind) + "s",
           [kind = kind](std::string_view answer, Cluster& into) { return read_quotas(answer, kind, into); }, false});
  }

  std::vector<Call> calls;
  calls.reserve(questions.size());
  for (const Question& question : questions)
    calls.push_back({.arguments = {"get", "--raw", question.path}, .doing = question.doing, .max_output = kMaxList});
  auto answers = kubectl.run(calls);
  for (std::size_t i = 0; i < questions.size(); ++i) {
    Question& question = questions[i];
    if (answers[i]) {
      if (question.there != nullptr) *question.there = true;
      ENCLAYER_CHECK(question.read(answers[i]->out, cluster));
      answers[i]->out = {};
      continue;
    }
    const Error& error = answers[i].error();
    // An API server that does not answer does not answer anything: one message is enough.
    if (question.needed || error.kind() == ErrorKind::kUnavailable || error.kind() == ErrorKind::kTimedOut ||
        error.kind() == ErrorKind::kInvalidArgument)
      return error;
    if (question.there != nullptr && error.kind() == ErrorKind::kNotFound) continue;
    if (question.there != nullptr) *question.there = true;  // it is there, but not for us
    cluster.not_seen.push_back(error.message());
  }
  return cluster;
}

std::int64_t amount(const Resources& resources, std::string_view name) {
  auto found = resources.find(name);
  return found == resources.end() ? 0 : found->second;
}

std::string in_words(const std::vector<std::string>& names) {
  std::string out;
  for (std::size_t i = 0; i < std::min(names.size(), kMostNamed); ++i) out += (i > 0 ? ", " : "") + names[i];
  if (names.size() > kMostNamed) out += " and " + std::to_string(names.size() - kMostNamed) + " more";
  return out;
}

}  // namespace enclayer::addon
