// SPDX-License-Identifier: Apache-2.0
#include "addon/install.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "addon/names.h"
#include "addon/rollout.h"
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

bool is_mutating(std::string_view kind) { return kind.starts_with("MutatingAdmissionPolicy"); }
bool is_validating(std::string_view kind) { return kind.starts_with("ValidatingAdmissionPolicy"); }

std::string key_of(std::string_view kind, std::string_view name_space, std::string_view name) {
  return std::string(kind) + " " + std::string(name_space) + "/" + std::string(name);
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
      if (pod.ours && pod.app == kHelper && pod.node == node.name && pod.holds_epc())
        free += amount(pod.requests, kEpcResource);
    if (free < needed)
      narrow.push_back(node.name + " (" + std::to_string(std::max<std::int64_t>(free, 0)) + " MiB free)");
  }
  if (narrow.empty()) return "";
  return std::string("no room for a quote helper") + (settings.standby ? " and its standby, " : ", ") +
         std::to_string(needed) + " MiB of EPC, on " + in_words(narrow) + ": a new one starts there when some is free" +
         (settings.standby ? ". --disable-standby needs " + std::to_string(helper_epc_mib(settings)) + " MiB" : "");
}

}  // namespace

std::string plural(std::string_view kind) {
  std::string out;
  for (char c : kind) out.push_back(static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c));
  if (out.ends_with("y")) return out.substr(0, out.size() - 1) + "ies";
  if (out.ends_with("s")) return out + "es";
  return out + "s";
}

Result<std::optional<Remembered>> remembered(const Cluster& cluster) {
  std::set<std::string> places;
  for (const Stored& stored : cluster.stored) places.insert(stored.name_space);
  for (const DaemonSet& set : cluster.daemon_sets)
    if (set.ours) places.insert(set.name_space);
  if (places.size() > 1)
    return Error(ErrorKind::kConflict,
                 "there are two enclayers in this cluster, in the namespaces " +
                     in_words({places.begin(), places.end()}) +
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
  ENCLAYER_TRY(auto documents, render(settings));
  Plan out;
  for (Document& document : documents) {
    if ((is_mutating(document.kind) && !cluster.has_mutating) ||
        (is_validating(document.kind) && !cluster.has_validating))
      continue;
    out.documents.push_back(std::move(document));
  }
  if (!cluster.has_mutating)
    out.left_out.push_back("This cluster (" + cluster.version +
                           ") has no MutatingAdmissionPolicy (admissionregistration.k8s.io/v1, Kubernetes 1.36): EPC "
                           "under other vendors' names is not translated and annotations do nothing. Pods ask for " +
                           std::string(kEpcResource) + " and " + std::string(kQuoteResource) + " themselves.");
  if (!cluster.has_validating)
    out.left_out.push_back("This cluster (" + cluster.version +
                           ") has no ValidatingAdmissionPolicy (admissionregistration.k8s.io/v1, Kubernetes 1.30): "
                           "mistakes in pods are not refused, and enclayer-detect is held to its own node by nothing "
                           "but its program.");
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
  for (const Foreign& foreign : foreign_daemon_sets(cluster))
    if (foreign.serves_quotes && settings.quote_helper)
      out.push_back(foreign.what +
                    " answers quote requests on its nodes; enclayer's quote helper takes the socket from nobody and "
                    "is not ready there until that is gone");
  if (std::string text = no_room_for_helper(cluster, settings); !text.empty()) out.push_back(std::move(text));
  if (cluster.has_mutating)
    for (const std::string& quota : cluster.foreign_quotas)
      out.push_back(quota + " no longer counts: pods' EPC is translated to " + std::string(kEpcResource) +
                    " before it is counted. Write the same amount, in MiB, for that name");
  return out;
}

Result<> check_rights(const Kubectl& kubectl, std::span<const Document> documents, std::string_view name_space) {
  struct Right {
    std::string verb, group, resource, name_space;
    auto operator<=>(const Right&) const = default;
  };
  std::set<Right> rights = {{"list", "", "nodes", ""},
                            {"patch", "", "nodes", ""},
                            {"list", "", "pods", ""},
                            {"list", "apps", "daemonsets", ""},
                            {"list", "apps", "controllerrevisions", std::string(name_space)}};
  for (const Document& document : documents)
    for (const char* verb : {"get", "list", "create", "patch", "delete"})
      rights.insert({verb, group_of(document.api_version), plural(document.kind), document.name_space});
  json reviews = json::array();
  for (const Right& right : rights) {
    json attributes = {{"verb", right.verb}, {"group", right.group}, {"resource", right.resource}};
    if (!right.name_space.empty()) attributes["namespace"] = right.name_space;
    reviews.push_back({{"apiVersion", "authorization.k8s.io/v1"},
                       {"kind", "SelfSubjectAccessReview"},
                       {"spec", {{"resourceAttributes", std::move(attributes)}}}});
  }
  json list = {{"apiVersion", "v1"}, {"kind", "List"}, {"items", std::move(reviews)}};
  constexpr char kLine[] = R"(jsonpath={.spec.resourceAttributes.verb} {.spec.resourceAttributes.resource} )"
                           R"({.spec.resourceAttributes.namespace} {.status.allowed}{"\n"})";
  ENCLAYER_TRY(Answer answer, kubectl.run({.arguments = {"create", "--validate=false", "-f", "-", "-o", kLine},
                                           .doing = "ask for your rights",
                                           .input = list.dump()}));
  // Lines "create daemonsets enclayer-system true"; nothing in place of true means no.
  std::map<std::string, std::set<std::string>> missing;  // "daemonsets in namespace x" -> verbs
  std::size_t seen = 0;
  for (std::size_t begin = 0; begin < answer.out.size();) {
    std::size_t end = std::min(answer.out.find('\n', begin), answer.out.size());
    std::string line = answer.out.substr(begin, end - begin);
    begin = end + 1;
    if (line.empty()) continue;
    std::size_t first = line.find(' '), second = line.find(' ', first + 1), third = line.find(' ', second + 1);
    if (first == std::string::npos || second == std::string::npos || third == std::string::npos)
      return Error(ErrorKind::kMalformed, "cannot ask for your rights: kubectl answered \"" + line + "\"");
    ++seen;
    if (line.substr(third + 1) == "true") continue;
    std::string place = line.substr(second + 1, third - second - 1);
    missing[line.substr(first + 1, second - first - 1) + (place.empty() ? "" : " in namespace " + place)].insert(
        line.substr(0, first));
  }
  if (seen < rights.size())
    return Error(ErrorKind::kMalformed, "cannot ask for your rights: kubectl answered " + std::to_string(seen) +
                                            " of " + std::to_string(rights.size()) + " questions");
  if (missing.empty()) return {};
  std::string told;
  for (const auto& [resource, verbs] : missing) {
    told += "\n  " + resource + ":";
    for (const std::string& verb : verbs) told += " " + verb;
  }
  return Error(ErrorKind::kPermissionDenied,
               "you have not all the rights that this takes; nothing was changed. Missing:" + told +
                   "\nSomebody who administers the cluster (ClusterRole cluster-admin) can do it, or apply what "
                   "`enclayer render` prints");
}

Result<std::vector<Object>> live(const Kubectl& kubectl, std::span<const Document> documents) {
  ENCLAYER_TRY(Answer answer, kubectl.run({.arguments = {"get", "--ignore-not-found", "-o", "json", "-f", "-"},
                                           .doing = "see what is there",
                                           .input = to_yaml(documents)}));
  return read_objects(answer.out);
}

std::vector<std::string> taken(std::span<const Object> live) {
  std::vector<std::string> out;
  for (const Object& object : live)
    if (!object.ours) out.push_back(object.title());
  return out;
}

Result<std::vector<Object>> leftovers(const Kubectl& kubectl, const Cluster& cluster,
                                      std::span<const Document> documents) {
  std::string kinds =
      "daemonsets.apps,networkpolicies.networking.k8s.io,configmaps,serviceaccounts,services,roles.rbac.authorization."
      "k8s.io,rolebindings.rbac."
      "authorization.k8s.io,clusterroles.rbac.authorization.k8s.io,clusterrolebindings.rbac.authorization.k8s.io,"
      "priorityclasses.scheduling.k8s.io,namespaces";
  if (cluster.has_mutating)
    kinds =
        "mutatingadmissionpolicybindings.admissionregistration.k8s.io,"
        "mutatingadmissionpolicies.admissionregistration.k8s.io," +
        kinds;
  if (cluster.has_validating)
    kinds =
        "validatingadmissionpolicybindings.admissionregistration.k8s.io,"
        "validatingadmissionpolicies.admissionregistration.k8s.io," +
        kinds;
  ENCLAYER_TRY(Answer answer, kubectl.run({.arguments = {"get", kinds, "--all-namespaces", "-o", "json", "-l",
                                                         std::string(kManagedBy) + "=" + std::string(kOurs)},
                                           .doing = "list what enclayer has put here"}));
  ENCLAYER_TRY(auto objects, read_objects(answer.out));
  std::set<std::string> wanted;
  for (const Document& document : documents) wanted.insert(key_of(document.kind, document.name_space, document.name));
  std::erase_if(objects, [&](const Object& object) {
    return !object.ours || wanted.contains(key_of(object.kind, object.name_space, object.name));
  });
  return objects;
}

Changes compare(std::span<const Object> before, std::span<const Object> after) {
  std::map<std::string, const std::string*> was;
  for (const Object& object : before) was[key_of(object.kind, object.name_space, object.name)] = &object.content;
  Changes out;
  for (const Object& object : after) {
    auto found = was.find(key_of(object.kind, object.name_space, object.name));
    if (found == was.end())
      out.created.push_back(object.title());
    else if (*found->second != object.content)
      out.changed.push_back(object.title());
    else
      ++out.unchanged;
  }
  return out;
}

Result<std::vector<Object>> apply(const Kubectl& kubectl, std::span<const Document> documents, ApplyMode mode) {
  std::vector<std::string> arguments = {"apply", "--server-side", "--field-manager=" + std::string(kFieldManager),
                                        "--validate=false"};
  if (mode.force) arguments.emplace_back("--force-conflicts");
  if (mode.dry) arguments.emplace_back("--dry-run=server");
  arguments.insert(arguments.end(), {"-o", "json", "-f", "-"});
  auto answer = kubectl.run({.arguments = arguments,
                             .doing = mode.dry ? "try what applying the add-on would do" : "apply the add-on",
                             .input = to_yaml(documents),
                             .timeout = std::chrono::seconds(180)});
  if (answer) return read_objects(answer->out);
  return Error(answer.error().kind(),
               answer.error().message() +
                   (mode.dry ? "\nNothing was changed"
                             : "\nSome objects may be there already; the same command finishes or repairs it"));
}

Result<> remove(const Kubectl& kubectl, std::span<const Object> objects, bool wait, std::chrono::seconds timeout) {
  if (objects.empty()) return {};
  json items = json::array();
  std::string names;
  for (const Object& object : objects) {
    json metadata = {{"name", object.name}};
    if (!object.name_space.empty()) metadata["namespace"] = object.name_space;
    items.push_back({{"apiVersion", object.api_version}, {"kind", object.kind}, {"metadata", std::move(metadata)}});
    names += (names.empty() ? "" : ", ") + object.title();
  }
  json list = {{"apiVersion", "v1"}, {"kind", "List"}, {"items", std::move(items)}};
  std::vector<std::string> arguments = {"delete", "--ignore-not-found", wait ? "--wait=true" : "--wait=false"};
  if (wait) arguments.push_back("--timeout=" + std::to_string(timeout.count()) + "s");
  arguments.insert(arguments.end(), {"-f", "-"});
  ENCLAYER_CHECK(kubectl.run({.arguments = arguments,
                              .doing = "delete " + names,
                              .input = list.dump(),
                              .timeout = timeout + std::chrono::seconds(30)}));
  return {};
}

Result<std::string> diff(const Kubectl& kubectl, std::span<const Document> documents, bool force) {
  std::vector<std::string> arguments = {"diff", "--server-side", "--field-manager=" + std::string(kFieldManager)};
  if (force) arguments.emplace_back("--force-conflicts");
  arguments.insert(arguments.end(), {"-f", "-"});
  ENCLAYER_TRY(Answer answer, kubectl.run({.arguments = arguments,
                                           .doing = "compare with what is there",
                                           .input = to_yaml(documents),
                                           .also_good = 1}));
  // 1 is also what kubectl ends with when it could not compare; then it printed no difference.
  if (answer.exit_code == 1 && answer.out.empty() && !answer.err.empty())
    return kubectl_error({.arguments = {}, .doing = "compare with what is there"}, 1, answer.err);
  return answer.out;
}

}  // namespace enclayer::addon
