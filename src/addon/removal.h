// SPDX-License-Identifier: Apache-2.0
// Switching the add-on off, without leaving anything.
#pragma once

#include <string>
#include <vector>

#include "addon/cluster.h"
#include "addon/install.h"
#include "addon/rollout.h"
#include "enclayer/error.h"

namespace enclayer::addon {

// Pods of users that hold EPC under any name, devices or quotes: they would lose nothing now, but could not start again.
std::vector<const Pod*> holders(const Cluster& cluster);

// "2 claims hold EPC by the DRA driver: ..."; empty: none does. Without it their pods could not even end.
std::string claims_held(const Cluster& cluster);

// The labels and annotations that `enclayer detect` wrote, by node; not the user's enclayer.io/sim.
struct DetectedKeys {
  std::string node;
  std::vector<std::string> labels, annotations;

  std::string merge_patch() const;  // removes them
};
std::vector<DetectedKeys> detected_keys(const Cluster& cluster);

// What is left where the add-on is not: a `disable` or `helm uninstall` that was cut off, a detector whose DaemonSet was
// deleted by hand. One sentence; empty: nothing.
std::string left_behind(const std::vector<Reference>& objects, const std::vector<DetectedKeys>& keys);

struct Removed {
  std::vector<std::string> objects;  // titles, in the order in which they went
  std::size_t nodes_unlabelled = 0;
  std::string namespace_kept;  // why; empty: it is gone, or was never there
};

// Policies first, so that nothing refuses pods while the rest goes; then DaemonSets, node labels, the rest, the
// namespace unless others have objects in it. Waits until all of it is gone. `force`: pods of ours on nodes that do not
// report are taken off the API server's list. kTimedOut names what does not go; running it again goes on from there.
Result<Removed> remove_all(const ApiServer& api, ClusterWatch& watch, bool force, const WaitLimits& limits,
                           const Progress& progress);

}  // namespace enclayer::addon
