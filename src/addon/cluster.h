// SPDX-License-Identifier: Apache-2.0
// What is in the cluster, as far as it concerns SGX: read with a handful of `kubectl get --raw`, all at the same time,
// and kept as plain values. A list of 5,000 pods is tens of megabytes of JSON; it is taken apart pod by pod, and only
// pods of ours and pods that name SGX are kept.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "addon/kubectl.h"
#include "enclayer/error.h"

namespace enclayer::addon {

// SGX resources by name: those of names.h, ours and foreign.
using Resources = std::map<std::string, std::int64_t, std::less<>>;
// Of one of them; 0 where it is not named.
std::int64_t amount(const Resources& resources, std::string_view name);

struct Node {
  std::string name;
  bool ready = false;
  std::string why_not_ready;  // "KubeletNotReady: runtime is down"
  bool cordoned = false;
  std::string kubelet_version;
  Resources capacity, allocatable;
  // Labels and annotations that begin with enclayer.io/, and labels by which others mark SGX nodes.
  std::map<std::string, std::string, std::less<>> labels, annotations;
};

struct Pod {
  std::string name, name_space, node;  // `node` is empty while it is not scheduled
  std::string meant_for;               // the node, also before a DaemonSet's pod is scheduled
  std::string app;                     // label app.kubernetes.io/name
  bool ours = false;                   // label managed-by: enclayer
  std::string phase;                   // Pending, Running, Succeeded, Failed
  bool ready = false, leaving = false;
  std::string
      why_not;  // of a pod that is not ready: "ErrImagePull: ...", "Unschedulable: ...", "CrashLoopBackOff: ..."
  std::string revision;                                         // label controller-revision-hash
  std::vector<std::string> images;                              // each once
  std::map<std::string, std::string, std::less<>> annotations;  // those that begin with enclayer.io/
  // What the scheduler counts: containers that run side by side are added up, init containers take turns.
  Resources requests;

  bool holds_epc() const;  // on a node, and not ended
  std::string full_name() const { return name_space + "/" + name; }
};

struct DaemonSet {
  std::string name, name_space;
  bool ours = false;
  std::string component, version;  // label, annotation
  std::vector<std::string> images;
  std::int64_t generation = 0, seen_generation = 0;
  int wanted = 0, updated = 0, ready = 0, available = 0, misscheduled = 0;
  Resources requests;        // of one pod
  bool has_standby = false;  // a container kStandby, which asks for half of that
  int max_surge = 0;

  bool rolled_out() const;  // every node that should have it has the newest one, ready
};

// An admission policy of ours.
struct Policy {
  std::string kind, name, version;
};

// The ConfigMap enclayer-addon.
struct Stored {
  std::string name_space, version, settings_json, previous_json;
};

// An object that stands for another SGX add-on.
struct Foreign {
  std::string what;            // "DaemonSet kube-system/sgx-plugin (image ...)"
  bool serves_quotes = false;  // it does not advertise EPC, it answers at the AESM socket
};

struct Cluster {
  std::string version;  // of the API server: "v1.36.3"
  std::vector<Node> nodes;
  std::vector<Pod> pods;
  std::vector<DaemonSet> daemon_sets;                 // all of them
  bool has_mutating = false, has_validating = false;  // MutatingAdmissionPolicy, ValidatingAdmissionPolicy, both v1
  std::vector<Policy> policies;
  std::vector<Stored> stored;                          // one, unless there are two enclayers
  std::vector<Foreign> rules;                          // NFD rules that advertise EPC
  std::vector<std::string> foreign_quotas;             // "ResourceQuota team-a/gpu: sgx.intel.com/epc"
  std::map<std::string, std::string> newest_revision;  // DaemonSet of ours -> its pods' newest `revision`
  std::vector<std::string> not_seen;                   // "policies: user "x" has no right to list ..."

  const Node* node(std::string_view name) const;
  const DaemonSet* ours(std::string_view name) const;
  std::string name_space() const;  // where the add-on is, by `stored` or its DaemonSets; empty: nowhere
};

enum class Look {
  kAll,      // everything above
  kState,    // without NFD rules and quotas: what `show` says
  kRollout,  // nodes, our DaemonSets, their pods and revisions only
};

// kPermissionDenied, kUnavailable, ...: as kubectl.h says. Nodes, pods and DaemonSets have to be readable; of the rest,
// what cannot be read is told in `not_seen`. `name_space`: where the add-on is (kRollout reads only there).
Result<Cluster> look(const Kubectl& kubectl, Look what, std::string_view name_space = "");

// ---- What look() is made of, for tests: JSON of the API server to values. kMalformed names what is broken. ----

Result<> read_nodes(std::string_view json, Cluster& into);
Result<> read_pods(std::string_view json, Cluster& into);
Result<> read_daemon_sets(std::string_view json, Cluster& into);
Result<> read_policies(std::string_view json, std::string_view kind, Cluster& into);
Result<> read_settings(std::string_view json, Cluster& into);
Result<> read_rules(std::string_view json, Cluster& into);
Result<> read_quotas(std::string_view json, std::string_view kind, Cluster& into);
Result<> read_revisions(std::string_view json, Cluster& into);

// "10", "10Mi", "512Ki", "1k", "5e3": a whole number, fractions rounded up. nullopt: no quantity, or more than 2^62.
std::optional<std::int64_t> quantity(std::string_view text);

// Other SGX add-ons by their DaemonSets: AKS, aks-engine, Intel, Alibaba.
std::vector<Foreign> foreign_daemon_sets(const Cluster& cluster);

// An object as it is in the cluster.
struct Object {
  std::string api_version, kind, name, name_space;
  bool ours = false;
  // All of it but what the API server itself counts and reports (status, versions): the same text, the same object.
  std::string content;

  std::string title() const;  // "DaemonSet enclayer-system/enclayer-detect"
};
// Of a List or of one object; of nothing, none.
Result<std::vector<Object>> read_objects(std::string_view json);

// "a, b": at most kMostNamed of them, and how many more there are.
inline constexpr std::size_t kMostNamed = 5;
std::string in_words(const std::vector<std::string>& names);

}  // namespace enclayer::addon
