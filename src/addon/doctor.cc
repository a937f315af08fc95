// SPDX-License-Identifier: Apache-2.0
#include "addon/doctor.h"

#include <algorithm>

#include "addon/names.h"
#include "addon/rollout.h"
#include "addon/scraper.h"
#include "base/container_runtime.h"

namespace enclayer::addon {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kToSeconds = std::string_view("2026-01-31T23:59:59").size();

// The same thing on many nodes is one thing.
class Found {
 public:
  void add(const std::string& why, const std::string& where) { by_why_[why].push_back(where); }
  bool empty() const { return by_why_.empty(); }
  void put(std::vector<Link>& into, const std::string& name, const std::string& next) const {
    for (const auto& [why, where] : by_why_)
      into.push_back({name, Standing::kWrong, in_words(where) + ": " + why, next});
  }

 private:
  std::map<std::string, std::vector<std::string>> by_why_;
};

class Examiner {
 public:
  explicit Examiner(const Examined& all) : all_(all), cluster_(all.cluster) {}

  std::vector<Link> run() {
    look_at_cluster();
    look_at_addon();
    if (!all_.state.on) return std::move(links_);
    look_at_images();
    look_at_admission();
    look_at_others();
    look_at_nodes();
    look_at_runtime();
    look_at_part("device plugin", kPlugin, true);
    look_at_part("DRA driver", kDriver, asked_for_claims());
    look_at_part("quote helper", kHelper, all_.before != nullptr && all_.before->settings.quote_helper);
    look_at_quoting();
    look_at_recovery();
    look_at_pods();
    look_at_attestation();
    return std::move(links_);
  }

 private:
  void put(const std::string& name, Standing standing, std::string why, std::string next = "") {
    links_.push_back({name, standing, std::move(why), std::move(next)});
  }
  const std::string& place() const { return all_.state.name_space; }
  bool asked_for_claims() const {
    return all_.before != nullptr && !all_.before->settings.dra_epc.empty() && cluster_.why_no_claims().empty();
  }
  std::string kubectl(const std::string& words) const { return "kubectl -n " + place() + " " + words; }

  void look_at_cluster() {
    put("cluster", Standing::kOk,
        "Kubernetes " + cluster_.version + ", " + std::to_string(cluster_.nodes.size()) + " nodes");
    for (const std::string& text : cluster_.not_seen)
      put("cluster", Standing::kUnknown, text, "kubectl auth can-i --list");
  }

  void look_at_addon() {
    if (!all_.state.on) return put("add-on", Standing::kOff, "it is not switched on here", "enclayer enable");
    const std::size_t before = links_.size();
    if (!all_.no_settings.empty()) put("add-on", Standing::kWrong, all_.no_settings, "enclayer update");
    for (const std::string& text : half_applied(cluster_, all_.before))
      put("add-on", Standing::kWrong, text, "enclayer update");
    if (const std::string text = versions_apart(all_.state.addon_version, all_.version); !text.empty())
      put("add-on", Standing::kWrong, text);
    if (links_.size() == before)
      put("add-on", Standing::kOk, "version " + all_.state.addon_version + " in namespace " + place());
  }

  void look_at_images() {
    Found found;
    for (const Pod& pod : cluster_.pods)
      if (pod.ours && !pod.ready && pod.why_not.find("Image") != std::string::npos)
        found.add(pod.why_not, "pod " + pod.name);
    found.put(links_, "images", "enclayer update --image REGISTRY/enclayer:TAG");
    if (found.empty()) put("images", Standing::kOk, "every pod of ours that is there has its image");
  }

  void look_at_admission() {
    const Protection& protection = all_.protection;
    for (const Flaw& flaw : protection.flaws)
      put("admission", Standing::kWrong, flaw.kind + " " + flaw.name + " " + flaw.what,
          all_.state.kept_by.empty() ? "enclayer update --adopt" : "");
    if (!protection.not_known.empty()) put("admission", Standing::kUnknown, protection.not_known);
    if (!cluster_.has_mutating)
      return put("admission", Standing::kOff, "this cluster has no MutatingAdmissionPolicy (Kubernetes 1.36)");
    switch (protection.translation.works) {
      case Translation::kYes:
        if (protection.flaws.empty())
          return put("admission", Standing::kOk, "other vendors' names are translated, as a pod shows that was tried");
        return;
      case Translation::kNo:
        return put("admission", Standing::kWrong,
                   "other vendors' names are not translated: " + protection.translation.why, "enclayer update");
      case Translation::kNotKnown: return put("admission", Standing::kUnknown, protection.translation.why);
    }
  }

  void look_at_others() {
    for (const Foreign& foreign : foreign_daemon_sets(cluster_))
      put("other plugins", Standing::kWrong,
          foreign.what +
              (foreign.serves_quotes ? " answers at the AESM socket" : " offers EPC too: it is counted twice"));
  }

  // Nodes that should take part, by what others and we say of them.
  void look_at_nodes() {
    if (all_.state.nodes.empty())
      return put("SGX", Standing::kWrong, "no node has usable SGX", kubectl("logs ds/" + std::string(kDetect)));
    Found down, silent;
    for (const NodeState& one : all_.state.nodes) {
      const Node* node = cluster_.node(one.name);
      if (node != nullptr && !node->ready) down.add("the node is not ready: " + node->why_not_ready, one.name);
      if (node != nullptr && node->ready && one.plugin == "ready" && one.epc_allocatable == 0)
        silent.add("its device plugin is ready and offers no EPC: the device or its driver is gone", one.name);
    }
    down.put(links_, "nodes", "kubectl describe node NAME");
    if (down.empty())
      put("nodes", Standing::kOk, std::to_string(all_.state.nodes.size()) + " nodes with SGX are ready");
    look_at_clocks();
    silent.put(links_, "SGX", kubectl("logs ds/" + std::string(kPlugin)));
    if (silent.empty()) put("SGX", Standing::kOk, "every node with a device plugin offers EPC");
  }

  void look_at_clocks() {
    const Clocks& clocks = all_.clocks;
    if (!clocks.not_known.empty()) return put("clocks", Standing::kUnknown, clocks.not_known);
    std::vector<std::string> fast, slow;
    std::chrono::seconds most_ahead{0}, most_behind{0};
    for (const NodeState& one : all_.state.nodes) {
      const Node* node = cluster_.node(one.name);
      const auto clock = clocks.ahead.find(one.name);
      if (node == nullptr || !node->ready || clock == clocks.ahead.end()) continue;
      if (clock->second > kMostAhead) fast.push_back(one.name), most_ahead = std::max(most_ahead, clock->second);
      if (clock->second < -kMostBehind) slow.push_back(one.name), most_behind = std::max(most_behind, -clock->second);
    }
    const std::string next = "kubectl -n kube-node-lease get lease NAME -o yaml; on the node: chronyc tracking";
    if (!fast.empty())
      put("clocks", Standing::kWrong,
          in_words(fast) + ": the clock is ahead of the API server's, by " + std::to_string(most_ahead.count()) + " s",
          next);
    if (!slow.empty())
      put("clocks", Standing::kWrong,
          in_words(slow) +
              ": the clock is behind the API server's, or the kubelet is silent: the last heartbeat is dated " +
              std::to_string(most_behind.count()) + " s ago",
          next);
    if (fast.empty() && slow.empty())
      put("clocks", Standing::kOk, "nodes date their heartbeats as the API server does");
  }

  void look_at_runtime() {
    const bool needed = asked_for_claims() || (all_.before != nullptr && all_.before->settings.cdi);
    if (!needed) return;
    Found found;
    for (const NodeState& one : all_.state.nodes)
      if (const Node* node = cluster_.node(one.name); node != nullptr && !node->runtime.empty())
        if (const std::string why = base::why_no_cdi(node->runtime); !why.empty()) found.add(why, one.name);
    found.put(links_, "container runtime", "");
    if (found.empty()) put("container runtime", Standing::kOk, "every runtime knows CDI");
  }

  void look_at_part(const std::string& name, std::string_view app, bool wanted) {
    const DaemonSet* set = cluster_.ours(app);
    if (set == nullptr) {
      if (!wanted) put(name, Standing::kOff, "it is not switched on");
      return;  // half_applied() names what is missing
    }
    const auto pods = pods_by_node(cluster_, app);
    Found found;
    int ready = 0;
    for (const auto& [where, on] : pods) {
      ready += on.done ? 1 : 0;
      const Node* node = cluster_.node(where);
      if (on.done || (node != nullptr && !node->ready)) continue;  // the node's own link says that
      if (app == kDriver && node != nullptr && !base::why_no_cdi(node->runtime).empty()) continue;
      found.add(words_of(on, node), where);
    }
    for (const NodeState& node : all_.state.nodes)
      if ((app == kPlugin ? node.plugin : app == kHelper ? node.helper : node.driver_pod) == "missing")
        found.add("it has no pod there", node.name);
    if (app == kHelper)
      for (const NodeState& node : all_.state.nodes)
        if (node.helper == "ready" && !node.quotes)
          found.add("the helper is ready, and the device plugin does not offer " + std::string(kQuoteResource),
                    node.name);
    found.put(links_, name, kubectl("describe pods -l app.kubernetes.io/name=" + std::string(app)));
    if (found.empty())
      put(name, Standing::kOk, "ready on " + std::to_string(ready) + " of " + std::to_string(set->wanted) + " nodes");
  }

  // What the pod says of itself counts more than what is seen of it.
  std::string words_of(const PodsOnNode& on, const Node* node) const {
    if (on.newest != nullptr)
      if (const auto said = all_.said.find(on.newest->full_name()); said != all_.said.end()) return said->second;
    return problem(node, on);
  }

  void look_at_quoting() {
    if (cluster_.ours(kHelper) == nullptr) return;
    for (const std::string& text : all_.helper_warnings)
      put("Quoting Enclave", Standing::kWrong, text, "docs/quote-helper.md#facts");
    if (!all_.helper_warnings.empty()) return;
    if (!all_.not_asked.empty()) return put("Quoting Enclave", Standing::kUnknown, all_.not_asked);
    if (all_.helpers_asked == 0)
      return put("Quoting Enclave", Standing::kUnknown, "no quote helper is ready to be asked");
    put("Quoting Enclave", Standing::kOk,
        std::to_string(all_.helpers_asked) + " asked, none is behind as far as they know");
  }

  // Whether platforms that are good today will be (docs/outlook.md).
  void look_at_recovery() {
    for (const std::string& text : all_.coming) put("TCB recovery", Standing::kSoon, text, "docs/outlook.md");
    for (const std::string& text : all_.not_foreseen) put("TCB recovery", Standing::kUnknown, text, "docs/outlook.md");
    if (all_.helpers_asked > 0 && all_.coming.empty() && all_.not_foreseen.empty())
      put("TCB recovery", Standing::kOk, "no platform that was asked and is good today falls by the early TCB Info");
  }

  void look_at_pods() {
    Found waiting;
    for (const Pod& pod : cluster_.pods)
      if (!pod.ours && pod.node.empty() && !pod.leaving && pod.phase == "Pending" && !pod.why_not.empty())
        waiting.add(pod.why_not, pod.full_name());
    waiting.put(links_, "pods", "kubectl describe pod NAME");
    for (const NodeState& node : all_.state.nodes)
      if (node.reason.starts_with("pods hold ")) put("pods", Standing::kWrong, node.name + ": " + node.reason);
    if (links_.back().name != "pods") put("pods", Standing::kOk, "no pod waits for EPC or quotes");
  }

  void look_at_attestation() {
    const Deployment* service = cluster_.deployment(kAttestation);
    if (service == nullptr) {
      if (all_.before == nullptr || !all_.before->settings.attestation_service)
        put("attestation service", Standing::kOff, "it is not switched on");
      return;
    }
    Found found;
    for (const Pod& pod : cluster_.pods) {
      if (!pod.ours || pod.app != kAttest || pod.leaving) continue;
      const auto said = all_.said.find(pod.full_name());
      if (said != all_.said.end() || !pod.ready)
        found.add(said != all_.said.end() ? said->second : pod.why_not, "pod " + pod.name);
    }
    found.put(links_, "attestation service", kubectl("logs deployment/" + std::string(kAttest)));
    if (found.empty() && service->ready < service->wanted)
      put("attestation service", Standing::kWrong,
          std::to_string(service->ready) + " of " + std::to_string(service->wanted) + " replicas are there",
          kubectl("describe deployment " + std::string(kAttest)));
    else if (found.empty())
      put("attestation service", Standing::kOk, std::to_string(service->ready) + " replicas are ready");
  }

  const Examined& all_;
  const Cluster& cluster_;
  std::vector<Link> links_;
};

}  // namespace

std::string_view to_string(Standing standing) {
  static constexpr std::string_view kWords[] = {"ok", "off", "unknown", "soon", "wrong"};
  return kWords[static_cast<std::size_t>(standing)];
}

Clocks read_clocks(const ApiServer& api) {
  Clocks out;
  std::map<std::string, Time> renewed;
  auto listed = api.list("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases", "list the nodes' leases",
                         [&](base::JsonValue lease) {
                           // With microseconds: "2026-01-31T23:59:59.000000Z".
                           const std::string text = lease["spec"]["renewTime"].text().substr(0, kToSeconds) + "Z";
                           if (auto time = parse_time(text)) renewed[lease["metadata"]["name"].text()] = *time;
                         });
  auto now = listed ? api.time() : Result<Time>(listed.error());
  if (!now) {
    out.not_known = now.error().message();
    return out;
  }
  for (const auto& [node, time] : renewed) out.ahead[node] = time - *now;
  return out;
}

std::vector<Link> examine(const Examined& all) { return Examiner(all).run(); }

std::string own_words(std::string_view said) {
  constexpr std::string_view kSays = " says: ", kNotReady = "not ready\n", kOk = "ok", kButOk = "ok, ",
                             kKubectl = "command terminated with exit code";
  if (const std::size_t at = said.find(kSays); at != said.npos) said.remove_prefix(at + kSays.size());
  for (std::string_view begin : {kNotReady, kButOk, kOk})
    if (said.starts_with(begin)) {
      said.remove_prefix(begin.size());
      break;
    }
  std::string out;
  for (std::size_t end; !said.empty(); said.remove_prefix(std::min(said.size(), end + 1))) {
    end = std::min(said.find('\n'), said.size());
    const std::string_view line = said.substr(0, end);
    if (!line.empty() && !line.starts_with(kKubectl)) out += (out.empty() ? "" : "; ") + std::string(line);
  }
  return out;
}

std::map<std::string, std::string> ask_what_is_wrong(const Kubectl& kubectl, const Cluster& cluster,
                                                     const manifests::Settings& settings) {
  std::vector<Daemon> asked;
  for (const Pod& pod : cluster.pods)
    if ((!pod.ready || pod.app == kAttest) && !pod.leaving && asked.size() < kMostAsked)
      if (auto daemon = daemon_of(pod, cluster, settings)) asked.push_back(*std::move(daemon));
  std::vector<std::string> answers(asked.size());
  at_once(asked.size(), [&](std::size_t i) {
    Call call = probe(asked[i], 0, "/readyz");
    call.doing = "ask pod " + asked[i].pod + " what is wrong";
    call.also_good = 4;
    call.max_output = 64 << 10;
    call.timeout = 5s;
    auto answer = kubectl.run(call);
    answers[i] = answer ? own_words(answer->exit_code == 0 ? answer->out : answer->err)
                        : "it does not answer: " + answer.error().message();
  });
  std::map<std::string, std::string> out;
  for (std::size_t i = 0; i < asked.size(); ++i)
    if (!answers[i].empty()) out[asked[i].full_name()] = std::move(answers[i]);
  return out;
}

}  // namespace enclayer::addon
