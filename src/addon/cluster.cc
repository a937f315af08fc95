// SPDX-License-Identifier: Apache-2.0
#include "addon/cluster.h"

#include <algorithm>
#include <charconv>
#include <climits>
#include <functional>
#include <mutex>
#include <set>

#include "addon/names.h"
#include "base/printable.h"
#include "base/quantity.h"
#include "manifests/manifests.h"

namespace enclayer::addon {
namespace {

using base::JsonValue;

std::string joined(const std::string& reason, const std::string& message) {
  std::string told = base::printable(message, 300);
  if (reason.empty()) return told;
  return told.empty() ? reason : reason + ": " + told;
}

bool is_ours(JsonValue object) { return object["metadata"]["labels"][kPartOf].text() == kOurs; }

// What tools write on the objects that they keep (Flux' helm-controller through Helm, so it comes first). The last label
// is Argo CD's before its version 3, and many people's.
std::string kept_by(JsonValue object) {
  struct Mark {
    const char *where, *name, *name_space, *what;
  };
  static constexpr Mark kMarks[] = {
      {"labels", "helm.toolkit.fluxcd.io/name", "helm.toolkit.fluxcd.io/namespace", "Flux HelmRelease "},
      {"labels", "kustomize.toolkit.fluxcd.io/name", "kustomize.toolkit.fluxcd.io/namespace", "Flux Kustomization "},
      {"annotations", "meta.helm.sh/release-name", "meta.helm.sh/release-namespace", "Helm release "},
      {"annotations", "argocd.argoproj.io/tracking-id", "", "Argo CD application "},
      {"labels", "argocd.argoproj.io/instance", "", "Argo CD application "},
      {"labels", "app.kubernetes.io/instance", "",
       "Argo CD application (or who else uses app.kubernetes.io/instance) "}};
  for (const Mark& mark : kMarks) {
    const JsonValue marks = object["metadata"][mark.where];
    std::string name = marks[mark.name].text(), place = marks[mark.name_space].text();
    name = name.substr(0, name.find(':'));  // of a tracking-id: application:group/kind:namespace/name
    if (!name.empty()) return mark.what + (place.empty() ? "" : place + "/") + name;
  }
  return "";
}

// 16 TiB in bytes, more than a node has: users may write anything, and what they write is added up.
constexpr std::int64_t kMostAmount = std::int64_t{1} << 44;

bool is_sgx_resource(std::string_view name) {
  return name == kEpcResource || name == kQuoteResource || name == kProvisionResource ||
         name == base::kHelperProvisionResource || name == base::kEnclaveResource ||
         std::find(kForeignEpc.begin(), kForeignEpc.end(), name) != kForeignEpc.end();
}

Resources sgx_resources(JsonValue list) {
  Resources out;
  for (const auto& [name, amount] : list.entries())
    if (is_sgx_resource(name))
      if (auto value = base::whole_quantity(amount.text()))
        out[name] = std::clamp<std::int64_t>(*value, 0, kMostAmount);
  return out;
}

std::map<std::string, std::string, std::less<>> chosen(JsonValue from, bool (*wanted)(std::string_view)) {
  std::map<std::string, std::string, std::less<>> out;
  for (const auto& [key, value] : from.entries())
    if (wanted(key)) out[key] = value.text();
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

Resources container_requests(JsonValue container) {
  Resources requests = sgx_resources(container["resources"]["limits"]);
  for (const auto& [name, amount] : sgx_resources(container["resources"]["requests"])) requests[name] = amount;
  return requests;
}

bool stays(JsonValue init_container) { return init_container["restartPolicy"].text() == "Always"; }

// As the scheduler counts (KEP-753): init containers run one after the other, those that restart stay.
Resources pod_requests(JsonValue spec) {
  Resources sum, most;
  for (const auto& [key, container] : spec["initContainers"].entries()) {
    Resources now = sum;
    add(now, container_requests(container));
    for (const auto& [name, amount] : now) most[name] = std::max(most[name], amount);
    if (stays(container)) sum = now;
  }
  for (const auto& [key, container] : spec["containers"].entries()) add(sum, container_requests(container));
  for (const auto& [name, amount] : most) sum[name] = std::max(sum[name], amount);
  return sum;
}

std::vector<Container> containers(JsonValue spec) {
  std::vector<Container> out;
  for (const auto& [key, container] : spec["initContainers"].entries())
    if (stays(container)) out.push_back({container["name"].text(), container_requests(container)});
  for (const auto& [key, container] : spec["containers"].entries())
    out.push_back({container["name"].text(), container_requests(container)});
  return out;
}

std::vector<std::string> images(JsonValue spec) {
  std::vector<std::string> out;
  for (const char* list : {"initContainers", "containers"})
    for (const auto& [key, container] : spec[list].entries())
      if (std::string image = container["image"].text(); std::find(out.begin(), out.end(), image) == out.end())
        out.push_back(std::move(image));
  return out;
}

JsonValue first_of(JsonValue list) {
  auto entries = list.entries();
  return entries.empty() ? list[""] : entries.front().second;
}

int count(JsonValue number) { return static_cast<int>(std::min<std::uint64_t>(number.number(), INT_MAX)); }

// The DaemonSet controller says by an affinity to a field which node a pod is for.
std::string meant_for(JsonValue spec) {
  const JsonValue needed = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
  const JsonValue field = first_of(first_of(needed["nodeSelectorTerms"])["matchFields"]);
  return field["key"].text() == "metadata.name" ? first_of(field["values"]).text() : "";
}

// Of a node or a pod.
JsonValue condition(JsonValue object, std::string_view type) {
  const JsonValue conditions = object["status"]["conditions"];
  for (const auto& [key, one] : conditions.entries())
    if (one["type"].text() == type) return one;
  return conditions[""];
}

// "CrashLoopBackOff: ... (it ended with 1: ...)"; empty: nothing keeps this container.
std::string why_not(JsonValue status, bool is_init) {
  const JsonValue waiting = status["state"]["waiting"], ended = status["state"]["terminated"];
  if (status["state"].has("waiting")) {
    std::string why = joined(waiting["reason"].text(), waiting["message"].text());
    if (!status["lastState"].has("terminated")) return why;
    const JsonValue last = status["lastState"]["terminated"];
    const std::string message = base::printable(last["message"].text(), 300);
    return why + " (it ended with " + std::to_string(last["exitCode"].number()) +
           (message.empty() ? "" : ": " + message) + ")";
  }
  const std::uint64_t code = ended["exitCode"].number();
  if (!status["state"].has("terminated") || (is_init && code == 0)) return "";
  return joined(ended["reason"].text() + ", exit code " + std::to_string(code), ended["message"].text());
}

// Of a pod that is not ready, what stands in its way.
std::string why_not(JsonValue pod) {
  const JsonValue status = pod["status"];
  if (status["phase"].text() == "Failed") return joined(status["reason"].text(), status["message"].text());
  if (const JsonValue placed = condition(pod, "PodScheduled"); placed["status"].text() == "False")
    return joined(placed["reason"].text(), placed["message"].text());
  for (const char* list : {"initContainerStatuses", "containerStatuses"})
    for (const auto& [key, container] : status[list].entries())
      if (std::string why = why_not(container, list[0] == 'i'); !why.empty()) return why;
  for (const auto& [key, container] : status["containerStatuses"].entries())
    if (!container["ready"].truth()) return "container " + container["name"].text() + " runs, but is not ready yet";
  return status["phase"].text() == "Running" ? "not ready yet" : "not started yet";
}

constexpr char kListSettings[] = "list ConfigMaps";

// A list of the API server that can be watched.
struct Source {
  const char *path = nullptr, *doing = nullptr;
  void (*put)(JsonValue object, Cluster& into) = nullptr;   // one more object
  void (*drop)(JsonValue object, Cluster& from) = nullptr;  // one that is gone
  void (*move)(Cluster& from, Cluster& to) = nullptr;       // all of them
  bool needed = true;                                       // without it there is no answer
  Scope scope = Scope::kState;                              // the narrowest that has it
  bool Cluster::*there = nullptr;                           // set when the API server knows the kind
};

template <class T>
void drop_from(std::vector<T>& all, JsonValue object) {
  const std::string name = object["metadata"]["name"].text(), space = object["metadata"]["namespace"].text();
  std::erase_if(all, [&](const T& one) {
    if constexpr (!std::is_same_v<T, Node>)
      if (one.name_space != space) return false;
    return one.name == name;
  });
}

constexpr Source kNodes = {"/api/v1/nodes", "list nodes",
                           [](JsonValue object, Cluster& into) { into.nodes.push_back(read_node(object)); },
                           [](JsonValue object, Cluster& from) { drop_from(from.nodes, object); },
                           [](Cluster& from, Cluster& to) { to.nodes = std::move(from.nodes); }};
constexpr Source kPods = {"/api/v1/pods?fieldSelector=status.phase!%3DSucceeded", "list pods",
                          [](JsonValue object, Cluster& into) {
                            if (auto pod = read_pod(object)) into.pods.push_back(*std::move(pod));
                          },
                          [](JsonValue object, Cluster& from) { drop_from(from.pods, object); },
                          [](Cluster& from, Cluster& to) { to.pods = std::move(from.pods); }};
constexpr Source kDaemonSets = {
    "/apis/apps/v1/daemonsets", "list DaemonSets",
    [](JsonValue object, Cluster& into) { into.daemon_sets.push_back(read_daemon_set(object)); },
    [](JsonValue object, Cluster& from) { drop_from(from.daemon_sets, object); },
    [](Cluster& from, Cluster& to) { to.daemon_sets = std::move(from.daemon_sets); }};
constexpr Source kDeployments = {
    "/apis/apps/v1/deployments?labelSelector=app.kubernetes.io%2Fpart-of%3Denclayer",
    "list Deployments",
    [](JsonValue object, Cluster& into) { into.deployments.push_back(read_deployment(object)); },
    [](JsonValue object, Cluster& from) { drop_from(from.deployments, object); },
    [](Cluster& from, Cluster& to) { to.deployments = std::move(from.deployments); },
    false};
constexpr Source kRevisions = {"/apis/apps/v1/controllerrevisions?labelSelector=app.kubernetes.io%2Fpart-of%3Denclayer",
                               "list ControllerRevisions",
                               read_revision,
                               [](JsonValue, Cluster&) {},  // old ones go; the newest stays as long as its DaemonSet
                               [](Cluster& from, Cluster& to) { to.newest_revision = std::move(from.newest_revision); },
                               false,
                               Scope::kAll};
constexpr Source kClaims = {"/apis/resource.k8s.io/v1/resourceclaims",
                            "list ResourceClaims",
                            read_claim,
                            [](JsonValue object, Cluster& from) { drop_from(from.claims, object); },
                            [](Cluster& from, Cluster& to) { to.claims = std::move(from.claims); },
                            false,
                            Scope::kState,
                            &Cluster::has_claims};
constexpr const Source* kSources[] = {&kNodes, &kPods, &kDaemonSets, &kDeployments, &kClaims, &kRevisions};

// Once, although somebody may go on making them.
void note(const Unreadable& unreadable, const std::string& doing, Cluster& cluster) {
  const std::string begin = "cannot " + doing + " whole: ";
  const auto said = [&](const std::string& text) { return text.starts_with(begin); };
  if (unreadable.count > 0 && std::none_of(cluster.not_seen.begin(), cluster.not_seen.end(), said))
    cluster.not_seen.push_back(begin + unreadable.text());
}

// Our labels may be written by everybody who has a namespace; those of a Namespace by nobody but who administers the
// cluster. Where the add-on came by Helm no namespace says that it is ours, and no settings are there.
Result<> leave_out_pretenders(const ApiServer& api, Cluster& cluster) {
  std::set<std::string> places;
  for (const Stored& stored : cluster.stored) places.insert(stored.name_space);
  if (places.empty()) return {};
  for (const DaemonSet& set : cluster.daemon_sets)
    if (set.ours) places.insert(set.name_space);
  std::vector<ApiRequest> questions;
  questions.reserve(places.size());
  for (const std::string& place : places)
    questions.push_back({.path = Reference{"v1", "Namespace", "", place}.path(), .doing = "read namespace " + place});
  auto answers = api.send_all(questions);
  std::set<std::string> ours;
  std::size_t at = 0;
  for (const std::string& place : places) {
    const auto& answer = answers[at++];
    if (!answer && answer.error().code() == 403)  // whoever may not look has to believe it
      ours.insert(place);
    else if (!answer && answer.error().code() != 404)
      return answer.error();
    else if (answer)
      if (auto name_space = base::JsonDocument::parse(*answer, kObjectLimits);
          name_space && is_ours(name_space->root()))
        ours.insert(place);
  }
  std::vector<std::string> pretenders;
  std::erase_if(cluster.stored, [&](const Stored& stored) {
    const bool pretends = !ours.contains(stored.name_space);
    if (pretends) pretenders.push_back("ConfigMap " + stored.name_space + "/" + std::string(kSettingsMap));
    return pretends;
  });
  if (!cluster.stored.empty())
    for (DaemonSet& set : cluster.daemon_sets)
      if (set.ours && !ours.contains(set.name_space)) {
        set.ours = false;
        pretenders.push_back("DaemonSet " + set.name_space + "/" + set.name);
      }
  if (!pretenders.empty())
    cluster.not_seen.push_back("cannot believe " + in_words(pretenders) +
                               ": our label is there, and not on the namespace. Whose is it?");
  return {};
}

}  // namespace

bool Pod::holds_sgx() const {
  return !node.empty() && phase != "Succeeded" && phase != "Failed" &&
         std::any_of(requests.begin(), requests.end(), [](const auto& one) { return one.second > 0; });
}

std::string Pod::container() const { return app.starts_with(kProgramPrefix) ? app.substr(kProgramPrefix.size()) : app; }

unsigned Cluster::minor_version() const {
  unsigned minor = 0;
  if (version.starts_with("v1.")) std::from_chars(version.data() + 3, version.data() + version.size(), minor);
  return minor;
}

std::string Cluster::why_no_claims() const {
  if (!has_claims) return "this cluster (" + version + ") has no ResourceClaim (resource.k8s.io/v1)";
  if (minor_version() < manifests::kClaimAmountsSince)
    return "ResourceClaims have amounts since Kubernetes 1." + std::to_string(manifests::kClaimAmountsSince) +
           ", and this cluster is " + version;
  return "";
}

const Node* Cluster::node(std::string_view name) const {
  auto found = std::find_if(nodes.begin(), nodes.end(), [&](const Node& one) { return one.name == name; });
  return found == nodes.end() ? nullptr : &*found;
}

const DaemonSet* Cluster::ours(std::string_view name) const {
  auto found = std::find_if(daemon_sets.begin(), daemon_sets.end(), [&](const DaemonSet& set) {
    return set.ours && set.name == name && may_be_in(set.name_space);
  });
  return found == daemon_sets.end() ? nullptr : &*found;
}

const Deployment* Cluster::deployment(std::string_view component) const {
  auto found = std::find_if(deployments.begin(), deployments.end(), [&](const Deployment& one) {
    return one.component == component && may_be_in(one.name_space);
  });
  return found == deployments.end() ? nullptr : &*found;
}

bool Cluster::is_daemon(const Pod& pod) const {
  return pod.ours && pod.app.starts_with(kProgramPrefix) && pod.name_space == name_space();
}

bool Cluster::may_be_in(std::string_view place) const { return stored.empty() || stored.front().name_space == place; }

std::string Cluster::name_space() const {
  if (!stored.empty()) return stored.front().name_space;
  for (const DaemonSet& set : daemon_sets)
    if (set.ours) return set.name_space;
  return {};
}

std::string Cluster::kept_by() const {
  for (const DaemonSet& set : daemon_sets)
    if (set.ours && !set.kept_by.empty()) return set.kept_by;
  return "";
}

Node read_node(JsonValue object) {
  Node node;
  node.name = object["metadata"]["name"].text();
  node.cordoned = object["spec"]["unschedulable"].truth();
  node.kubelet_version = object["status"]["nodeInfo"]["kubeletVersion"].text();
  node.runtime = object["status"]["nodeInfo"]["containerRuntimeVersion"].text();
  node.capacity = sgx_resources(object["status"]["capacity"]);
  node.allocatable = sgx_resources(object["status"]["allocatable"]);
  node.labels = chosen(object["metadata"]["labels"], is_node_label);
  node.annotations = chosen(object["metadata"]["annotations"], is_our_key);
  const JsonValue ready = condition(object, "Ready");
  node.ready = ready["status"].text() == "True";
  if (!node.ready) node.why_not_ready = joined(ready["reason"].text(), ready["message"].text());
  if (!node.ready && ready["status"].text().empty()) node.why_not_ready = "it has not reported yet";
  return node;
}

std::optional<Pod> read_pod(JsonValue object) {
  const JsonValue metadata = object["metadata"], spec = object["spec"];
  Pod pod;
  pod.requests = pod_requests(spec);
  pod.ours = is_ours(object);
  if (pod.requests.empty() && !pod.ours) return std::nullopt;
  pod.name = metadata["name"].text();
  pod.name_space = metadata["namespace"].text();
  pod.uid = metadata["uid"].text();
  pod.node = spec["nodeName"].text();
  pod.app = metadata["labels"]["app.kubernetes.io/name"].text();
  if (pod.ours) pod.address = object["status"]["podIP"].text();
  pod.phase = object["status"]["phase"].text();
  pod.leaving = metadata.has("deletionTimestamp");
  pod.revision = metadata["labels"]["controller-revision-hash"].text();
  pod.images = images(spec);
  pod.containers = containers(spec);
  pod.annotations = chosen(metadata["annotations"], is_our_key);
  pod.ready = condition(object, "Ready")["status"].text() == "True";
  if (!pod.ready) pod.why_not = why_not(object);
  pod.meant_for = pod.node.empty() ? meant_for(spec) : pod.node;
  return pod;
}

DaemonSet read_daemon_set(JsonValue object) {
  const JsonValue metadata = object["metadata"], pod = object["spec"]["template"]["spec"], status = object["status"];
  DaemonSet set;
  set.name = metadata["name"].text();
  set.name_space = metadata["namespace"].text();
  set.ours = is_ours(object);
  set.kept_by = kept_by(object);
  set.component = metadata["labels"][kComponent].text();
  set.version = metadata["annotations"][kVersionAnnotation].text();
  set.images = images(pod);
  set.requests = pod_requests(pod);
  for (const auto& [key, container] : pod["containers"].entries())
    set.has_standby |= container["name"].text() == kStandby;
  set.generation = metadata["generation"].number();
  set.seen_generation = status["observedGeneration"].number();
  set.wanted = count(status["desiredNumberScheduled"]);
  set.updated = count(status["updatedNumberScheduled"]);
  set.ready = count(status["numberReady"]);
  return set;
}

Deployment read_deployment(JsonValue object) {
  const JsonValue metadata = object["metadata"], spec = object["spec"], status = object["status"];
  Deployment out;
  out.name = metadata["name"].text();
  out.name_space = metadata["namespace"].text();
  out.component = metadata["labels"][kComponent].text();
  out.version = metadata["annotations"][kVersionAnnotation].text();
  out.images = images(spec["template"]["spec"]);
  out.generation = metadata["generation"].number();
  out.seen_generation = status["observedGeneration"].number();
  out.wanted = count(spec["replicas"]);
  out.there = count(status["replicas"]);
  out.updated = count(status["updatedReplicas"]);
  out.ready = count(status["readyReplicas"]);
  return out;
}

void read_slice(JsonValue object, Cluster& into) {
  const JsonValue spec = object["spec"];
  if (spec["driver"].text() != kDraDriver) return;
  std::int64_t& mib = into.offered_to_claims[spec["nodeName"].text()];
  for (const auto& [at, device] : spec["devices"].entries())
    mib += base::whole_quantity(device["capacity"][kDraCapacity]["value"].text()).value_or(0) >> 20;
}

void read_claim(JsonValue object, Cluster& into) {
  Claim claim;
  const JsonValue status = object["status"];
  for (const auto& [at, result] : status["allocation"]["devices"]["results"].entries()) {
    if (result["driver"].text() != kDraDriver) continue;
    claim.node = result["pool"].text();
    claim.mib += base::whole_quantity(result["consumedCapacity"][kDraCapacity].text()).value_or(0) >> 20;
  }
  if (claim.node.empty()) return;
  claim.name = object["metadata"]["name"].text();
  claim.name_space = object["metadata"]["namespace"].text();
  for (const auto& [at, user] : status["reservedFor"].entries())
    if (user["resource"].text() == "pods") {
      claim.pods.push_back(user["name"].text());
      claim.uids.push_back(user["uid"].text());
    }
  into.claims.push_back(std::move(claim));
}

void read_revision(JsonValue object, Cluster& into) {
  const JsonValue owner = first_of(object["metadata"]["ownerReferences"]);
  const std::string hash = object["metadata"]["labels"]["controller-revision-hash"].text();
  if (owner["kind"].text() != "DaemonSet" || hash.empty()) return;
  Revision& newest = into.newest_revision[owner["name"].text()];
  if (object["revision"].number() >= newest.number) newest = {object["revision"].number(), hash};
}

void read_rule(JsonValue object, Cluster& into) {
  for (const auto& [at, rule] : object["spec"]["rules"].entries())
    for (const auto& [name, value] : rule["extendedResources"].entries())
      if (name == kEpcResource || std::find(kForeignEpc.begin(), kForeignEpc.end(), name) != kForeignEpc.end()) {
        const std::string name_space = object["metadata"]["namespace"].text();
        into.rules.push_back({"NFD rule (NodeFeatureRule) " + (name_space.empty() ? "" : name_space + "/") +
                                  object["metadata"]["name"].text() + ", which advertises " + name,
                              false});
      }
}

void read_quota(JsonValue object, std::string_view kind, Cluster& into) {
  std::set<std::string> named;
  auto look_in = [&](JsonValue amounts) {
    for (const auto& [key, value] : amounts.entries())
      for (std::string_view foreign : kForeignEpc)
        if (key == foreign || key == "requests." + std::string(foreign) || key == "limits." + std::string(foreign))
          named.insert(key);
  };
  look_in(object["spec"]["hard"]);
  for (const auto& [at, limit] : object["spec"]["limits"].entries())
    for (const char* field : {"max", "min", "default", "defaultRequest", "maxLimitRequestRatio"}) look_in(limit[field]);
  if (named.empty()) return;
  std::string list;
  for (const std::string& name : named) list += (list.empty() ? "" : ", ") + name;
  into.foreign_quotas.push_back(std::string(kind) + " " + object["metadata"]["namespace"].text() + "/" +
                                object["metadata"]["name"].text() + ": " + list);
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

Result<Cluster> read_cluster(const ApiServer& api, Scope scope) {
  struct Question {
    std::string path, doing;
    std::function<void(JsonValue, Cluster&)> read;
    bool needed = false;    // without it there is no answer
    bool* there = nullptr;  // set when the API server knows the kind
    bool watched = false;
  };
  Cluster cluster;
  std::vector<Question> questions;
  for (const Source* source : kSources)
    if (scope == Scope::kAll || source->scope == scope)
      questions.push_back({source->path, source->doing, source->put, source->needed,
                           source->there != nullptr ? &(cluster.*source->there) : nullptr, true});
  const std::string selected = "?labelSelector=app.kubernetes.io%2Fpart-of%3Denclayer";
  questions.push_back({"/api/v1/configmaps" + selected, kListSettings, [](JsonValue object, Cluster& into) {
                         if (object["metadata"]["name"].text() != kSettingsMap) return;
                         into.stored.push_back({object["metadata"]["namespace"].text(),
                                                object["metadata"]["annotations"][kVersionAnnotation].text(),
                                                object["data"][kSettingsKey].text(),
                                                object["data"][kPreviousKey].text()});
                       }});
  bool unused = false;
  for (auto [kind, there] : {std::pair{"MutatingAdmissionPolicy", &cluster.has_mutating},
                             {"MutatingAdmissionPolicyBinding", &unused},
                             {"ValidatingAdmissionPolicy", &cluster.has_validating},
                             {"ValidatingAdmissionPolicyBinding", &unused}})
    questions.push_back({Reference{"admissionregistration.k8s.io/v1", kind}.path() + selected,
                         "list " + std::string(kind),
                         [called = kind](JsonValue object, Cluster& into) {
                           into.policies.push_back({called, object["metadata"]["name"].text(),
                                                    object["metadata"]["annotations"][kVersionAnnotation].text()});
                         },
                         false, there});
  const std::string resource = "/apis/resource.k8s.io/v1/";
  questions.push_back({resource + "resourceslices?fieldSelector=spec.driver%3D" + std::string(kDraDriver),
                       "list ResourceSlices", read_slice, false, &unused});
  if (scope == Scope::kAll) {
    questions.push_back({"/apis/monitoring.coreos.com/v1/prometheusrules" + selected, "list PrometheusRules",
                         [](JsonValue, Cluster&) {}, false, &cluster.has_monitoring});
    questions.push_back(
        {"/apis/nfd.k8s-sigs.io/v1alpha1/nodefeaturerules", "list NodeFeatureRules", read_rule, false, &unused});
    for (const char* kind : {"ResourceQuota", "LimitRange"})
      questions.push_back({Reference{"v1", kind}.path(), "list " + std::string(kind) + "s",
                           [kind](JsonValue object, Cluster& into) { read_quota(object, kind, into); }});
  }

  std::vector<Result<std::string>> answers(questions.size() + 1);  // the last one: the version
  std::vector<Unreadable> unreadable(questions.size());
  std::mutex mutex;  // of `cluster`
  at_once(answers.size(), [&](std::size_t at) {
    if (at == questions.size())
      answers[at] = api.send({.path = "/version", .doing = "ask the API server for its version"});
    else
      answers[at] = api.list(
          questions[at].path, questions[at].doing,
          [&](JsonValue object) {
            std::lock_guard lock(mutex);
            questions[at].read(object, cluster);
          },
          false, &unreadable[at]);
  });
  for (std::size_t i = 0; i < questions.size(); ++i) {
    const Question& question = questions[i];
    // Who may not list ConfigMaps may be allowed to read that of the add-on.
    if (!answers[i] && answers[i].error().code() == 403 && question.doing == kListSettings &&
        !cluster.name_space().empty()) {
      answers[i] =
          api.send({.path = Reference{"v1", "ConfigMap", cluster.name_space(), std::string(kSettingsMap)}.path(),
                    .doing = "read the add-on's settings"});
      if (!answers[i] && answers[i].error().code() == 404) continue;  // it has none
      if (answers[i]) {
        ENCLAYER_TRY(auto map, base::JsonDocument::parse(*answers[i], kObjectLimits));
        question.read(map.root(), cluster);
      }
    }
    if (question.there != nullptr) *question.there = answers[i] || answers[i].error().code() != 404;
    if (answers[i]) {
      note(unreadable[i], question.doing, cluster);
      if (question.watched) cluster.versions[question.path] = *answers[i];
      continue;
    }
    const Error& error = answers[i].error();
    // An API server that does not answer does not answer anything: one message is enough.
    if (question.needed || error.kind() == ErrorKind::kUnavailable || error.kind() == ErrorKind::kTimedOut ||
        error.kind() == ErrorKind::kMalformed)
      return error;
    if (question.there == nullptr || *question.there) cluster.not_seen.push_back(error.message());
  }
  if (answers.back())
    if (auto version = base::JsonDocument::parse(*answers.back()))
      cluster.version = version->root()["gitVersion"].text();
  ENCLAYER_CHECK(leave_out_pretenders(api, cluster));
  return cluster;
}

Result<std::vector<Reference>> list_names(const ApiServer& api, const std::vector<Reference>& kinds, bool ours,
                                          const std::string& doing) {
  const std::string selector =
      std::string("?labelSelector=app.kubernetes.io%2Fmanaged-by") + (ours ? "%3D" : "!%3D") + std::string(kOurs);
  std::vector<std::vector<Reference>> found(kinds.size());
  std::vector<Result<std::string>> listed(kinds.size());
  at_once(kinds.size(), [&](std::size_t at) {
    listed[at] = api.list(
        kinds[at].path() + selector, doing,
        [&](JsonValue object) {
          found[at].push_back({kinds[at].api_version, kinds[at].kind, object["metadata"]["namespace"].text(),
                               object["metadata"]["name"].text()});
        },
        true);
  });
  std::vector<Reference> out;
  for (std::size_t i = 0; i < kinds.size(); ++i) {
    if (!listed[i]) return listed[i].error();
    out.insert(out.end(), found[i].begin(), found[i].end());
  }
  return out;
}

Result<> ClusterWatch::refresh() {
  std::vector<const Source*> sources;
  std::vector<ApiRequest> requests;
  for (const Source* source : kSources)
    if (auto version = cluster_.versions.find(source->path); version != cluster_.versions.end()) {
      sources.push_back(source);
      requests.push_back(watch_request(source->path, version->second, source->doing));
    }
  auto answers = api_.send_all(requests);
  for (std::size_t i = 0; i < sources.size(); ++i) {
    const Source& source = *sources[i];
    std::string& version = cluster_.versions[source.path];
    if (answers[i]) {
      Unreadable unreadable;
      auto happened = [&](const std::string& type, JsonValue object) {
        source.drop(object, cluster_);
        if (type != "DELETED") source.put(object, cluster_);
      };
      ENCLAYER_TRY(bool known, read_events(*answers[i], version, happened, &unreadable));
      note(unreadable, source.doing, cluster_);
      if (known) continue;
    } else if (answers[i].error().code() == 403 && !source.needed) {
      cluster_.not_seen.push_back(answers[i].error().message());
      cluster_.versions.erase(source.path);
      continue;
    } else if (answers[i].error().code() != 410) {
      return answers[i].error();
    }
    Cluster anew;
    Unreadable unreadable;
    auto put = [&](JsonValue object) { source.put(object, anew); };
    ENCLAYER_TRY(version, api_.list(source.path, source.doing, put, false, &unreadable));
    source.move(anew, cluster_);
    note(unreadable, source.doing, cluster_);
  }
  return {};
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
