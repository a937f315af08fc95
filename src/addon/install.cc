// SPDX-License-Identifier: Apache-2.0
#include "addon/install.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "addon/names.h"
#include "addon/rollout.h"
#include "base/container_runtime.h"
#include "base/json.h"
#include "base/malformed.h"
#include "base/printable.h"
#include "base/quantity.h"
#include "base/version.h"

namespace enclayer::addon {
namespace {

using manifests::Document;
using manifests::Settings;
using nlohmann::json;

std::string group_of(std::string_view api_version) {
  std::size_t slash = api_version.find('/');
  return slash == std::string_view::npos ? "" : std::string(api_version.substr(0, slash));
}

Reference reference(const Document& document) {
  return {document.api_version, document.kind, document.name_space, document.name};
}

Document settings_document(const Settings& settings, const std::string& previous_json) {
  std::string name_space = settings.name_space;
  json data = {{std::string(kSettingsKey), to_json(settings)}};
  if (!previous_json.empty()) data[std::string(kPreviousKey)] = previous_json;
  json object = {{"apiVersion", "v1"},
                 {"kind", "ConfigMap"},
                 {"metadata",
                  {{"name", kSettingsMap},
                   {"namespace", name_space},
                   {"labels", {{"app.kubernetes.io/part-of", kOurs}, {kManagedBy, kOurs}, {kComponent, "addon"}}},
                   {"annotations", {{kVersionAnnotation, base::kVersion}}}}},
                 {"data", std::move(data)}};
  return {.file = "",
          .api_version = "v1",
          .kind = "ConfigMap",
          .name = std::string(kSettingsMap),
          .name_space = name_space,
          .component = "addon",
          .text = object.dump(2) + "\n"};
}

// The settings as JSON that means the same to this version: what the other version took by itself is named.
std::string as_it_was(const Remembered& before) {
  Settings settings = before.settings;
  std::string suffix = std::string(":") + base::kVersion, own = Settings().image;
  if (!before.version.empty() && settings.image == own && own.ends_with(suffix))
    settings.image = own.substr(0, own.size() - suffix.size()) + ":" + before.version;
  return to_json(settings);
}

// Where EPC is offered already, and less of it is free than a helper's pod asks for, beside what one there has. Empty:
// nowhere.
std::string no_room_for_helper(const Cluster& cluster, const Settings& settings) {
  if (!settings.quote_helper) return "";
  const std::int64_t needed = helper_pod_epc_mib(settings);
  std::vector<std::string> narrow;
  for (const Node& node : cluster.nodes) {
    if (amount(node.allocatable, kEpcResource) == 0) continue;
    std::int64_t free = free_on(cluster, node, kEpcResource);
    for (const Pod& pod : cluster.pods)
      if (pod.ours && pod.app == kHelper && pod.node == node.name && pod.holds_sgx())
        free += amount(pod.requests, kEpcResource);
    if (free < needed)
      narrow.push_back(node.name + " (" + std::to_string(std::max<std::int64_t>(free, 0)) + " MiB free)");
  }
  if (narrow.empty()) return "";
  return std::string("no room for a quote helper") + (settings.standby ? " and its standby, " : ", ") +
         std::to_string(needed) + " MiB of EPC, on " + in_words(narrow) + ": a new one starts there when some is free" +
         (settings.standby ? ". --disable-standby needs " + std::to_string(helper_epc_mib(settings)) + " MiB" : "");
}

// Both daemons refuse to start there. By what detect wrote of the node; empty where it wrote nothing.
std::string too_large_a_part(const Settings& settings, const Node& node) {
  if (settings.dra_epc.ends_with('%')) return "";
  const auto part = base::parse_quantity(settings.dra_epc);
  const auto label = node.labels.find(kEpcMibLabel);
  const std::int64_t all = label == node.labels.end() ? 0 : base::whole_quantity(label->second).value_or(0);
  const std::int64_t kept = plugin_least_epc_mib(settings);
  if (!part || all == 0 || static_cast<std::int64_t>(*part >> 20) + kept <= all) return "";
  return "--dra-epc " + settings.dra_epc + " is too much for node " + node.name + ", which has " + std::to_string(all) +
         " MiB of EPC, " + std::to_string(kept) +
         " of them the device plugin's: neither door starts there. Give a smaller amount, or a percentage";
}

}  // namespace

Result<std::optional<Remembered>> remembered(const Cluster& cluster) {
  std::set<std::string> places;
  for (const Stored& stored : cluster.stored) places.insert(stored.name_space);
  for (const DaemonSet& set : cluster.daemon_sets)
    if (set.ours) places.insert(set.name_space);
  if (places.size() > 1)
    return Error(ErrorKind::kConflict,
                 "there are two enclayers in this cluster, in the namespaces " +
                     in_words(std::vector<std::string>(places.begin(), places.end())) +
                     "; two of them would offer the same EPC twice. `enclayer disable` removes both");
  if (cluster.stored.empty()) return std::optional<Remembered>();
  const Stored& stored = cluster.stored.front();
  std::string where = "ConfigMap " + stored.name_space + "/" + std::string(kSettingsMap);
  auto settings = manifests::parse_settings_json(stored.settings_json);
  if (!settings) return settings.error().with_context(where);
  Remembered out{stored.name_space, stored.version, std::move(*settings), stored.previous_json};
  out.settings.name_space = stored.name_space;
  return std::optional(std::move(out));
}

Result<Settings> previous_settings(const Remembered& now) {
  if (now.previous_json.empty())
    return Error(ErrorKind::kNotFound, "there is no way back: the settings were never changed (ConfigMap " +
                                           now.name_space + "/" + std::string(kSettingsMap) + " has no " +
                                           std::string(kPreviousKey) + ")");
  auto settings = manifests::parse_settings_json(now.previous_json);
  if (!settings)
    return settings.error().with_context("ConfigMap " + now.name_space + "/" + std::string(kSettingsMap) + ", " +
                                         std::string(kPreviousKey));
  settings->name_space = now.name_space;
  return settings;
}

Result<Plan> plan(const Cluster& cluster, const Settings& settings, const std::optional<Remembered>& before) {
  // What the cluster has decides, not its version: somebody may have switched the policies off.
  const unsigned kubernetes = cluster.has_mutating     ? manifests::kNewestKubernetes
                              : cluster.has_validating ? manifests::kMutatingSince - 1
                                                       : manifests::kValidatingSince - 1;
  Plan out;
  // Where claims have no amounts, all EPC is the device plugin's.
  Settings possible = settings;
  if (const std::string why = cluster.why_no_claims(); !settings.dra_epc.empty() && !why.empty()) {
    possible.dra_epc.clear();
    possible.dra_above = 0;
    out.left_out.push_back("The DRA driver (--dra-epc " + settings.dra_epc + ") stays out: " + why +
                           ". All EPC is offered by the device plugin.");
  }
  if (settings.monitoring && !cluster.has_monitoring) {
    possible.monitoring = false;
    out.left_out.push_back(
        "Alerts, PodMonitor and dashboard (--enable-monitoring) stay out: this cluster has no PrometheusRule "
        "(monitoring.coreos.com/v1), the Prometheus operator's. `enclayer update` after that is installed brings "
        "them.");
  }
  ENCLAYER_TRY(out.documents, render(possible, kubernetes));
  if (!cluster.has_mutating)
    out.left_out.push_back("This cluster (" + cluster.version +
                           ") has no MutatingAdmissionPolicy (admissionregistration.k8s.io/v1, Kubernetes 1.36): EPC "
                           "under other vendors' names is not translated and annotations do nothing. Pods ask for " +
                           std::string(kEpcResource) + " and " + std::string(kQuoteResource) + " themselves.");
  if (!cluster.has_validating)
    out.left_out.push_back(
        "This cluster (" + cluster.version +
        ") has no ValidatingAdmissionPolicy (admissionregistration.k8s.io/v1, Kubernetes 1.30): "
        "mistakes in pods are not refused, and enclayer-detect, which nothing would hold to its own node, "
        "is left out. Label nodes with SGX yourself: kubectl label node NAME " +
        std::string(kSgxLabel) + "=true");
  // What was chosen comes right after the place for it: a run that is cut off later is finished by the next.
  std::string previous;
  if (before)
    previous =
        before->settings == settings && before->version == base::kVersion ? before->previous_json : as_it_was(*before);
  auto place = std::find_if(out.documents.begin(), out.documents.end(),
                            [](const Document& document) { return document.kind != "Namespace"; });
  out.documents.insert(place, settings_document(settings, previous));
  return out;
}

std::vector<std::string> in_the_way(const Cluster& cluster) {
  std::vector<std::string> out;
  for (const Foreign& foreign : foreign_daemon_sets(cluster))
    if (!foreign.serves_quotes)
      out.push_back(foreign.what +
                    " is a device plugin for SGX. Remove it first (on AKS: az aks disable-addons --addons confcom)");
  for (const Foreign& rule : cluster.rules) out.push_back(rule.what + ". Remove the rule, or that line of it, first");
  bool have_plugin = cluster.ours(kPlugin) != nullptr;
  std::map<std::string, std::vector<std::string>> by_resource;
  for (const Node& node : cluster.nodes)
    for (const auto& [name, amount] : node.allocatable) {
      bool epc = name == kEpcResource || std::find(kForeignEpc.begin(), kForeignEpc.end(), name) != kForeignEpc.end() ||
                 name == base::kEnclaveResource;
      if (!epc || amount <= 0) continue;
      // Under our own name it is ours where our plugin is or was: those nodes have our label.
      bool may_be_ours = name == kEpcResource || name == base::kEnclaveResource;
      if (may_be_ours && (have_plugin || node.labels.contains(kSgxLabel))) continue;
      by_resource[name].push_back(node.name);
    }
  for (const auto& [resource, nodes] : by_resource)
    out.push_back(
        (nodes.size() == 1 ? "node " : std::to_string(nodes.size()) + " nodes (") + in_words(nodes) +
        (nodes.size() == 1 ? " advertises " : ") advertise ") + resource +
        " already, from another plugin; the same EPC would be counted twice. Remove that plugin and wait until "
        "the nodes show 0");
  return out;
}

std::vector<std::string> worth_knowing(const Cluster& cluster, const Settings& settings) {
  std::vector<std::string> out;
  if (std::string text = unknown_settings(settings); !text.empty()) out.push_back(std::move(text));
  if (std::string who = cluster.kept_by(); !who.empty())
    out.push_back(who + " keeps objects of the add-on too, and puts back what changes here: let go of them there");
  for (const Foreign& foreign : foreign_daemon_sets(cluster))
    if (foreign.serves_quotes && settings.quote_helper)
      out.push_back(foreign.what +
                    " answers quote requests on its nodes; enclayer's quote helper takes the socket from nobody and "
                    "is not ready there until that is gone");
  if (!settings.dra_epc.empty() && cluster.why_no_claims().empty()) {
    std::map<std::string, std::vector<std::string>> by_reason;
    for (const Node& node : cluster.nodes)
      if (const auto sgx = node.labels.find(kSgxLabel);
          !node.runtime.empty() && sgx != node.labels.end() && sgx->second == "true")
        if (std::string why = base::why_no_cdi(node.runtime); !why.empty()) by_reason[why].push_back(node.name);
    for (const auto& [why, nodes] : by_reason)
      out.push_back("the DRA driver stays out of " + in_words(nodes) +
                    ", and its part of their EPC is not offered: " + why);
    for (const Node& node : cluster.nodes)
      if (std::string why = too_large_a_part(settings, node); !why.empty()) out.push_back(std::move(why));
  }
  if (settings.monitoring && settings.metrics_from.empty())
    out.push_back(
        "nobody may scrape the metrics that --enable-monitoring is about, where the network knows "
        "NetworkPolicy: name Prometheus' namespace, as --metrics-from kubernetes.io/metadata.name=monitoring");
  if (std::string text = no_room_for_helper(cluster, settings); !text.empty()) out.push_back(std::move(text));
  if (cluster.has_mutating)
    for (const std::string& quota : cluster.foreign_quotas)
      out.push_back(quota + " no longer counts: pods' EPC is translated to " + std::string(kEpcResource) +
                    " before it is counted. Write the same amount, in MiB, for that name");
  return out;
}

Result<std::vector<Right>> lacking(const ApiServer& api, const std::vector<Right>& rights) {
  std::vector<ApiRequest> requests;
  for (const Right& right : rights) {
    const std::size_t slash = right.resource.find('/');
    json attributes = {{"verb", right.verb}, {"group", right.group}, {"resource", right.resource.substr(0, slash)}};
    if (slash != std::string::npos) attributes["subresource"] = right.resource.substr(slash + 1);
    if (!right.name_space.empty()) attributes["namespace"] = right.name_space;
    requests.push_back({.method = "POST",
                        .path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
                        .doing = "ask for your rights",
                        .body = json{{"apiVersion", "authorization.k8s.io/v1"},
                                     {"kind", "SelfSubjectAccessReview"},
                                     {"spec", {{"resourceAttributes", std::move(attributes)}}}}
                                    .dump()});
  }
  std::vector<Right> out;
  auto right = rights.begin();
  for (const auto& answer : api.send_all(requests)) {
    if (!answer) return answer.error();
    ENCLAYER_TRY(auto review, base::JsonDocument::parse(*answer));
    if (!review.root()["status"]["allowed"].truth()) out.push_back(*right);
    ++right;
  }
  return out;
}

Result<> check_rights(const ApiServer& api, std::span<const Document> documents) {
  std::set<Right> rights = {{"patch", "", "nodes", ""}};
  for (const char* verb : {"list", "watch"})
    for (auto [group, resource] : {std::pair{"", "nodes"},
                                   {"", "pods"},
                                   {"apps", "daemonsets"},
                                   {"apps", "deployments"},
                                   {"apps", "controllerrevisions"}})
      rights.insert({verb, group, resource, ""});
  for (const Document& document : documents)
    for (const char* verb : {"get", "list", "create", "patch", "delete"})
      rights.insert({verb, group_of(document.api_version), plural(document.kind), document.name_space});
  ENCLAYER_TRY(auto lacked, lacking(api, {rights.begin(), rights.end()}));
  std::map<std::string, std::string> missing;  // "daemonsets in namespace x" -> verbs
  for (const Right& right : lacked)
    missing[right.resource + (right.name_space.empty() ? "" : " in namespace " + right.name_space)] += " " + right.verb;
  if (missing.empty()) return {};
  std::string list;
  for (const auto& [resource, verbs] : missing) list += "\n  " + resource + ":" + verbs;
  return Error(ErrorKind::kPermissionDenied,
               "you have not all the rights that this takes; nothing was changed. Missing:" + list +
                   "\nSomebody who administers the cluster (ClusterRole cluster-admin) can do it, or apply what "
                   "`enclayer render` prints");
}

Result<Object> read_object(std::string_view text) {
  json content = json::parse(text, nullptr, false);
  if (!content.is_object())
    return base::malformed("the API server's answer is no object: " + base::printable(text, 80));
  ENCLAYER_TRY(auto document, base::JsonDocument::parse(text, kObjectLimits));
  const base::JsonValue root = document.root(), metadata = root["metadata"];
  Object out{{root["apiVersion"].text(), root["kind"].text(), metadata["namespace"].text(), metadata["name"].text()},
             metadata["labels"][kManagedBy].text() == kOurs};
  content.erase("status");
  if (auto counted = content.find("metadata"); counted != content.end() && counted->is_object())
    for (const char* key : {"resourceVersion", "generation", "managedFields"}) counted->erase(key);
  out.content = content.dump();
  return out;
}

Result<std::vector<Object>> live(const ApiServer& api, std::span<const Document> documents) {
  std::vector<ApiRequest> requests;
  for (const Document& document : documents)
    requests.push_back(
        {.path = reference(document).path(), .doing = "see whether " + reference(document).title() + " is there"});
  std::vector<Object> out;
  for (const auto& answer : api.send_all(requests)) {
    if (!answer && answer.error().code() == 404) continue;
    if (!answer) return answer.error();
    ENCLAYER_TRY(Object object, read_object(*answer));
    out.push_back(std::move(object));
  }
  return out;
}

std::vector<std::string> taken(std::span<const Object> live) {
  std::vector<std::string> out;
  for (const Object& object : live)
    if (!object.ours) out.push_back(object.title());
  return out;
}

Result<std::vector<Reference>> leftovers(const ApiServer& api, const Cluster& cluster,
                                         std::span<const Document> documents) {
  const std::string admission = "admissionregistration.k8s.io/v1", rbac = "rbac.authorization.k8s.io/v1";
  std::vector<Reference> kinds;
  for (auto [there, prefix] : {std::pair{cluster.has_mutating, "Mutating"}, {cluster.has_validating, "Validating"}})
    for (const char* kind : {"AdmissionPolicyBinding", "AdmissionPolicy"})
      if (there) kinds.push_back({admission, prefix + std::string(kind)});
  for (auto [version, kind] :
       std::initializer_list<std::pair<std::string, const char*>>{{"apps/v1", "DaemonSet"},
                                                                  {"apps/v1", "Deployment"},
                                                                  {"policy/v1", "PodDisruptionBudget"},
                                                                  {"networking.k8s.io/v1", "NetworkPolicy"},
                                                                  {"v1", "ConfigMap"},
                                                                  {"v1", "ServiceAccount"},
                                                                  {"v1", "Service"},
                                                                  {rbac, "Role"},
                                                                  {rbac, "RoleBinding"},
                                                                  {rbac, "ClusterRole"},
                                                                  {rbac, "ClusterRoleBinding"},
                                                                  {"scheduling.k8s.io/v1", "PriorityClass"},
                                                                  {"v1", "Namespace"}})
    kinds.push_back({version, kind});
  if (cluster.has_claims) kinds.push_back({"resource.k8s.io/v1", "DeviceClass"});
  if (cluster.has_monitoring)
    for (const char* kind : {"PrometheusRule", "PodMonitor"}) kinds.push_back({"monitoring.coreos.com/v1", kind});
  if (const std::string place = cluster.name_space(); !place.empty()) kinds.push_back({"v1", "Secret", place});
  // Templates that enclayer-claim-templates made, once nobody makes them any more.
  if (cluster.has_claims && std::none_of(documents.begin(), documents.end(), [](const Document& document) {
        return document.component == "claim-templates";
      }))
    kinds.push_back({"resource.k8s.io/v1", "ResourceClaimTemplate"});
  ENCLAYER_TRY(auto found, list_names(api, kinds, true, "list what enclayer has put here"));
  std::erase_if(found, [&](const Reference& object) {
    return std::any_of(documents.begin(), documents.end(),
                       [&](const Document& document) { return reference(document) == object; });
  });
  return found;
}

Changes compare(std::span<const Object> before, std::span<const Object> after) {
  std::map<std::string, const std::string*> was;
  for (const Object& object : before) was[object.path()] = &object.content;
  Changes out;
  for (const Object& object : after) {
    auto found = was.find(object.path());
    if (found == was.end())
      out.created.push_back(object.title());
    else if (*found->second != object.content)
      out.changed.push_back(object.title());
    else
      ++out.unchanged;
  }
  return out;
}

Result<std::vector<Object>> apply(const ApiServer& api, std::span<const Document> documents, ApplyMode mode) {
  std::vector<ApiRequest> requests;
  for (const Document& document : documents)
    requests.push_back({.method = "PATCH",
                        .path = reference(document).path() + "?fieldManager=" + std::string(kFieldManager) +
                                (mode.force ? "&force=true" : "") + (mode.dry ? "&dryRun=All" : ""),
                        .doing = (mode.dry ? "try what applying does to " : "apply ") + reference(document).title(),
                        .body = document.text,
                        .content_type = "application/apply-patch+yaml"});
  auto failed = [&](const Error& error) {
    return Error(error.kind(),
                 error.message() + (mode.dry ? "\nNothing was changed"
                                             : "\nSome objects may be there already; the same command finishes or "
                                               "repairs it"),
                 error.code());
  };
  std::vector<Result<std::string>> answers;
  if (mode.dry) answers = api.send_all(requests);
  std::vector<Object> out;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    auto answer = mode.dry ? std::move(answers[i]) : api.send(requests[i]);
    if (!answer) return failed(answer.error());
    ENCLAYER_TRY(Object object, read_object(*answer));
    out.push_back(std::move(object));
  }
  return out;
}

Result<> remove(const ApiServer& api, std::span<const Reference> objects, std::chrono::seconds wait,
                std::string_view query) {
  using std::chrono::steady_clock;
  std::vector<ApiRequest> there;
  for (const Reference& object : objects) {
    auto gone =
        api.send({.method = "DELETE", .path = object.path() + std::string(query), .doing = "delete " + object.title()});
    if (!gone && gone.error().code() != 404) return gone.error();
    if (gone) there.push_back({.path = object.path(), .doing = "see whether " + object.title() + " is gone"});
  }
  for (auto deadline = steady_clock::now() + wait; wait.count() > 0 && !there.empty();) {
    auto answers = api.send_all(there);
    for (std::size_t i = answers.size(); i-- > 0;)
      if (!answers[i] && answers[i].error().code() == 404) there.erase(there.begin() + static_cast<std::ptrdiff_t>(i));
    if (there.empty()) break;
    if (steady_clock::now() >= deadline)
      return Error(ErrorKind::kTimedOut, "not everything is gone after " + std::to_string(wait.count()) +
                                             " s: cannot " + there.front().doing + " (" + std::to_string(there.size()) +
                                             " left); the same command goes on");
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  }
  return {};
}

Result<std::string> diff(const ApiServer& api, std::span<const Document> documents, bool force) {
  std::vector<std::string> arguments = {"diff", "--server-side", "--field-manager=" + std::string(kFieldManager)};
  if (force) arguments.emplace_back("--force-conflicts");
  arguments.insert(arguments.end(), {"-f", "-"});
  ENCLAYER_TRY(Answer answer, api.kubectl().run({.arguments = arguments,
                                                 .doing = "compare with what is there",
                                                 .input = to_yaml(documents),
                                                 .also_good = 1}));
  // 1 is also what kubectl ends with when it could not compare; then it printed no difference.
  if (answer.exit_code == 1 && answer.out.empty() && !answer.err.empty())
    return Error(ErrorKind::kIo, "cannot compare with what is there: " + answer.err);
  return answer.out;
}

}  // namespace enclayer::addon
