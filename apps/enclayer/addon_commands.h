// SPDX-License-Identifier: Apache-2.0
// What `enable`, `update`, `show`, `list` and `disable` do alike.
#pragma once

#include <cstdio>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "addon/api_server.h"
#include "addon/install.h"
#include "addon/rollout.h"
#include "enclayer/error.h"
#include "enclayer/time.h"
#include "manifests/settings.h"

namespace CLI {
class App;
}

namespace enclayer::apps {

// What main() knows and the commands need.
struct Surroundings {
  std::string program;                    // "enclayer", or "kubectl enclayer" when kubectl found us
  std::string search_path;                // PATH
  std::filesystem::path cache_home = {};  // as for add_collateral()
  Time now = {};
};

struct ClusterFlags {
  std::string kubectl = "kubectl", context, kubeconfig;
};
// --kubectl, --context, --kubeconfig.
void add_cluster_flags(CLI::App& command, ClusterFlags& flags);
// The API server, through kubectl, for as long as the command runs.
Result<std::unique_ptr<addon::ApiServer>> connect(const ClusterFlags& flags, const std::string& search_path);

// Whatever these commands say goes out here: one or more lines, `text` without the last one's end, with no control
// characters of clusters and programs in it.
void print(std::FILE* to, const std::string& text);

// --timeout SECONDS.
void add_timeout_flag(CLI::App& command, addon::WaitLimits& limits);

// "10,240": thousands for people.
std::string grouped(std::int64_t number);

// What a user may say to both `enable` and `update`.
struct ChangeFlags {
  ClusterFlags cluster;
  bool adopt = false, dry_run = false, no_wait = false, allow_gap = false, no_self_test = false, rollback = false;
  addon::WaitLimits limits;
  std::string output = "text";
};
void add_change_flags(CLI::App& command, ChangeFlags& flags);

// Brings the cluster to what `wanted` makes of the settings that it has; `enable`: also where it has none.
// Gives the exit code.
using Wanted = std::function<Result<manifests::Settings>(manifests::Settings)>;
int change(const ChangeFlags& flags, const Surroundings& around, const Wanted& wanted, bool enable);

}  // namespace enclayer::apps
