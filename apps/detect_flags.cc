// SPDX-License-Identifier: Apache-2.0
#include "detect_flags.h"

#include <CLI/CLI.hpp>

#include "base/quantity.h"

namespace enclayer::apps {

void add_detect_flags(CLI::App& app, DetectFlags& flags, const char* told) {
  add_platform_option(app, flags.platform);
  app.add_option("--sim-epc", flags.sim_epc, "With --platform sim: EPC to pretend, in Ki, Mi, Gi, Ti or bytes")
      ->option_text("AMOUNT [8Gi]");
  app.add_option("--label-node", flags.node,
                 "Give this node, which has to be the one that we run on, the labels that say what it has")
      ->option_text("NAME");
  app.add_option("--troubles-dir", flags.troubles_dir, told)->option_text("DIR")->needs("--label-node");
  app.add_option("--dev-root", flags.dev_root, "Where to look for device nodes")->option_text("DIR [/dev]");
  app.add_option("--sysfs-root", flags.sysfs_root, "Where to look for facts of the kernel")->option_text("DIR [/sys]");
  app.add_option("--account-dir", flags.account_dir, "Where the pod's token and ca.crt are")
      ->option_text("DIR [/var/run/secrets/kubernetes.io/serviceaccount]");
  add_log_options(app, flags.log_level, flags.log_format);
}

Result<detect::Findings> look(const DetectFlags& flags) {
  if (flags.platform == Platform::kHardware) {
    if (!flags.sim_epc.empty())
      return Error(ErrorKind::kInvalidArgument,
                   "--sim-epc means nothing without --platform sim: a simulation is never started silently");
    return detect::find(sgx::cpuid_of_this_machine(), flags.dev_root, flags.sysfs_root);
  }
  const std::string epc = flags.sim_epc.empty() ? "8Gi" : flags.sim_epc;
  auto bytes = base::parse_quantity(epc);
  if (!bytes) return bytes.error().with_context("--sim-epc");
  if (*bytes < sgx::kMiB)
    return Error(ErrorKind::kInvalidArgument, "--sim-epc " + epc + " is less than 1Mi, the least that can be offered");
  return detect::pretend(*bytes);
}

}  // namespace enclayer::apps
