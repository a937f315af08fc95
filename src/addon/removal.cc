// SPDX-License-Identifier: Apache-2.0
#include "addon/removal.h"

#include <algorithm>
#include <set>
#include <thread>

#include "addon/names.h"

namespace enclayer::addon {
namespace {

using std::chrono::steady_clock;

bool is_policy(const Object& object) { return object.kind.find("AdmissionPolicy") != std::string::npos; }

std::vector<Object> take(std::vector<Object>& from, bool (*wanted)(const Object&)) {
  auto rest = std::stable_partition(from.begin(), from.end(), wanted);
  std::vector<Object> out(std::make_move_iterator(from.begin()), std::make_move_iterator(rest));
  from.erase(from.begin(), rest);
  return out;
}

// Our pods are gone when their DaemonSets are, a little later.
Result<> wait_for_pods(const Kubectl& kubectl, const std::string& name_space, bool force, const Patience& patience,
                       const Say& say) {
  auto deadline = steady_clock::now() + patience.timeout;
  std::size_t last = 0;
  bool forced = false;
  while (true) {
    ENCLAYER_TRY(Cluster cluster, look(kubectl, Look::kRollout, name_space));
    std::vector<const Pod*> left;
    for (const Pod& pod : cluster.pods)
      if (pod.ours && pod.name_space == name_space) left.push_back(&pod);
    if (left.empty()) return {};
    if (left.size() != last) say("waiting for " + std::to_string(left.size()) + " of our pods to end");
    last = left.size();
    auto is_down = [&](const Pod* pod) {
      const Node* node = cluster.node(pod->node);
      return !pod->node.empty() && (node == nullptr || !node->ready);
    };
    if (force && !forced && std::all_of(left.begin(), left.end(), is_down)) {
      std::vector<std::string> arguments = {
          "delete", "pod", "-n", name_space, "--ignore-not-found", "--force", "--grace-period=0", "--wait=false"};
      for (const Pod* pod : left) arguments.push_back(pod->name);
      ENCLAYER_CHECK(kubectl.run({.arguments = arguments, .doing = "remove pods of nodes that do not report"}));
      forced = true;
      continue;
    }
    if (steady_clock::now() >= deadline) {
      std::string message = "not everything is gone after " + std::to_string(patience.timeout.count()) + " s:";
      for (std::size_t i = 0; i < std::min<std::size_t>(left.size(), 10); ++i)
        message +=
            "\n  pod " + left[i]->name + " on " + left[i]->node + (is_down(left[i]) ? ", which does not report" : "");
      return Error(ErrorKind::kTimedOut,
                   message + "\nThe same command goes on; --force gives up pods on nodes that do not report");
    }
    std::this_thread::sleep_for(patience.look_every);
  }
}

// Objects in our namespace that are not ours, and that Kubernetes did not put there by itself.
Result<std::vector<std::string>> strangers(const Kubectl& kubectl, const std::string& name_space) {
  constexpr char kKinds[] =
      "pods,services,configmaps,secrets,serviceaccounts,persistentvolumeclaims,"
      "daemonsets.apps,deployments.apps,statefulsets.apps,jobs.batch,cronjobs.batch";
  ENCLAYER_TRY(Answer answer, kubectl.run({.arguments = {"get", kKinds, "-n", name_space, "-o", "json", "-l",
                                                         std::string(kManagedBy) + "!=" + std::string(kOurs)},
                                           .doing = "see who else uses the namespace " + name_space}));
  ENCLAYER_TRY(auto objects, read_objects(answer.out));
  std::vector<std::string> out;
  for (const Object& object : objects) {
    if (object.ours || (object.kind == "ConfigMap" && object.name == "kube-root-ca.crt") ||
        (object.kind == "ServiceAccount" && object.name == "default"))
      continue;
    out.push_back(object.kind + " " + object.name);
  }
  return out;
}

Result<> unmark(const Kubectl& kubectl, const Marks& found) {
  constexpr std::size_t kAtOnce = 200;  // nodes in one command line
  for (auto [verb, keys] : {std::pair{"label", &found.labels}, std::pair{"annotate", &found.annotations}})
    for (std::size_t begin = 0; !keys->empty() && begin < found.nodes.size(); begin += kAtOnce) {
      std::vector<std::string> arguments = {verb, "nodes"};
      for (std::size_t i = begin; i < std::min(begin + kAtOnce, found.nodes.size()); ++i)
        arguments.push_back(found.nodes[i]);
      for (const std::string& key : *keys) arguments.push_back(key + "-");
      auto done = kubectl.run({.arguments = arguments,
                               .doing = std::string("remove our ") + verb + "s of nodes",
                               .timeout = std::chrono::seconds(180)});
      // A node that went in the meantime has no labels either.
      if (!done && done.error().kind() != ErrorKind::kNotFound) return done.error();
    }
  return {};
}

}  // namespace

std::vector<const Pod*> holders(const Cluster& cluster) {
  std::vector<const Pod*> out;
  for (const Pod& pod : cluster.pods)
    if (pod.holds_epc() && !pod.ours) out.push_back(&pod);
  return out;
}

Marks marks(const Cluster& cluster) {
  Marks out;
  std::set<std::string> labels, annotations;
  for (const Node& node : cluster.nodes) {
    bool marked = !node.annotations.empty();
    for (const auto& [key, value] : node.annotations) annotations.insert(key);
    for (const auto& [key, value] : node.labels)
      if (key.starts_with(kOurPrefix) && key != kSimLabel) {
        labels.insert(key);
        marked = true;
      }
    if (marked) out.nodes.push_back(node.name);
  }
  out.labels.assign(labels.begin(), labels.end());
  out.annotations.assign(annotations.begin(), annotations.end());
  return out;
}

Result<Removed> remove_all(const Kubectl& kubectl, const Cluster& cluster, bool force, const Patience& patience,
                           const Say& say) {
  Removed out;
  ENCLAYER_TRY(auto objects, leftovers(kubectl, cluster, {}));
  auto note = [&](const std::vector<Object>& gone) {
    for (const Object& object : gone) out.objects.push_back(object.title());
  };

  auto policies = take(objects, is_policy);
  if (!policies.empty()) say("removing " + std::to_string(policies.size()) + " admission policies and bindings");
  // A binding before its policy: one without the other refuses what it guards.
  std::stable_partition(policies.begin(), policies.end(),
                        [](const Object& object) { return object.kind.ends_with("Binding"); });
  ENCLAYER_CHECK(remove(kubectl, policies, true, patience.timeout));
  note(policies);

  auto sets = take(objects, [](const Object& object) { return object.kind == "DaemonSet"; });
  std::set<std::string> places;
  for (const Object& set : sets) places.insert(set.name_space);
  for (const Stored& stored : cluster.stored) places.insert(stored.name_space);
  if (!sets.empty()) say("removing " + std::to_string(sets.size()) + " DaemonSets");
  ENCLAYER_CHECK(remove(kubectl, sets, false, patience.timeout));
  for (const std::string& place : places) {
    auto test = kubectl.run(
        {.arguments = {"delete", "pod", "enclayer-self-test", "-n", place, "--ignore-not-found", "--wait=false"},
         .doing = "remove the pod of a self-test"});
    if (!test && test.error().kind() != ErrorKind::kNotFound) return test.error();
    ENCLAYER_CHECK(wait_for_pods(kubectl, place, force, patience, say));
  }
  note(sets);

  // The detector may have written until it ended: look once more.
  ENCLAYER_TRY(Cluster now, look(kubectl, Look::kState));
  Marks found = marks(now);
  if (!found.nodes.empty()) {
    say("removing our labels of " + std::to_string(found.nodes.size()) +
        (found.nodes.size() == 1 ? " node" : " nodes"));
    ENCLAYER_CHECK(unmark(kubectl, found));
  }
  out.nodes_unlabelled = found.nodes.size();

  auto namespaces = take(objects, [](const Object& object) { return object.kind == "Namespace"; });
  // What remembers the settings goes last: until then a run that was cut off is known to be one.
  std::stable_partition(objects.begin(), objects.end(),
                        [](const Object& object) { return object.name != kSettingsMap; });
  ENCLAYER_CHECK(remove(kubectl, objects, true, patience.timeout));
  note(objects);
  for (const Object& place : namespaces) {
    ENCLAYER_TRY(auto others, strangers(kubectl, place.name));
    if (!others.empty()) {
      std::string names;
      for (std::size_t i = 0; i < std::min<std::size_t>(others.size(), 5); ++i)
        names += (i > 0 ? ", " : "") + others[i];
      if (others.size() > 5) names += " and " + std::to_string(others.size() - 5) + " more";
      out.namespace_kept = "namespace " + place.name + " stays: it holds what is not ours (" + names + ")";
      continue;
    }
    say("removing namespace " + place.name);
    ENCLAYER_CHECK(remove(kubectl, {&place, 1}, true, patience.timeout));
    note({place});
  }
  return out;
}

}  // namespace enclayer::addon
