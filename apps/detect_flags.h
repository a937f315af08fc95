// SPDX-License-Identifier: Apache-2.0
// What `enclayer detect` and the daemon `enclayer-detect` have in common: the same flags mean the same, and the daemon
// hands them on.
#pragma once

#include <filesystem>
#include <string>

#include "cli_support.h"
#include "detect/findings.h"

namespace enclayer::apps {

struct DetectFlags {
  Platform platform = Platform::kHardware;
  std::string sim_epc;  // an amount; empty: not given
  std::filesystem::path dev_root = "/dev", sysfs_root = "/sys";
  std::string node;                    // whose labels are to be kept; empty: nobody's
  std::filesystem::path troubles_dir;  // where daemons say what is wrong (troubles/troubles.h); empty: nowhere
  std::filesystem::path account_dir = "/var/run/secrets/kubernetes.io/serviceaccount";
  base::log::Level log_level = base::log::Level::kInfo;
  base::log::Format log_format = base::log::Format::kText;
};

// --platform, --sim-epc, --dev-root, --sysfs-root, --label-node, --troubles-dir, --account-dir, --log-level,
// --log-format. What becomes of the troubles is `told`.
void add_detect_flags(CLI::App& app, DetectFlags& flags, const char* told);

// A look at this node, as the flags say. kInvalidArgument: --sim-epc is no amount, or there is no simulation.
Result<detect::Findings> look(const DetectFlags& flags);

}  // namespace enclayer::apps
