// SPDX-License-Identifier: Apache-2.0
// Waiting until DaemonSets and Deployments are where they should be, and saying of each node why it is not so far.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "addon/cluster.h"
#include "addon/install.h"
#include "enclayer/error.h"

namespace enclayer::addon {

// The pods of one DaemonSet on one node.
struct PodsOnNode {
  const Pod* newest = nullptr;
  const Pod* old = nullptr;  // of a template before
  bool done = false;         // the newest is ready, and the old one gone
};
std::map<std::string, PodsOnNode> pods_by_node(const Cluster& cluster, std::string_view part);

// What is wrong with them, for `show`, `update` and `disable` alike: "the node is not ready: ...", "ErrImagePull: ...",
// "its pod is being deleted". Empty: nothing. `node`: nullptr where the node is gone.
std::string problem(const Node* node, const PodsOnNode& pods);

// One part of the add-on that is not yet on one node, or not yet the newest there.
struct Pending {
  std::string part;  // "enclayer-quote-helper"
  std::string node;  // empty: of a Deployment; or nobody has made pods for some nodes yet
  std::string why;
  bool not_waited_for = false;  // the node does not report, or the part stays out of it: `why` says so
};

// Sorted by part, then by node.
std::vector<Pending> pending(const Cluster& cluster);

// "enclayer-quote-helper on node-a: ErrImagePull: ...", the same reason of many nodes in one line.
std::vector<std::string> summary(const std::vector<Pending>& pending);

// A node on which the quote helper runs and whose free resources do not suffice for a second one beside it, which is
// how it is replaced without a gap; or on which none runs yet, and they do not suffice for the first one.
struct Shortage {
  std::string node, resource;
  std::int64_t free = 0, needed = 0;
  bool standby = false;                 // half of `needed` is for the new one's standby
  std::optional<std::int64_t> freed{};  // more of it when the one that runs is gone; nullopt: none runs

  bool fits_alone() const { return free + freed.value_or(0) >= needed; }
  std::string text() const;
};
std::vector<Shortage> no_room(const Cluster& cluster);

// What nobody has asked for yet; negative when more is asked for than there is.
std::int64_t free_on(const Cluster& cluster, const Node& node, std::string_view resource);

struct WaitLimits {
  std::chrono::seconds timeout{300};
  // A reason is told when it holds for so long, and nodes are given so long to be found.
  std::chrono::milliseconds settle{5000};
  // A kubelet tells the API server of new devices with its next status, every 10 s by default.
  std::chrono::milliseconds status{12000};
};

// A rollout as a value: it is shown the cluster again and again, and says what to tell people and what to do next. It
// knows no clock and no API server.
//
//   Rollout rollout(limits, allow_gap);
//   for (auto step = rollout.look(cluster, elapsed); step.next == Rollout::kWait; ...)
class Rollout {
 public:
  enum Next {
    kWait,
    kReplace,   // delete `pod`: there is no room for the new quote helper beside it, but in its place. Then wait
    kDone,      // every node that takes part has the newest pods, ready, and offers EPC (not longer than
                // WaitLimits::status is waited for that); nodes that are down are named in `progress`
    kTimedOut,  // `error` says what every node waits for
  };
  struct Step {
    Next next = kWait;
    std::vector<std::string> progress;  // lines for people; none is said twice
    std::optional<Reference> pod = {};
    std::string error = {};
  };

  // `allow_gap`: quote helpers that have no room beside the old ones take their place, one node after the other.
  Rollout(const WaitLimits& limits, bool allow_gap) : limits_(limits), allow_gap_(allow_gap) {}

  // `elapsed`: since the wait began.
  Step look(const Cluster& cluster, std::chrono::milliseconds elapsed);

 private:
  using Elapsed = std::chrono::milliseconds;

  void tell_counts(const Cluster& cluster, Step& step);
  void tell_shortages(const std::vector<Shortage>& shortages, Step& step);
  std::optional<Reference> to_replace(const Cluster& cluster, const std::vector<Pending>& all,
                                      const std::vector<Shortage>& shortages) const;
  bool is_found(const Cluster& cluster, Elapsed elapsed, Step& step);

  WaitLimits limits_;
  bool allow_gap_;
  std::map<std::string, int> counts_;       // part -> nodes or replicas that have it, as told last
  std::map<std::string, Elapsed> since_;    // a reason -> when it was seen first
  std::set<std::string> told_;              // lines
  std::optional<Elapsed> applied_since_{};  // since when every pod is there
};

// Shows the cluster to a Rollout until it is done, and does what that says. kTimedOut: as Rollout says; an API server
// that does not answer is asked again until then.
Result<> wait_until_ready(const ApiServer& api, ClusterWatch& watch, const WaitLimits& limits, bool allow_gap,
                          const Progress& progress);

}  // namespace enclayer::addon
