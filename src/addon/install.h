// SPDX-License-Identifier: Apache-2.0
// Switching the add-on on and changing it: what is checked before anything is touched, and how objects get into the
// cluster. One way for both: objects are applied by the API server (server-side apply) with one field manager, so that
// applying them once more changes nothing, and a run that was cut off is finished by the next.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "addon/api_server.h"
#include "addon/cluster.h"
#include "enclayer/error.h"
#include "manifests/manifests.h"
#include "manifests/settings.h"

namespace enclayer::addon {

// Gets one line of progress, without its end.
using Progress = std::function<void(const std::string&)>;

// What the cluster remembers of the user's choices.
struct Remembered {
  std::string name_space, version;
  manifests::Settings settings;
  std::string previous_json;  // the settings before those; empty: there were none
};

// nullopt: the add-on was never switched on here. Images that the user did not name are this version's. kConflict:
// there are two, in two namespaces, which are named. kMalformed: the ConfigMap holds no settings.
Result<std::optional<Remembered>> remembered(const Cluster& cluster);

// The settings of `previous_json`, for a way back.
Result<manifests::Settings> previous_settings(const Remembered& now);

// The objects for these settings, in the order of application, with the ConfigMap that remembers them.
struct Plan {
  std::vector<manifests::Document> documents;
  std::vector<std::string> left_out;  // one sentence for each kind of object that this cluster does not know
};
Result<Plan> plan(const Cluster& cluster, const manifests::Settings& settings, const std::optional<Remembered>& before);

// Why the add-on must not be switched on: another plugin, an NFD rule or the AKS add-on offers EPC already. One
// sentence each; many nodes with the same are one sentence.
std::vector<std::string> in_the_way(const Cluster& cluster);

// What the user should know and what stops nobody: quotas for names that no longer count, somebody else at the socket,
// nodes without EPC for a quote helper and its standby, settings of a newer enclayer, Helm or GitOps beside us.
std::vector<std::string> worth_knowing(const Cluster& cluster, const manifests::Settings& settings);

struct Right {
  std::string verb, group, resource, name_space = {};  // resource: "pods", "pods/exec"
  auto operator<=>(const Right&) const = default;
};
// Those of them that the user does not have, as `kubectl auth can-i` tells.
Result<std::vector<Right>> lacking(const ApiServer& api, const std::vector<Right>& rights);

// Rights on the objects and on what is read and watched of the cluster, asked for as `kubectl auth can-i` does, all at
// once. kPermissionDenied names each verb and resource that is missing.
Result<> check_rights(const ApiServer& api, std::span<const manifests::Document> documents);

// An object as it is in the cluster.
struct Object : Reference {
  bool ours = false;
  // All of it but what the API server itself counts and reports (status, versions): the same text, the same object.
  std::string content = {};
};
// kMalformed: it is no object.
Result<Object> read_object(std::string_view json);

// What of this is in the cluster already.
Result<std::vector<Object>> live(const ApiServer& api, std::span<const manifests::Document> documents);

// Names that are taken by objects that are not ours.
std::vector<std::string> taken(std::span<const Object> live);

// Objects of ours that are no longer wanted. Empty `documents`: all objects of ours.
Result<std::vector<Reference>> leftovers(const ApiServer& api, const Cluster& cluster,
                                         std::span<const manifests::Document> documents);

struct Changes {
  std::vector<std::string> created, changed, deleted;  // titles
  int unchanged = 0;
  bool none() const { return created.empty() && changed.empty() && deleted.empty(); }
};

// What there was and what there is, or would be.
Changes compare(std::span<const Object> before, std::span<const Object> after);

// The objects as they then are, in the order of the documents. `force`: fields that another manager holds become ours
// too; kConflict names them otherwise. `dry`: the API server says what it would do, and does nothing; a document in a
// namespace that is not there is kNotFound then.
struct ApplyMode {
  bool force = false, dry = false;
};
Result<std::vector<Object>> apply(const ApiServer& api, std::span<const manifests::Document> documents, ApplyMode mode);

// Deletes them, in this order; what is gone already is well. `wait`: until they are gone, so long at most, then
// kTimedOut; 0: not at all.
Result<> remove(const ApiServer& api, std::span<const Reference> objects, std::chrono::seconds wait,
                std::string_view query = "");

// What apply() would change, as `kubectl diff` prints it; empty: nothing. Needs the namespace.
Result<std::string> diff(const ApiServer& api, std::span<const manifests::Document> documents, bool force);

}  // namespace enclayer::addon
