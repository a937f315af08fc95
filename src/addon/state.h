// SPDX-License-Identifier: Apache-2.0
// How the add-on stands, node by node: what `enclayer show` says.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "addon/cluster.h"
#include "addon/install.h"

namespace enclayer::addon {

struct PartState {
  std::string name;     // "device-plugin": what the label app.kubernetes.io/component says
  std::string meaning;  // one line for people
  bool on = false;
  std::string image = {}, version = {};
  int ready = 0, wanted = 0;
};

struct NodeState {
  std::string name, platform, driver;  // platform and driver: as detect says, empty: it said nothing
  std::int64_t epc_total = 0, epc_allocatable = 0, epc_requested = 0;  // MiB
  std::int64_t epc_free() const { return std::max<std::int64_t>(epc_allocatable - epc_requested, 0); }
  std::int64_t dra_total = 0, dra_claimed = 0;  // MiB, by the DRA driver
  std::string plugin, driver_pod, helper;       // "ready", "not ready", "off" (there should be none), "missing"
  bool quotes = false;                          // pods can have quotes there now
  std::string reason;                           // what is wrong; empty: nothing
};

struct State {
  bool on = false;
  std::string name_space, cluster_version;
  std::string addon_version;  // of the enclayer that wrote the settings, or the manifests where there are none
  std::string kept_by;        // as Cluster::kept_by() says
  std::vector<PartState> parts;
  std::vector<Policy> policies;  // without bindings
  std::vector<Claim> claims;     // by name, then by name of their namespace
  std::vector<NodeState> nodes;  // that take part or might; the worst first, then by name
  std::size_t other_nodes = 0;
  std::vector<std::string> warnings;
};

// `before`: what the cluster remembers; nullptr: nothing, or nothing readable.
State state(const Cluster& cluster, const Remembered* before, std::string_view cli_version);

// What of the add-on's workloads is there against the settings, or lacks: "DaemonSet enclayer-quote-helper is missing".
std::vector<std::string> half_applied(const Cluster& cluster, const Remembered* before);

// A sentence where the minor versions differ by more than one; empty: they do not, or one of them is none.
std::string versions_apart(std::string_view addon, std::string_view cli);

// What there is to switch on, on or not.
std::vector<PartState> parts(const Cluster& cluster, const Remembered* before);

}  // namespace enclayer::addon
