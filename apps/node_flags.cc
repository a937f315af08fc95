// SPDX-License-Identifier: Apache-2.0
#include "node_flags.h"

#include <CLI/CLI.hpp>
#include <optional>

#include "base/quantity.h"

namespace enclayer::apps {

void add_node_flags(CLI::App& app, NodeFlags& flags) {
  app.add_option("--sim-epc", flags.sim_epc, "With --platform sim: EPC to pretend, in Ki, Mi, Gi, Ti or bytes")
      ->option_text("AMOUNT [8Gi]");
  app.add_option("--sim-device", flags.sim_device,
                 "With --platform sim: character device of the host that containers get at the SGX paths")
      ->option_text("PATH [/dev/null]");
  app.add_option("--sim-provision-device", flags.sim_provision_device,
                 "With --platform sim: the same for the provisioning device")
      ->option_text("PATH [that of --sim-device]");
  app.add_option("--dev-root", flags.dev_root,
                 "Where to look for device nodes; containers get those of the host's /dev")
      ->option_text("DIR [/dev]");
  app.add_option("--sysfs-root", flags.sysfs_root, "Where to look for facts of the kernel")->option_text("DIR [/sys]");
}

void add_epc_flags(CLI::App& app, EpcFlags& flags) {
  app.add_option("--max-epc", flags.max_epc, "Offer no more than this, in Ki, Mi, Gi, Ti or bytes")
      ->option_text("AMOUNT [all]");
  app.add_option("--reserve-epc", flags.reserve_epc, "Keep this much back, for enclaves of the host")
      ->option_text("AMOUNT [0]");
  app.add_option("--dra-epc", flags.dra_epc,
                 "Of the rest, the part that enclayer-dra-driver offers to claims, in Ki, Mi, Gi, Ti or bytes, or in "
                 "percent; enclayer-device-plugin offers the other one")
      ->option_text("AMOUNT|PERCENT% [0]");
  app.add_option("--helper-epc", flags.helper_mib,
                 "What the quote helper's pods take of a node, in MiB: --dra-epc leaves it to the device plugin")
      ->option_text("N [0]");
}

Result<device_plugin::EpcParts> epc_parts(const device_plugin::Node& node, const EpcFlags& flags) {
  device_plugin::EpcShare share{std::nullopt, 0, flags.dra_epc, flags.helper_mib};
  if (!flags.max_epc.empty()) {
    auto most = base::parse_quantity(flags.max_epc);
    if (!most) return most.error().with_context("--max-epc");
    share.max_bytes = *most;
  }
  if (!flags.reserve_epc.empty()) {
    auto reserve = base::parse_quantity(flags.reserve_epc);
    if (!reserve) return reserve.error().with_context("--reserve-epc");
    share.reserve_bytes = *reserve;
  }
  return device_plugin::epc_parts(node.epc_bytes, share);
}

Result<device_plugin::Node> find_node(const CLI::App& app, Platform platform, const NodeFlags& flags) {
  if (platform == Platform::kSim)
    return device_plugin::node_of_simulation(
        flags.sim_epc, flags.sim_device,
        flags.sim_provision_device.empty() ? flags.sim_device : flags.sim_provision_device, flags.dev_root);
  for (const char* flag : {"--sim-epc", "--sim-device", "--sim-provision-device"})
    if (app.count(flag) > 0)
      return Error(ErrorKind::kInvalidArgument,
                   std::string(flag) + " means nothing without --platform sim: a simulation is never started silently");
  return device_plugin::node_of_hardware(flags.dev_root, flags.sysfs_root);
}

}  // namespace enclayer::apps
