// SPDX-License-Identifier: Apache-2.0
// What `show`, `doctor` and `sysdump` say something about: the cluster and its add-on, looked at once.
#pragma once

#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "addon/api_server.h"
#include "addon/cluster.h"
#include "addon/doctor.h"
#include "addon/figures.h"
#include "addon/helper_facts.h"
#include "addon/install.h"
#include "addon/platforms.h"
#include "addon/protection.h"
#include "addon/state.h"
#include "addon_commands.h"
#include "enclayer/error.h"

namespace enclayer::apps {

struct Looked {
  std::unique_ptr<addon::ApiServer> api;
  addon::Cluster cluster;
  std::optional<addon::Remembered> before;  // what the cluster remembers
  std::string no_settings;                  // why that cannot be read

  addon::State state;
  addon::Protection protection;             // of an add-on that is on
  std::vector<addon::HelperFacts> helpers;  // of those that were asked
  addon::Platforms platforms;               // of nodes with quote helpers
  std::map<std::string, addon::Said>
      plugins;            // of device plugins that may look at processes, where a platform lacks something
  std::string not_asked;  // why no pod was asked anything: "that takes the right to create pods/exec ..."
  std::vector<std::string> helper_warnings;  // of what helpers quote with

  const addon::Remembered* remembered_settings() const { return before ? &*before : nullptr; }
};

// The first four; errors are those of connecting and of what has to be readable.
Result<Looked> look_at_cluster(const ClusterFlags& flags, const Surroundings& around);

// All of it. Asks the API server for a dry run, and pods by kubectl exec, where the user may; of the quote helpers `helpers`.
Result<Looked> look(const ClusterFlags& flags, const Surroundings& around, std::size_t helpers = addon::kMostAsked);

// ---- What `show` says of it: show.cc ----

addon::State with_warnings(const Looked& all);  // state, with all that there is to warn of
nlohmann::ordered_json in_json(const Looked& all, const addon::State& state);

// ---- What `doctor` says of it: doctor.cc ----

std::vector<addon::Link> examine(const Looked& all);
std::string in_json(const std::vector<addon::Link>& links);
std::string in_text(const std::vector<addon::Link>& links);

}  // namespace enclayer::apps
