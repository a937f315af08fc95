// SPDX-License-Identifier: Apache-2.0
// Trying a new quote helper before the old ones are replaced: its --self-test, as a pod beside them on one SGX node.
#pragma once

#include <string>
#include <string_view>

#include "addon/cluster.h"
#include "addon/install.h"
#include "addon/rollout.h"
#include "enclayer/error.h"

namespace enclayer::addon {

// Whether the two DaemonSets, as JSON, would run different pods.
Result<bool> other_pods(std::string_view daemon_set, std::string_view other);

// The pod, as JSON: that of the DaemonSet with --self-test, without probes, on that node, asking for EPC of one worker,
// and for the provisioning device under the name by which the node offers it: a device plugin before 0.2.0 has but the
// common one.
Result<std::string> self_test_pod(std::string_view daemon_set, const Node& node);

// Runs it on a node that has a quote helper and room for the pod, and removes it again. What it printed goes to
// `progress` when it fails. kUnavailable: the new helper does not work here, or cannot start, or no node has room for it.
Result<> self_test(const ApiServer& api, const Cluster& cluster, std::string_view daemon_set, const WaitLimits& limits,
                   const Progress& progress);

}  // namespace enclayer::addon
