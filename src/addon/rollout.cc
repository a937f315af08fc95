// SPDX-License-Identifier: Apache-2.0
#include "addon/rollout.h"

#include <algorithm>
#include <map>
#include <set>
#include <thread>
#include <utility>

#include "addon/names.h"
#include "base/container_runtime.h"

namespace enclayer::addon {
namespace {

using std::chrono::steady_clock;

constexpr std::string_view kParts[] = {kDetect, kPlugin, kDriver, kHelper};

int count_done(const std::map<std::string, PodsOnNode>& nodes) {
  return static_cast<int>(std::count_if(nodes.begin(), nodes.end(), [](const auto& one) { return one.second.done; }));
}

// A node has the newest plugin, and its kubelet has not told the API server of the EPC so far.
bool awaits_epc(const Cluster& cluster) {
  for (const auto& [name, on] : pods_by_node(cluster, kPlugin)) {
    const Node* node = cluster.node(name);
    if (on.done && node != nullptr && node->ready && amount(node->allocatable, kEpcResource) == 0) return true;
  }
  return false;
}

// What keeps a Deployment from being there, all replicas ready and none of a template before; empty: nothing.
std::string why_not(const Cluster& cluster, const Deployment& one) {
  if (one.seen_generation < one.generation) return "the cluster's Deployment controller has not seen it yet";
  if (one.updated == one.wanted && one.ready == one.wanted && one.there == one.wanted) return "";
  for (const Pod& pod : cluster.pods)
    if (pod.ours && pod.app == one.name && !pod.ready && !pod.leaving && !pod.why_not.empty())
      return "pod " + pod.name + ": " + pod.why_not;
  if (one.there > one.wanted) return "a replica of the version before is still there";
  return std::to_string(one.wanted - std::min(one.updated, one.ready)) + " of its " + std::to_string(one.wanted) +
         " replicas are not ready yet";
}

std::string way_out(const Shortage& shortage, bool may_gap) {
  std::string half = shortage.standby ? "--disable-standby needs half of it" : "";
  if (!shortage.fits_alone())
    return std::string(shortage.freed ? "; there is none for the new one alone either" : "") +
           "; waiting until some is free" + (half.empty() ? "" : " (" + half + ")");
  if (may_gap) return "; it gets its new one after the others, with a gap";
  return "; waiting until some is free (--allow-gap replaces it without a second one" +
         (half.empty() ? ")" : ", " + half + ")");
}

std::string resource_unit(std::string_view resource) { return resource == kEpcResource ? " MiB" : ""; }

}  // namespace

std::map<std::string, PodsOnNode> pods_by_node(const Cluster& cluster, std::string_view part) {
  auto newest = cluster.newest_revision.find(std::string(part));
  std::map<std::string, PodsOnNode> out;
  for (const Pod& pod : cluster.pods) {
    if (!pod.ours || pod.app != part || pod.meant_for.empty()) continue;
    PodsOnNode& on = out[pod.meant_for];
    bool is_newest = newest == cluster.newest_revision.end() || pod.revision == newest->second.hash;
    (is_newest ? on.newest : on.old) = &pod;
    on.done |= is_newest && pod.ready && !pod.leaving;
  }
  // The old one goes when the new one has been ready for a while; until then that may end otherwise.
  for (auto& [node, on] : out) on.done &= on.old == nullptr;
  return out;
}

std::string problem(const Node* node, const PodsOnNode& pods) {
  if (node == nullptr) return "the node is gone";
  if (!node->ready) return "the node is not ready: " + node->why_not_ready;
  if (pods.done) return "";
  if (pods.newest == nullptr && pods.old == nullptr) return "it has no pod there";
  if (pods.newest == nullptr)
    return pods.old->ready ? "still has the version before; its turn comes"
                           : "has the version before, which is not ready (" + pods.old->why_not + ")";
  if (pods.newest->leaving) return "its pod is being deleted";
  return pods.newest->ready ? "the new one is ready, the old one still there" : pods.newest->why_not;
}

std::int64_t free_on(const Cluster& cluster, const Node& node, std::string_view resource) {
  std::int64_t free = amount(node.allocatable, resource);
  for (const Pod& pod : cluster.pods)
    if (pod.node == node.name && pod.phase != "Succeeded" && pod.phase != "Failed")
      free -= amount(pod.requests, resource);
  return free;
}

std::vector<Pending> pending(const Cluster& cluster) {
  std::vector<Pending> out;
  for (std::string_view part : kParts) {
    const DaemonSet* set = cluster.ours(part);
    if (set == nullptr) continue;
    const std::size_t before = out.size();
    auto nodes = pods_by_node(cluster, part);
    for (const auto& [name, on] : nodes)
      // A pod outlives its node for a moment.
      if (const Node* node = cluster.node(name); node != nullptr && !on.done) {
        // It ends there at once, on purpose.
        const std::string stays_out = part == kDriver ? base::why_no_cdi(node->runtime) : "";
        out.push_back({std::string(part), name, stays_out.empty() ? problem(node, on) : "it stays out: " + stays_out,
                       !node->ready || !stays_out.empty()});
      }
    std::string why;
    if (int missing = set->wanted - static_cast<int>(nodes.size()); missing > 0)
      why = std::to_string(missing) + " of its pods are not made yet";
    else if (set->seen_generation < set->generation)
      why = "the cluster's DaemonSet controller has not seen it yet";
    else if (out.size() == before && set->updated < set->wanted)  // what is watched is not all as new as this
      why = std::to_string(set->wanted - set->updated) + " of its pods are not the newest yet";
    if (!why.empty()) out.push_back({std::string(part), "", why, false});
  }
  for (const Deployment& one : cluster.deployments)
    if (std::string why = why_not(cluster, one); !why.empty()) out.push_back({one.name, "", std::move(why)});
  return out;
}

std::vector<std::string> summary(const std::vector<Pending>& all) {
  std::map<std::pair<std::string, std::string>, std::vector<std::string>> nodes;
  for (const Pending& one : all) nodes[{one.part, one.why}].push_back(one.node);
  std::vector<std::string> out;
  for (const auto& [what, names] : nodes) {
    const auto& [part, why] = what;
    std::string line = part;
    if (names.size() > 1 && !names.front().empty())
      line += " on " + std::to_string(names.size()) + " nodes (" + in_words(names) + ")";
    else if (!names.front().empty())
      line += " on " + names.front();
    out.push_back(line + ": " + why);
  }
  return out;
}

std::string Shortage::text() const {
  return node + ": " + std::to_string(std::max<std::int64_t>(free, 0)) + resource_unit(resource) + " of " + resource +
         " are free, a " + (freed ? "second " : "") + "quote helper" + (standby ? " with its standby" : "") +
         " needs " + std::to_string(needed);
}

std::vector<Shortage> no_room(const Cluster& cluster) {
  std::vector<Shortage> out;
  const DaemonSet* helper = cluster.ours(kHelper);
  if (helper == nullptr) return out;
  for (const auto& [name, on] : pods_by_node(cluster, kHelper)) {
    const Node* node = cluster.node(name);
    bool one_is_left = on.old != nullptr && !on.old->node.empty();
    bool new_is_there = on.newest != nullptr && !on.newest->node.empty();
    if (node == nullptr || !node->ready || new_is_there) continue;
    for (const auto& [resource, needed] : helper->requests) {
      // None at all: the plugin there is being replaced as well, or is what has to be mended.
      if (amount(node->allocatable, resource) == 0) continue;
      if (std::int64_t free = free_on(cluster, *node, resource); free < needed) {
        out.push_back({name, resource, free, needed, helper->has_standby});
        if (one_is_left) out.back().freed = amount(on.old->requests, resource);
        break;
      }
    }
  }
  return out;
}

void Rollout::tell_counts(const Cluster& cluster, Step& step) {
  for (std::string_view part : kParts) {
    const DaemonSet* set = cluster.ours(part);
    if (set == nullptr) continue;
    const int done = count_done(pods_by_node(cluster, part));
    int& last = counts_.try_emplace(std::string(part), -1).first->second;
    if (last == done || (last < 0 && set->wanted == 0)) continue;
    last = done;
    step.progress.push_back(std::string(part) + ": ready on " + std::to_string(done) + " of " +
                            std::to_string(set->wanted) + (set->wanted == 1 ? " node" : " nodes"));
  }
  for (const Deployment& one : cluster.deployments) {
    const int ready = std::min(one.ready, one.updated);
    if (std::exchange(counts_.try_emplace(one.name, -1).first->second, ready) == ready) continue;
    step.progress.push_back(one.name + ": " + std::to_string(ready) + " of " + std::to_string(one.wanted) +
                            " replicas ready");
  }
}

void Rollout::tell_shortages(const std::vector<Shortage>& shortages, Step& step) {
  for (const Shortage& shortage : shortages) {
    std::string line =
        (shortage.freed ? "no room for two: " : "no room: ") + shortage.text() + way_out(shortage, allow_gap_);
    if (told_.insert(line).second) step.progress.push_back(std::move(line));
  }
}

// Where everything else is done, or where the new one waits already and holds up the others.
std::optional<Reference> Rollout::to_replace(const Cluster& cluster, const std::vector<Pending>& all,
                                             const std::vector<Shortage>& shortages) const {
  auto nodes = pods_by_node(cluster, kHelper);
  std::set<std::string> narrow;
  for (const Shortage& shortage : shortages)
    if (shortage.freed && shortage.fits_alone()) narrow.insert(shortage.node);
  bool others_are_done = true;
  for (const Pending& one : all) {
    if (one.not_waited_for) continue;
    const PodsOnNode* on = one.part == kHelper && !one.node.empty() ? &nodes[one.node] : nullptr;
    // One at a time: where the old one is gone, the new one comes.
    if (on != nullptr && (on->old == nullptr || on->old->leaving)) return std::nullopt;
    others_are_done &= on != nullptr && narrow.contains(one.node);
  }
  for (const std::string& name : narrow)
    if (const PodsOnNode& on = nodes[name]; others_are_done || on.newest != nullptr)
      return Reference{"v1", "Pod", on.old->name_space, on.old->name};
  return std::nullopt;
}

// The detector labels nodes, and only then the others land on them; what they offer shows later still.
bool Rollout::is_found(const Cluster& cluster, Elapsed elapsed, Step& step) {
  if (!applied_since_) applied_since_ = elapsed;
  const DaemonSet* plugin = cluster.ours(kPlugin);
  const bool landed = plugin == nullptr || plugin->wanted > 0;
  const bool silent = plugin != nullptr && awaits_epc(cluster);
  if ((landed && !silent) || elapsed >= limits_.timeout ||
      elapsed - *applied_since_ >= (landed ? limits_.status : limits_.settle))
    return true;
  if (silent && told_.insert("silent").second) step.progress.emplace_back("waiting for the nodes to tell of their EPC");
  return false;
}

Rollout::Step Rollout::look(const Cluster& cluster, Elapsed elapsed) {
  Step step;
  tell_counts(cluster, step);
  const auto all = pending(cluster);
  const auto lines = summary(all);
  if (std::all_of(all.begin(), all.end(), [](const Pending& one) { return one.not_waited_for; })) {
    if (is_found(cluster, elapsed, step)) {
      for (const std::string& line : lines) step.progress.push_back("not waited for: " + line);
      step.next = kDone;
      return step;
    }
  } else {
    applied_since_.reset();
  }

  const auto shortages = no_room(cluster);
  tell_shortages(shortages, step);
  if (allow_gap_) step.pod = to_replace(cluster, all, shortages);
  if (step.pod) {
    step.next = kReplace;
    step.progress.push_back("replacing " + step.pod->title() + " with a gap");
  }

  std::map<std::string, Elapsed> still;
  for (const std::string& line : lines) {
    const auto seen = since_.find(line);
    const Elapsed first = seen == since_.end() ? elapsed : seen->second;
    still[line] = first;
    if (elapsed - first >= limits_.settle && told_.insert(line).second) step.progress.push_back("waiting for " + line);
  }
  since_ = std::move(still);

  if (elapsed < limits_.timeout) return step;
  step.next = kTimedOut;
  step.error = "not everything is ready after " + std::to_string(limits_.timeout.count()) + " s:";
  for (const std::string& line : lines) step.error += "\n  " + line;
  step.error +=
      "\nWhat is applied stays and goes on by itself. `enclayer show` tells how it stands; the same command waits "
      "again, --timeout SECONDS waits longer";
  return step;
}

Result<> wait_until_ready(const ApiServer& api, ClusterWatch& watch, const WaitLimits& limits, bool allow_gap,
                          const Progress& progress) {
  const auto begin = steady_clock::now();
  Rollout rollout(limits, allow_gap);
  bool away = false;
  while (true) {
    const auto turn = steady_clock::now();
    auto seen = watch.refresh();
    const auto elapsed = std::chrono::duration_cast<std::chrono::milliseconds>(steady_clock::now() - begin);
    if (!seen) {
      const ErrorKind kind = seen.error().kind();
      const bool passes = kind == ErrorKind::kUnavailable || kind == ErrorKind::kTimedOut;
      if (!passes || elapsed >= limits.timeout)
        return Error(kind, seen.error().message() +
                               "\nEverything is applied; whether it is ready is not known. `enclayer show` tells, and "
                               "the same command waits again");
      if (!std::exchange(away, true)) progress("the API server does not answer; trying again");
    } else {
      away = false;
      const auto step = rollout.look(watch.cluster(), elapsed);
      for (const std::string& line : step.progress) progress(line);
      if (step.next == Rollout::kDone) return {};
      if (step.next == Rollout::kTimedOut) return Error(ErrorKind::kTimedOut, step.error);
      if (step.next == Rollout::kReplace) ENCLAYER_CHECK(remove(api, {&*step.pod, 1}, std::chrono::seconds(0)));
    }
    // A watch lasts that long by itself, unless it ends early.
    std::this_thread::sleep_until(std::min(turn + kWatch, std::max(turn, begin + limits.timeout)));
  }
}

}  // namespace enclayer::addon
