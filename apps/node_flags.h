// SPDX-License-Identifier: Apache-2.0
// Which SGX a daemon finds on its node, or pretends: the same flags for all that hand devices out.
#pragma once

#include <filesystem>
#include <string>

#include "cli_support.h"
#include "device_plugin/node.h"

namespace enclayer::apps {

struct NodeFlags {
  std::string sim_epc = "8Gi", sim_device = "/dev/null", sim_provision_device;  // the last one empty: sim_device
  std::filesystem::path dev_root = "/dev", sysfs_root = "/sys";
};

void add_node_flags(CLI::App& app, NodeFlags& flags);

// As device_plugin::node_of_hardware() and node_of_simulation(). kInvalidArgument too where a flag of the simulation was
// given without --platform sim.
Result<device_plugin::Node> find_node(const CLI::App& app, Platform platform, const NodeFlags& flags);

}  // namespace enclayer::apps
