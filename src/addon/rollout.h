// SPDX-License-Identifier: Apache-2.0
// Waiting until the DaemonSets are where they should be, and saying of each node why it is not so far.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "addon/cluster.h"
#include "addon/install.h"
#include "enclayer/error.h"

namespace enclayer::addon {

// One part of the add-on that is not yet on one node, or not yet the newest there.
struct Pending {
  std::string part;  // "enclayer-quote-helper"
  std::string node;  // empty: nobody has made pods for some nodes yet
  std::string why;
  bool node_is_down = false;  // the node does not report; it gets its pod when it does
};

// Sorted by part, then by node.
std::vector<Pending> pending(const Cluster& cluster);

// "enclayer-quote-helper on node-a: ErrImagePull: ...", the same reason of many nodes in one line.
std::vector<std::string> told(const std::vector<Pending>& pending);

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
// What pods on the node have asked for, ours included.
std::int64_t requested_on(const Cluster& cluster, std::string_view node, std::string_view resource);

struct Patience {
  std::chrono::seconds timeout{300};
  std::chrono::milliseconds look_every{1000};
  // A reason is told when it holds for so long, and nodes are given so long to be found.
  std::chrono::milliseconds settle{5000};
  // A kubelet tells the API server of new devices with its next status, every 10 s by default.
  std::chrono::milliseconds status{12000};
};

// Waits until every node that takes part has the newest pods, ready, and offers EPC (not longer than patience.status
// for that: `show` says why one does not); nodes that are down are named and not waited for.
// `gap` (may be empty) is called once, when only nodes without room for two quote helpers are left, which have room for
// the new one alone.
// Gives the cluster as it then is. kTimedOut with what every node waits for; an API server that does not answer for a
// while is waited for.
Result<Cluster> wait_until_ready(const Kubectl& kubectl, const std::string& name_space, const Patience& patience,
                                 const Say& say, const std::function<Result<>()>& gap = nullptr);

}  // namespace enclayer::addon
