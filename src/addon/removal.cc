// SPDX-License-Identifier: Apache-2.0
#include "addon/removal.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "addon/names.h"

namespace enclayer::addon {
namespace {

using std::chrono::steady_clock;

std::vector<Reference> take(std::vector<Reference>& from, bool (*wanted)(const Reference&)) {
  auto rest = std::stable_partition(from.begin(), from.end(), wanted);
  std::vector<Reference> out(std::make_move_iterator(from.begin()), std::make_move_iterator(rest));
  from.erase(from.begin(), rest);
  return out;
}

// Our pods are gone when their DaemonSets are, a little later.
Result<> wait_for_pods(const ApiServer& api, ClusterWatch& watch, const std::string& name_space, bool force,
                       const WaitLimits& limits, const Progress& progress) {
  const auto deadline = steady_clock::now() + limits.timeout;
  std::size_t last = 0;
  while (true) {
    const auto turn = steady_clock::now();
    ENCLAYER_CHECK(watch.refresh());
    const Cluster& cluster = watch.cluster();
    std::vector<Reference> left, lost;  // lost: their nodes do not report
    std::string lines;
    for (const Pod& pod : cluster.pods) {
      if (!pod.ours || pod.name_space != name_space) continue;
      left.push_back({"v1", "Pod", pod.name_space, pod.name});
      const Node* node = cluster.node(pod.node);
      if (!pod.node.empty() && (node == nullptr || !node->ready)) lost.push_back(left.back());
      if (left.size() <= 10) lines += "\n  pod " + pod.name + " on " + pod.node + ": " + problem(node, {&pod});
    }
    if (left.empty()) return {};
    if (left.size() != last) progress("waiting for " + std::to_string(left.size()) + " of our pods to end");
    last = left.size();
    if (force && lost.size() == left.size())
      ENCLAYER_CHECK(remove(api, lost, std::chrono::seconds(0), "?gracePeriodSeconds=0"));
    if (turn >= deadline)
      return Error(ErrorKind::kTimedOut, "not everything is gone after " + std::to_string(limits.timeout.count()) +
                                             " s:" + lines +
                                             "\nThe same command goes on; --force gives up pods on nodes that do not "
                                             "report");
    std::this_thread::sleep_until(turn + kWatch);  // unless it took that long already
  }
}

// All in one request, once their DaemonSets are gone. The controller manager's garbage collector would come to them one
// by one, with two requests for each, and asks 20 times a second as Kubernetes comes: minutes on hundreds of nodes. It
// does so where the user may not delete them.
void remove_pods(const ApiServer& api, const std::string& name_space) {
  (void)api.send(
      {.method = "DELETE",
       .path = "/api/v1/namespaces/" + name_space + "/pods?labelSelector=app.kubernetes.io%2Fpart-of%3Denclayer",
       .doing = "delete our pods",
       .metadata_only = true});
}

// The kubelets remove them 30 s after their driver is gone; until then schedulers would place claims.
void remove_slices(const ApiServer& api) {
  (void)api.send(
      {.method = "DELETE",
       .path = "/apis/resource.k8s.io/v1/resourceslices?fieldSelector=spec.driver%3D" + std::string(kClaimDriver),
       .doing = "delete our ResourceSlices",
       .metadata_only = true});
}

// Objects in our namespace that are not ours, and that Kubernetes did not put there by itself.
Result<std::vector<std::string>> strangers(const ApiServer& api, const std::string& name_space) {
  std::vector<Reference> kinds;
  for (auto [version, kind] : {std::pair{"v1", "Pod"},
                               {"v1", "Service"},
                               {"v1", "ConfigMap"},
                               {"v1", "Secret"},
                               {"v1", "ServiceAccount"},
                               {"v1", "PersistentVolumeClaim"},
                               {"apps/v1", "DaemonSet"},
                               {"apps/v1", "Deployment"},
                               {"apps/v1", "StatefulSet"},
                               {"batch/v1", "Job"},
                               {"batch/v1", "CronJob"}})
    kinds.push_back({version, kind, name_space});
  ENCLAYER_TRY(auto objects, list_names(api, kinds, false, "see who else uses the namespace " + name_space));
  std::vector<std::string> out;
  for (const Reference& object : objects)
    if (!(object.kind == "ConfigMap" && object.name == "kube-root-ca.crt") &&
        !(object.kind == "ServiceAccount" && object.name == "default"))
      out.push_back(object.kind + " " + object.name);
  return out;
}

Result<> remove_keys(const ApiServer& api, const std::vector<DetectedKeys>& keys) {
  std::vector<ApiRequest> requests;
  requests.reserve(keys.size());
  for (const DetectedKeys& one : keys)
    requests.push_back({.method = "PATCH",
                        .path = "/api/v1/nodes/" + one.node + "?fieldManager=" + std::string(kFieldManager),
                        .doing = "remove our labels of node " + one.node,
                        .body = one.merge_patch(),
                        .content_type = "application/merge-patch+json"});
  // A node that went in the meantime has no labels either.
  for (const auto& done : api.send_all(requests))
    if (!done && done.error().code() != 404) return done.error();
  return {};
}

}  // namespace

std::vector<const Pod*> holders(const Cluster& cluster) {
  std::vector<const Pod*> out;
  for (const Pod& pod : cluster.pods)
    if (pod.holds_sgx() && !pod.ours) out.push_back(&pod);
  return out;
}

std::string claims_held(const Cluster& cluster) {
  if (cluster.claims.empty()) return "";
  std::vector<std::string> names;
  for (const Claim& claim : cluster.claims)
    names.push_back(claim.full_name() + " on " + claim.node + " (" + std::to_string(claim.mib) + " MiB" +
                    (claim.pods.empty() ? "" : ", of pod " + in_words(claim.pods)) + ")");
  return std::to_string(names.size()) + (names.size() == 1 ? " claim holds" : " claims hold") +
         " EPC by the DRA driver: " + in_words(names);
}

std::string DetectedKeys::merge_patch() const {
  nlohmann::json metadata = {{"labels", nlohmann::json::object()}, {"annotations", nlohmann::json::object()}};
  for (const std::string& key : labels) metadata["labels"][key] = nullptr;
  for (const std::string& key : annotations) metadata["annotations"][key] = nullptr;
  return nlohmann::json{{"metadata", std::move(metadata)}}.dump();
}

std::vector<DetectedKeys> detected_keys(const Cluster& cluster) {
  std::vector<DetectedKeys> out;
  for (const Node& node : cluster.nodes) {
    DetectedKeys one{node.name, {}, {}};
    for (const auto& [key, value] : node.annotations) one.annotations.push_back(key);
    for (const auto& [key, value] : node.labels)
      if (key.starts_with(kOurPrefix) && key != kSimLabel) one.labels.push_back(key);
    if (!one.labels.empty() || !one.annotations.empty()) out.push_back(std::move(one));
  }
  return out;
}

std::string left_behind(const std::vector<Reference>& objects, const std::vector<DetectedKeys>& keys) {
  std::vector<std::string> titles, nodes;
  for (const Reference& object : objects) titles.push_back(object.title());
  for (const DetectedKeys& one : keys) nodes.push_back(one.node);
  if (titles.empty() && nodes.empty()) return "";
  return "something is left of an add-on that was here: " + in_words(titles) +
         (titles.empty() || nodes.empty() ? "" : "; ") + (nodes.empty() ? "" : "labels on " + in_words(nodes)) +
         ". `enclayer disable` removes it";
}

Result<Removed> remove_all(const ApiServer& api, ClusterWatch& watch, bool force, const WaitLimits& limits,
                           const Progress& progress) {
  Removed out;
  ENCLAYER_TRY(auto objects, leftovers(api, watch.cluster(), {}));
  auto remove_now = [&](const std::vector<Reference>& some) -> Result<> {
    ENCLAYER_CHECK(remove(api, some, limits.timeout));
    for (const Reference& object : some) out.objects.push_back(object.title());
    return {};
  };

  // A binding before its policy (leftovers() has them so): one without the other refuses what it guards.
  auto policies =
      take(objects, [](const Reference& object) { return object.kind.find("AdmissionPolicy") != std::string::npos; });
  if (!policies.empty()) progress("removing " + std::to_string(policies.size()) + " admission policies and bindings");
  ENCLAYER_CHECK(remove_now(policies));

  auto sets =
      take(objects, [](const Reference& object) { return object.kind == "DaemonSet" || object.kind == "Deployment"; });
  std::set<std::string> places;
  for (const Reference& set : sets) places.insert(set.name_space);
  for (const Stored& stored : watch.cluster().stored) places.insert(stored.name_space);
  if (!sets.empty()) progress("removing " + std::to_string(sets.size()) + " DaemonSets and Deployments");
  ENCLAYER_CHECK(remove_now(sets));
  for (const std::string& place : places) {
    const Reference self_test{"v1", "Pod", place, "enclayer-self-test"};
    ENCLAYER_CHECK(remove(api, {&self_test, 1}, std::chrono::seconds(0)));
    remove_pods(api, place);
    ENCLAYER_CHECK(wait_for_pods(api, watch, place, force, limits, progress));
  }

  if (!watch.cluster().offered_to_claims.empty()) remove_slices(api);
  // The detector may have written until it ended: look once more.
  ENCLAYER_CHECK(watch.refresh());
  const auto keys = detected_keys(watch.cluster());
  if (!keys.empty())
    progress("removing our labels of " + std::to_string(keys.size()) + (keys.size() == 1 ? " node" : " nodes"));
  ENCLAYER_CHECK(remove_keys(api, keys));
  out.nodes_unlabelled = keys.size();

  auto namespaces = take(objects, [](const Reference& object) { return object.kind == "Namespace"; });
  // What remembers the settings goes last: until then a run that was cut off is known to be one.
  std::stable_partition(objects.begin(), objects.end(),
                        [](const Reference& object) { return object.name != kSettingsMap; });
  ENCLAYER_CHECK(remove_now(objects));
  for (const Reference& place : namespaces) {
    ENCLAYER_TRY(auto others, strangers(api, place.name));
    if (!others.empty()) {
      out.namespace_kept = "namespace " + place.name + " stays: it holds what is not ours (" + in_words(others) + ")";
      continue;
    }
    progress("removing namespace " + place.name);
    ENCLAYER_CHECK(remove_now({place}));
  }
  return out;
}

}  // namespace enclayer::addon
