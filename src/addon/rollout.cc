// SPDX-License-Identifier: Apache-2.0
#include "addon/rollout.h"

#include <algorithm>
#include <map>
#include <set>
#include <thread>
#include <utility>

#include "addon/names.h"

namespace enclayer::addon {
namespace {

using std::chrono::steady_clock;

constexpr std::string_view kParts[] = {kDetect, kPlugin, kHelper};

// What is known of one node's pods of one DaemonSet.
struct OnNode {
  bool done = false;
  const Pod* newest = nullptr;
  const Pod* old = nullptr;
};

std::map<std::string, OnNode> by_node(const Cluster& cluster, std::string_view part) {
  auto newest = cluster.newest_revision.find(std::string(part));
  std::map<std::string, OnNode> out;
  for (const Pod& pod : cluster.pods) {
    if (!pod.ours || pod.app != part || pod.meant_for.empty()) continue;
    OnNode& on = out[pod.meant_for];
    bool is_newest = newest == cluster.newest_revision.end() || pod.revision == newest->second;
    (is_newest ? on.newest : on.old) = &pod;
    on.done |= is_newest && pod.ready && !pod.leaving;
  }
  // The old one goes when the new one has been ready for a while; until then that may end otherwise.
  for (auto& [node, on] : out) on.done &= on.old == nullptr;
  return out;
}

int count_done(const std::map<std::string, OnNode>& nodes) {
  return static_cast<int>(std::count_if(nodes.begin(), nodes.end(), [](const auto& one) { return one.second.done; }));
}

// A node has the newest plugin, and its kubelet has not told the API server of the EPC so far.
bool awaits_epc(const Cluster& cluster) {
  for (const auto& [name, on] : by_node(cluster, kPlugin)) {
    const Node* node = cluster.node(name);
    if (on.done && node != nullptr && node->ready && amount(node->allocatable, kEpcResource) == 0) return true;
  }
  return false;
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

std::int64_t requested_on(const Cluster& cluster, std::string_view node, std::string_view resource) {
  std::int64_t sum = 0;
  for (const Pod& pod : cluster.pods)
    if (pod.node == node && pod.phase != "Succeeded" && pod.phase != "Failed")
      if (auto found = pod.requests.find(resource); found != pod.requests.end()) sum += found->second;
  return sum;
}

std::int64_t free_on(const Cluster& cluster, const Node& node, std::string_view resource) {
  return amount(node.allocatable, resource) - requested_on(cluster, node.name, resource);
}

std::vector<Pending> pending(const Cluster& cluster) {
  std::vector<Pending> out;
  for (std::string_view part : kParts) {
    const DaemonSet* set = cluster.ours(part);
    if (set == nullptr) continue;
    auto nodes = by_node(cluster, part);
    for (const auto& [name, on] : nodes) {
      if (on.done) continue;
      const Node* node = cluster.node(name);
      if (node == nullptr) continue;  // the pod outlives its node for a moment
      Pending one{std::string(part), name, "", !node->ready};
      if (!node->ready)
        one.why = "the node is not ready: " + node->why_not_ready;
      else if (on.newest != nullptr && on.newest->ready && on.old != nullptr)
        one.why = "the new one is ready, the old one still there";
      else if (on.newest != nullptr)
        one.why = on.newest->leaving ? "its pod is being deleted" : on.newest->why_not;
      else
        one.why = on.old->ready ? "still has the version before; its turn comes"
                                : "has the version before, which is not ready (" + on.old->why_not + ")";
      out.push_back(std::move(one));
    }
    if (int missing = set->wanted - static_cast<int>(nodes.size());
        missing > 0 || set->seen_generation < set->generation)
      out.push_back({std::string(part), "",
                     missing > 0 ? std::to_string(missing) + " of its pods are not made yet"
                                 : "the cluster's DaemonSet controller has not seen it yet",
                     false});
  }
  return out;
}

std::vector<std::string> told(const std::vector<Pending>& all) {
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
  for (const auto& [name, on] : by_node(cluster, kHelper)) {
    const Node* node = cluster.node(name);
    bool one_is_left = on.old != nullptr && !on.old->node.empty();
    bool new_is_there = on.newest != nullptr && !on.newest->node.empty();
    if (node == nullptr || !node->ready || new_is_there) continue;
    for (const auto& [resource, needed] : helper->requests) {
      // None at all: the plugin there is being replaced as well, or is what has to be mended.
      const std::int64_t all = amount(node->allocatable, resource);
      if (all == 0) break;
      // The plugin offers enough of these for two helpers, when it has been replaced too.
      if (resource == kProvisionResource && all < 2 * needed) continue;
      if (std::int64_t free = free_on(cluster, *node, resource); free < needed) {
        out.push_back({name, resource, free, needed, helper->has_standby});
        if (one_is_left) out.back().freed = amount(on.old->requests, resource);
        break;
      }
    }
  }
  return out;
}

Result<Cluster> wait_until_ready(const Kubectl& kubectl, const std::string& name_space, const Patience& patience,
                                 const Say& say, const std::function<Result<>()>& gap) {
  auto deadline = steady_clock::now() + patience.timeout;
  std::map<std::string, int> counts;                      // part -> nodes that have it, as said last
  std::map<std::string, steady_clock::time_point> since;  // a reason -> when it was seen first
  std::set<std::string> said, short_said;
  bool silence_said = false;
  // Since when the detector is everywhere; max(): it is not. (g++ 12 takes an optional point in time for
  // uninitialized.)
  constexpr auto kNot = steady_clock::time_point::max();
  auto found_since = kNot;
  bool gap_made = false, away = false;
  while (true) {
    auto now = steady_clock::now();
    auto cluster = look(kubectl, Look::kRollout, name_space);
    if (!cluster) {
      ErrorKind kind = cluster.error().kind();
      bool passes = kind == ErrorKind::kUnavailable || kind == ErrorKind::kTimedOut;
      if (!passes || now >= deadline)
        return Error(kind,
                     cluster.error().message() +
                         "\nEverything is applied; whether it is ready is not known. `enclayer show` tells, and the "
                         "same command waits again");
      if (!away) say("the API server does not answer; trying again");
      away = true;
      std::this_thread::sleep_for(patience.look_every);
      continue;
    }
    away = false;

    for (std::string_view part : kParts) {
      const DaemonSet* set = cluster->ours(part);
      if (set == nullptr) continue;
      int done = count_done(by_node(*cluster, part));
      auto at = counts.try_emplace(std::string(part), -1).first;
      if (at->second == done || (at->second < 0 && set->wanted == 0)) continue;
      at->second = done;
      say(std::string(part) + ": ready on " + std::to_string(done) + " of " + std::to_string(set->wanted) +
          (set->wanted == 1 ? " node" : " nodes"));
    }
    auto all = pending(*cluster);
    bool up_to_date = true;
    for (const Pending& one : all) up_to_date &= one.node_is_down;
    const DaemonSet* plugin = cluster->ours(kPlugin);
    if (up_to_date) {
      // The detector labels nodes, and only then the others land on them; what they offer shows later still.
      if (found_since == kNot) found_since = now;
      bool landed = plugin == nullptr || plugin->wanted > 0;
      bool silent = plugin != nullptr && awaits_epc(*cluster);
      auto enough = landed ? patience.status : patience.settle;
      if ((landed && !silent) || now - found_since >= enough || now >= deadline) {
        for (const std::string& line : told(all)) say("not waited for: " + line);
        return std::move(*cluster);
      }
      if (silent && !std::exchange(silence_said, true)) say("waiting for the nodes to tell of their EPC");
    } else {
      found_since = kNot;
    }

    auto shortages = no_room(*cluster);
    for (const Shortage& shortage : shortages)
      if (short_said.insert(shortage.text()).second)
        say((shortage.freed ? "no room for two: " : "no room: ") + shortage.text() + way_out(shortage, gap != nullptr));
    if (gap && !gap_made && !shortages.empty()) {
      std::set<std::string> narrow;
      for (const Shortage& shortage : shortages)
        if (shortage.fits_alone()) narrow.insert(shortage.node);
      bool only_these = std::all_of(all.begin(), all.end(), [&](const Pending& one) {
        return one.node_is_down || (one.part == kHelper && narrow.contains(one.node));
      });
      if (only_these) {
        say("replacing the quote helper on " + std::to_string(narrow.size()) +
            (narrow.size() == 1 ? " node" : " nodes") + " with a gap");
        ENCLAYER_CHECK(gap());
        gap_made = true;
      }
    }

    std::map<std::string, steady_clock::time_point> still;
    for (const std::string& line : told(all)) {
      auto seen = since.find(line);
      auto first = seen == since.end() ? now : seen->second;
      still[line] = first;
      if (now - first >= patience.settle && said.insert(line).second) say("waiting for " + line);
    }
    since = std::move(still);

    if (now >= deadline) {
      std::string message = "not everything is ready after " + std::to_string(patience.timeout.count()) + " s:";
      for (const std::string& line : told(all)) message += "\n  " + line;
      return Error(ErrorKind::kTimedOut,
                   message +
                       "\nWhat is applied stays and goes on by itself. `enclayer show` tells how it stands; the same "
                       "command waits again, --timeout SECONDS waits longer");
    }
    std::this_thread::sleep_for(std::min<steady_clock::duration>(
        patience.look_every, std::max<steady_clock::duration>(deadline - now, std::chrono::milliseconds(1))));
  }
}

}  // namespace enclayer::addon
