// SPDX-License-Identifier: Apache-2.0
// What is in the cluster, as far as it concerns SGX, as plain values: read once, in a handful of lists, and then kept by
// watching what changes. A list of 5,000 pods is tens of megabytes of JSON; it is read in pages and taken apart pod by
// pod, and only pods of ours and pods that name SGX are kept.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "addon/api_server.h"
#include "base/json.h"
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
  std::string kubelet_version, runtime;  // "v1.36.3", "containerd://2.0.4"
  Resources capacity, allocatable;
  // Labels and annotations that begin with enclayer.io/, and labels by which others mark SGX nodes.
  std::map<std::string, std::string, std::less<>> labels, annotations;
};

// Of a pod, as long as the pod: not an init container that ends.
struct Container {
  std::string name;
  Resources requests;
};

struct Pod {
  std::string name, name_space, uid, node;  // `node` is empty while it is not scheduled
  std::string meant_for;                    // the node, also before a DaemonSet's pod is scheduled
  std::string app;                          // label app.kubernetes.io/name
  std::string address;                      // of one of ours; empty: none yet
  bool ours = false;                        // label part-of: enclayer
  std::string phase;                        // Pending, Running, Succeeded, Failed
  bool ready = false, leaving = false;
  std::string
      why_not;  // of a pod that is not ready: "ErrImagePull: ...", "Unschedulable: ...", "CrashLoopBackOff: ..."
  std::string revision;                                         // label controller-revision-hash
  std::vector<std::string> images;                              // each once
  std::map<std::string, std::string, std::less<>> annotations;  // those that begin with enclayer.io/
  std::vector<Container> containers;
  // What the scheduler counts: containers that run side by side are added up, init containers take turns.
  Resources requests;

  bool holds_sgx() const;         // any of `requests`: on a node, and not ended
  std::string container() const;  // of one of ours: the one that is the daemon
  std::string full_name() const { return name_space + "/" + name; }
};

// EPC that a ResourceClaim has of a node.
struct Claim {
  std::string name, name_space, node;
  std::vector<std::string> pods;       // for which it is reserved
  std::int64_t mib = 0;                // 0 of the provisioning device alone
  std::vector<std::string> uids = {};  // of `pods`

  std::string full_name() const { return name_space + "/" + name; }
};

struct DaemonSet {
  std::string name, name_space;
  bool ours = false;
  std::string component, version;  // label, annotation
  std::string kept_by;             // "Helm release enclayer-system/enclayer"; empty: by nobody that is known
  std::vector<std::string> images;
  std::int64_t generation = 0, seen_generation = 0;
  int wanted = 0, updated = 0, ready = 0;
  Resources requests;        // of one pod
  bool has_standby = false;  // a container kStandby, which asks for half of that
};

// Of ours: what answers to the whole cluster, and not to one node.
struct Deployment {
  std::string name, name_space;
  std::string component, version;  // label, annotation
  std::vector<std::string> images;
  std::int64_t generation = 0, seen_generation = 0;
  int wanted = 0, there = 0, updated = 0, ready = 0;  // replicas: asked for, of any template, of the newest, ready
};

// An admission policy of ours, or a binding of one.
struct Policy {
  std::string kind, name, version;

  bool is_binding() const { return kind.ends_with("Binding"); }
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

// The pods that a DaemonSet makes by its template of now.
struct Revision {
  std::uint64_t number = 0;
  std::string hash;  // a pod's `revision`
};

struct Cluster {
  std::string version;  // of the API server: "v1.36.3"
  std::vector<Node> nodes;
  std::vector<Pod> pods;
  std::vector<DaemonSet> daemon_sets;                     // all of them
  std::vector<Deployment> deployments;                    // of ours
  bool has_mutating = false, has_validating = false;      // MutatingAdmissionPolicy, ValidatingAdmissionPolicy, both v1
  bool has_claims = false;                                // ResourceClaim, v1
  bool has_monitoring = false;                            // PrometheusRule and PodMonitor; not in Scope::kState
  std::map<std::string, std::int64_t> offered_to_claims;  // MiB by node, of ResourceSlices
  std::vector<Claim> claims;                              // that were given something of ours
  std::vector<Policy> policies;
  std::vector<Stored> stored;                       // one, unless there are two enclayers
  std::vector<Foreign> rules;                       // NFD rules that advertise EPC
  std::vector<std::string> foreign_quotas;          // "ResourceQuota team-a/gpu: sgx.intel.com/epc"
  std::map<std::string, Revision> newest_revision;  // by DaemonSet of ours; empty where nobody asked
  std::vector<std::string> not_seen;                // "cannot list ResourceQuotas: ..."
  std::map<std::string, std::string> versions;      // resourceVersion of the lists that can be watched, by path

  unsigned minor_version() const;  // 36 of "v1.36.3"; 0: not known
  // Whether claims can have amounts here: why not, as a sentence's end. Empty: they can.
  std::string why_no_claims() const;
  const Node* node(std::string_view name) const;
  const DaemonSet* ours(std::string_view name) const;
  const Deployment* deployment(std::string_view component) const;
  // Whether it is a pod of one of our programs, and does not only say so: where the add-on is not, anybody may write our
  // labels.
  bool is_daemon(const Pod& pod) const;
  bool may_be_in(std::string_view place) const;  // false where settings say that the add-on is in another namespace
  std::string name_space() const;                // where the add-on is, by `stored` or its DaemonSets; empty: nowhere
  // Who keeps the add-on's objects as they are beside us, or in our place: Helm, Flux or Argo CD, with the name of what
  // is to be changed there. Empty: nobody.
  std::string kept_by() const;
};

enum class Scope {
  kAll,    // everything above
  kState,  // without NFD rules, quotas and revisions: what `show` says
};

// Errors are those of api_server.h. Nodes, pods and DaemonSets have to be readable; of the rest, what cannot be read is
// told in `not_seen`.
Result<Cluster> read_cluster(const ApiServer& api, Scope scope);

// A cluster that is kept up to date: nodes, pods, DaemonSets, Deployments, claims and revisions are watched from where
// read_cluster() read them, so that waiting costs the API server what changes, and not what there is.
class ClusterWatch {
 public:
  ClusterWatch(const ApiServer& api, Cluster from) : api_(api), cluster_(std::move(from)) {}

  // What changes within two seconds (kWatch). After an error the next call goes on from there. What is not needed and may
  // not be watched stays as it was read, which `not_seen` tells.
  Result<> refresh();
  const Cluster& cluster() const { return cluster_; }

 private:
  const ApiServer& api_;
  Cluster cluster_;
};

// Objects of these kinds, in their order, with our label or (`ours` is false) without; where a kind names a namespace,
// those in it.
Result<std::vector<Reference>> list_names(const ApiServer& api, const std::vector<Reference>& kinds, bool ours,
                                          const std::string& doing);

// ---- What these are made of, for tests: objects of the API server to values ----

Node read_node(base::JsonValue object);
std::optional<Pod> read_pod(base::JsonValue object);  // nullopt: neither ours, nor does it name SGX
DaemonSet read_daemon_set(base::JsonValue object);
Deployment read_deployment(base::JsonValue object);
void read_slice(base::JsonValue object, Cluster& into);
void read_claim(base::JsonValue object, Cluster& into);
void read_revision(base::JsonValue object, Cluster& into);
void read_rule(base::JsonValue object, Cluster& into);
void read_quota(base::JsonValue object, std::string_view kind, Cluster& into);

// Other SGX add-ons by their DaemonSets: AKS, aks-engine, Intel, Alibaba.
std::vector<Foreign> foreign_daemon_sets(const Cluster& cluster);

// "a, b": at most kMostNamed of them, and how many more there are.
inline constexpr std::size_t kMostNamed = 5;
std::string in_words(const std::vector<std::string>& names);

}  // namespace enclayer::addon
