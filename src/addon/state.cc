// SPDX-License-Identifier: Apache-2.0
#include "addon/state.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "addon/names.h"
#include "addon/protection.h"
#include "addon/rollout.h"
#include "base/container_runtime.h"

namespace enclayer::addon {
namespace {

// Labels by which others, and we, mark nodes with SGX.
bool is_marked(const Node& node) {
  auto is = [&](std::string_view key, std::initializer_list<std::string_view> values) {
    auto found = node.labels.find(key);
    return found != node.labels.end() && std::find(values.begin(), values.end(), found->second) != values.end();
  };
  return is(kSgxLabel, {"true"}) || is("intel.feature.node.kubernetes.io/sgx", {"true"}) ||
         is("sgx.intel.com/capable", {"true"}) || is("feature.node.kubernetes.io/cpu-security.sgx.enabled", {"true"}) ||
         is("alibabacloud.com/tee-hardware-category", {"intel-sgx1", "intel-sgx2"}) || is("tee", {"sgx"});
}

std::string label(const Node& node, std::string_view key) {
  auto found = node.labels.find(key);
  return found == node.labels.end() ? "" : found->second;
}

std::string word(const PodsOnNode* pods, bool wanted) {
  if (pods != nullptr) return pods->done ? "ready" : "not ready";
  return wanted ? "missing" : "off";
}

// A driver ends at once where containers would start without the devices of their claims.
std::string why_not_there(const Node& node, const PodsOnNode& driver) {
  const std::string stays_out = base::why_no_cdi(node.runtime);
  return stays_out.empty() ? problem(&node, driver) : "it stays out: " + stays_out;
}

// What pods on a node hold.
struct Held {
  Resources amounts;
  std::vector<std::string> users;  // pods that are not ours
};

std::map<std::string, Held> held_by_node(const Cluster& cluster) {
  std::map<std::string, Held> out;
  for (const Pod& pod : cluster.pods) {
    if (!pod.holds_sgx()) continue;
    Held& there = out[pod.node];
    for (const auto& [name, amount] : pod.requests) there.amounts[name] += amount;
    if (!pod.ours) there.users.push_back(pod.full_name());
  }
  return out;
}

// Empty: the node offers all of that.
std::string more_than_there_is(const Held& held, const Node& node) {
  std::string list;
  for (const auto& [name, held_amount] : held.amounts)
    if (const std::int64_t offered = amount(node.allocatable, name); held_amount > offered)
      list += (list.empty() ? "" : ", ") + std::to_string(held_amount) + " of " + name + ", of which the node offers " +
              std::to_string(offered);
  if (list.empty() || held.users.empty()) return "";
  return "pods hold " + list + ": " + in_words(held.users) + ". They run on, and cannot start again there";
}

}  // namespace

std::vector<PartState> parts(const Cluster& cluster, const Remembered* before) {
  std::vector<PartState> out = {
      {"device-plugin", "EPC and enclave devices as resources that pods ask for"},
      {"detect", "labels the nodes that have SGX"},
      {"dra-driver", "EPC as an amount that ResourceClaims ask for (--dra-epc)"},
      {"quote-helper", "answers pods' quote requests, one a node (--enable-sgxquotehelper)"},
      {"attestation-service", "judges quotes and gives out tokens (--enable-attestation-service)"}};
  auto fill = [](PartState& part, const auto& object) {
    part.on = true;
    part.image = object.images.empty() ? "" : object.images.back();
    part.version = object.version;
    part.ready = object.ready;
    part.wanted = object.wanted;
  };
  for (PartState& part : out) {
    if (const DaemonSet* set = cluster.ours("enclayer-" + part.name)) fill(part, *set);
    if (const Deployment* deployment = cluster.deployment(part.name)) fill(part, *deployment);
  }
  PartState admission{"admission", "policies: other vendors' names are translated, mistakes refused"};
  for (const Policy& policy : cluster.policies) {
    if (policy.is_binding()) continue;
    admission.on = true;
    admission.version = policy.version;
  }
  out.push_back(std::move(admission));
  out.push_back({"in-proc-attestation", "pods may ask for the provisioning device (--in-proc-attestation)",
                 before != nullptr && before->settings.in_proc_attestation});
  return out;
}

std::vector<std::string> half_applied(const Cluster& cluster, const Remembered* before) {
  if (before == nullptr) return {};
  const manifests::Settings& settings = before->settings;
  std::vector<std::string> out;
  auto compare = [&](bool wanted, bool there, const std::string& what) {
    if (wanted != there) out.push_back(what + (wanted ? " is missing" : " is there, and the settings have none"));
  };
  auto daemon_set = [&](bool wanted, std::string_view name) {
    compare(wanted, cluster.ours(name) != nullptr, "DaemonSet " + std::string(name));
  };
  daemon_set(true, kPlugin);
  daemon_set(cluster.has_validating, kDetect);
  daemon_set(settings.quote_helper, kHelper);
  const bool claims = !settings.dra_epc.empty() && cluster.why_no_claims().empty();
  daemon_set(claims, kDriver);
  compare(claims && settings.dra_above > 0, cluster.deployment("claim-templates") != nullptr,
          "Deployment enclayer-claim-templates");
  compare(settings.attestation_service, cluster.deployment(kAttestation) != nullptr,
          "Deployment " + std::string(kAttest));
  return out;
}

std::string versions_apart(std::string_view addon, std::string_view cli) {
  auto minor = [](std::string_view version) {  // of MAJOR.MINOR.PATCH
    const std::size_t dot = version.find('.');
    unsigned out = 0;
    const bool read = dot != version.npos &&
                      std::from_chars(version.data() + dot + 1, version.data() + version.size(), out).ec == std::errc();
    return read ? std::optional(static_cast<int>(out)) : std::nullopt;
  };
  const auto theirs = minor(addon), ours = minor(cli);
  if (!theirs || !ours || std::abs(*theirs - *ours) <= 1) return "";
  return "the add-on is of version " + std::string(addon) + " and this is enclayer " + std::string(cli) +
         ": one minor version at a time is supported, up and down; take the " + (*theirs > *ours ? "newer" : "older") +
         " enclayer that is next to it";
}

State state(const Cluster& cluster, const Remembered* before, std::string_view cli_version) {
  State out;
  out.cluster_version = cluster.version;
  out.name_space = cluster.name_space();
  out.on = !out.name_space.empty();
  out.kept_by = cluster.kept_by();
  out.addon_version = written_by(cluster, before);
  out.parts = parts(cluster, before);
  std::copy_if(cluster.policies.begin(), cluster.policies.end(), std::back_inserter(out.policies),
               [](const Policy& policy) { return !policy.is_binding(); });
  std::sort(out.policies.begin(), out.policies.end(),
            [](const Policy& a, const Policy& b) { return std::tie(a.kind, a.name) < std::tie(b.kind, b.name); });

  const DaemonSet* plugin_set = cluster.ours(kPlugin);
  const DaemonSet* helper_set = cluster.ours(kHelper);
  bool sim = before != nullptr && before->settings.platform == manifests::Platform::kSim;
  const DaemonSet* driver_set = cluster.ours(kDriver);
  const auto plugins = pods_by_node(cluster, kPlugin), helpers = pods_by_node(cluster, kHelper);
  const auto drivers = pods_by_node(cluster, kDriver);
  std::map<std::string, std::int64_t> claimed;
  for (const Claim& claim : cluster.claims) claimed[claim.node] += claim.mib;
  out.claims = cluster.claims;
  std::sort(out.claims.begin(), out.claims.end(), [](const Claim& a, const Claim& b) {
    return std::tie(a.node, a.name_space, a.name) < std::tie(b.node, b.name_space, b.name);
  });
  auto on = [](const std::map<std::string, PodsOnNode>& all, const std::string& node) {
    auto found = all.find(node);
    return found == all.end() ? nullptr : &found->second;
  };
  auto held = held_by_node(cluster);
  std::vector<std::string> more_held;
  for (const Node& node : cluster.nodes) {
    const PodsOnNode* plugin = on(plugins, node.name);
    const PodsOnNode* helper = on(helpers, node.name);
    const PodsOnNode* driver = on(drivers, node.name);
    bool user_sim = label(node, kSimLabel) == "true";
    std::int64_t total = amount(node.capacity, kEpcResource);
    bool marked = is_marked(node);
    const Held there = std::exchange(held[node.name], {});
    // Of a node that does not report, what it offered last is not known to be wrong.
    std::string more = node.ready ? more_than_there_is(there, node) : "";
    if (!marked && total == 0 && plugin == nullptr && helper == nullptr && !(sim && user_sim) && more.empty()) {
      ++out.other_nodes;
      continue;
    }
    NodeState one;
    one.name = node.name;
    one.platform = label(node, "enclayer.io/platform");
    one.driver = label(node, "enclayer.io/sgx-driver");
    one.epc_total = total;
    one.epc_allocatable = amount(node.allocatable, kEpcResource);
    one.epc_requested = amount(there.amounts, kEpcResource);
    one.dra_claimed = claimed[node.name];
    if (auto found = cluster.offered_to_claims.find(node.name); found != cluster.offered_to_claims.end())
      one.dra_total = found->second;
    // With a simulation only nodes that the user named take part.
    bool takes_part = sim ? user_sim && marked : marked;
    one.plugin = word(plugin, plugin_set != nullptr && takes_part);
    one.driver_pod = word(driver, driver_set != nullptr && takes_part);
    one.helper = word(helper, helper_set != nullptr && takes_part);
    one.quotes = amount(node.allocatable, kQuoteResource) > 0;
    if (!node.ready)
      one.reason = problem(&node, {});
    else if (plugin != nullptr && !plugin->done)
      one.reason = "device plugin: " + problem(&node, *plugin);
    else if (one.plugin == "missing")
      one.reason = "the node is marked as an SGX node, but has no device plugin; `kubectl describe ds -n " +
                   out.name_space + " " + std::string(kPlugin) + "` may tell why";
    else if (plugin != nullptr && one.epc_allocatable == 0)
      one.reason = "the device plugin is ready, but the node offers no EPC; its log tells: kubectl logs -n " +
                   plugin->newest->name_space + " " + plugin->newest->name;
    else if (driver != nullptr && !driver->done)
      one.reason = "DRA driver: " + why_not_there(node, *driver);
    else if (one.driver_pod == "missing")
      one.reason = "there is no DRA driver on it";
    else if (helper != nullptr && !helper->done)
      one.reason = "quote helper: " + problem(&node, *helper);
    else if (one.helper == "missing")
      one.reason = "there is no quote helper on it";
    else if (helper != nullptr && !one.quotes)
      one.reason = "the quote helper is ready, but the plugin does not offer " + std::string(kQuoteResource) + " (yet)";
    else if (sim && user_sim && !marked)
      one.reason = "you labelled it " + std::string(kSimLabel) + ", but detect has not marked it yet";
    if (one.reason.empty())
      one.reason = std::move(more);
    else if (!more.empty())
      more_held.push_back(node.name + ": " + more);
    out.nodes.push_back(std::move(one));
  }
  std::sort(out.nodes.begin(), out.nodes.end(), [](const NodeState& a, const NodeState& b) {
    return std::tuple(a.reason.empty(), a.name) < std::tuple(b.reason.empty(), b.name);
  });

  auto warn = [&](std::string text) { out.warnings.push_back(std::move(text)); };
  for (const std::string& text : cluster.not_seen) warn("not everything is known: " + text);
  for (std::string& text : more_held) warn(std::move(text));
  for (const auto& [node, there] : held)
    if (!there.users.empty())
      warn("node " + node + " is gone; pods that held SGX resources there are still listed: " + in_words(there.users));
  if (before != nullptr)
    if (std::string text = unknown_settings(before->settings); !text.empty()) warn(std::move(text));
  if (!out.on) {
    for (std::string& text : in_the_way(cluster)) warn(std::move(text));
    return out;
  }
  std::set<std::string> places;
  for (const DaemonSet& set : cluster.daemon_sets)
    if (set.ours) places.insert(set.name_space);
  for (const Stored& stored : cluster.stored) places.insert(stored.name_space);
  if (places.size() > 1)
    warn("there are enclayers in more than one namespace: " +
         in_words(std::vector<std::string>(places.begin(), places.end())));
  if (cluster.stored.empty())
    warn("it was not switched on with `enclayer enable`: " +
         (out.kept_by.empty() ? "somebody applied its manifests. Change it there, or with `enclayer enable --adopt`; "
                                "`enclayer disable` removes it"
                              : out.kept_by + " keeps it. That is where to change it and to switch it off") +
         "; its settings are not known here");
  else if (!out.kept_by.empty())
    warn(out.kept_by + " keeps objects of it too, and puts back what `enclayer update` changes: let go of them there");
  if (before != nullptr && before->version != cli_version)
    warn("this is enclayer " + std::string(cli_version) + ", the add-on was written by " +
         (before->version.empty() ? "an unknown version" : before->version) + "; `enclayer update` brings it to " +
         std::string(cli_version));
  std::set<std::string> policy_versions;
  for (const Policy& policy : out.policies)
    if (before != nullptr && policy.version != before->version)
      policy_versions.insert(policy.version.empty() ? "none" : policy.version);
  for (const std::string& version : policy_versions)
    warn("there are admission policies of version " + version + ", the add-on has " + before->version +
         "; `enclayer update` repairs that");
  if (const auto differ = half_applied(cluster, before); !differ.empty())
    warn("the add-on is half applied: " + in_words(differ) +
         "; `enclayer update` repairs that, or `enclayer disable` goes on where it was cut off");
  if (before != nullptr && !before->settings.dra_epc.empty())
    if (const std::string why = cluster.why_no_claims(); !why.empty()) warn("the DRA driver stays out: " + why);
  if (driver_set == nullptr && !cluster.claims.empty())
    warn(std::to_string(cluster.claims.size()) +
         " claims hold EPC, and there is no DRA driver: their pods cannot end. `enclayer update --dra-epc` brings it "
         "back");
  if (!cluster.has_mutating)
    warn("this cluster has no MutatingAdmissionPolicy (Kubernetes 1.36): other vendors' names are not translated");
  if (!cluster.has_validating)
    warn("this cluster has no ValidatingAdmissionPolicy (Kubernetes 1.30): mistakes in pods are not refused");
  for (const Foreign& foreign : foreign_daemon_sets(cluster))
    warn(foreign.what + (foreign.serves_quotes ? " answers quote requests too"
                                               : " is another SGX device plugin: EPC is counted twice where both run"));
  for (const Pending& one : pending(cluster))
    if (one.node.empty()) warn(one.part + ": " + one.why);
  for (const Pod& pod : cluster.pods)
    if (const Node* node = cluster.node(pod.node);
        pod.ours && pod.app == kAttest && node != nullptr && is_marked(*node))
      warn(
          "pod " + pod.name + " of the attestation service runs on SGX node " + pod.node +
          ": who controls that node can make any token for its enclaves. Nodes without SGX are preferred, and none has "
          "room for it");
  std::set<std::string> told_images;
  for (const Pod& pod : cluster.pods)
    if (pod.ours)
      if (const DaemonSet* set = cluster.ours(pod.app);
          set != nullptr && pod.images != set->images && told_images.insert(pod.app).second)
        warn("not every pod of " + pod.app + " runs the newest image yet (" + pod.images.back() + " on " + pod.node +
             ")");
  if (plugin_set != nullptr && out.nodes.empty())
    warn(sim ? "no node takes part in the simulation: kubectl label node NODE enclayer.io/sim=true"
             : "no node has usable SGX; `kubectl logs -n " + out.name_space + " ds/" + std::string(kDetect) +
                   "` tells why");
  return out;
}

}  // namespace enclayer::addon
