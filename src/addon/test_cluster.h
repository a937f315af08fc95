// SPDX-License-Identifier: Apache-2.0
// A cluster in the middle of an update, for tests.
#pragma once

#include "addon/cluster.h"
#include "addon/names.h"

namespace enclayer::addon {

// Two SGX nodes with a quote helper each, of the version before.
inline Cluster rolling() {
  Cluster cluster;
  for (const char* name : {"a", "b"}) {
    Node node;
    node.name = name;
    node.ready = true;
    node.labels = {{"enclayer.io/sgx", "true"}};
    node.capacity = node.allocatable = {{std::string(kEpcResource), 10}, {std::string(kQuoteResource), 110}};
    cluster.nodes.push_back(node);
    for (std::string_view app : {kHelper, kPlugin}) {
      Pod pod;
      pod.name = std::string(app) + "-" + name;
      pod.name_space = "e";
      pod.node = pod.meant_for = name;
      pod.app = app;
      pod.ours = pod.ready = true;
      pod.phase = "Running";
      pod.revision = app == kHelper ? "old" : "new";
      if (app == kHelper) pod.requests = {{std::string(kEpcResource), 5}};
      cluster.pods.push_back(pod);
    }
  }
  for (std::string_view name : {kHelper, kPlugin, kDetect}) {
    DaemonSet set;
    set.name = name;
    set.name_space = "e";
    set.ours = true;
    set.wanted = name == kDetect ? 0 : 2;
    set.ready = set.updated = set.wanted;
    if (name == kHelper) set.requests = {{std::string(kEpcResource), 5}};
    cluster.daemon_sets.push_back(set);
    cluster.newest_revision[std::string(name)] = {1, "new"};
  }
  return cluster;
}

}  // namespace enclayer::addon
