// SPDX-License-Identifier: Apache-2.0
// What `top` and `dashboard` begin with: a cluster that is going to be watched, and whose daemons may be asked.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "addon/api_server.h"
#include "addon/cluster.h"
#include "addon/usage.h"
#include "addon_commands.h"
#include "enclayer/error.h"
#include "manifests/settings.h"

namespace enclayer::apps {

struct Watchable {
  std::unique_ptr<addon::ApiServer> api;
  addon::Cluster cluster;
  manifests::Settings settings;    // of the add-on; where there is none, or they cannot be read, those of a new one
  bool may_ask = false;            // daemons: the add-on is on, and the user may create pods/exec in its namespace
  std::vector<std::string> notes;  // why they may not be asked, and what else is to be known of the add-on
};

// Errors as of look_at_cluster().
Result<Watchable> look_before_watching(const ClusterFlags& flags, const Surroundings& around);

// With `notes` said first, but for the one that tells why the usage is not up to date.
addon::Usage with(const std::vector<std::string>& notes, addon::Usage usage);

}  // namespace enclayer::apps
