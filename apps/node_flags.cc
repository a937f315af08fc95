// SPDX-License-Identifier: Apache-2.0
#include "node_flags.h"

#include <CLI/CLI.hpp>

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
