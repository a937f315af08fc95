// SPDX-License-Identifier: Apache-2.0
// Which SGX a daemon finds on its node, or pretends: the same flags for all that hand devices out.
#pragma once

#include <cstdint>
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

// How a node's EPC is shared out: the same for both of its doors, so that they compute the same parts.
struct EpcFlags {
  std::string max_epc, reserve_epc, dra_epc = "0";
  std::uint64_t helper_mib = 0;
};
void add_epc_flags(CLI::App& app, EpcFlags& flags);

// As device_plugin::epc_parts(); kInvalidArgument too for what is no amount.
Result<device_plugin::EpcParts> epc_parts(const device_plugin::Node& node, const EpcFlags& flags);

// As device_plugin::node_of_hardware() and node_of_simulation(). kInvalidArgument too where a flag of the simulation was
// given without --platform sim.
Result<device_plugin::Node> find_node(const CLI::App& app, Platform platform, const NodeFlags& flags);

}  // namespace enclayer::apps
