// SPDX-License-Identifier: Apache-2.0
// enclayer disable: switch the add-on off and leave nothing.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "addon/names.h"
#include "addon/removal.h"
#include "addon_commands.h"
#include "cli_support.h"
#include "commands.h"

namespace enclayer::apps {
namespace {

using namespace addon;
using nlohmann::ordered_json;

struct DisableFlags {
  ClusterFlags cluster;
  bool force = false, dry_run = false;
  WaitLimits limits;
  std::string output = "text";
};

constexpr std::size_t kMostNamed = 20;

// "10 MiB of EPC, 1 of enclayer.io/quote"
std::string in_words(const addon::Resources& resources) {
  std::string out;
  for (const auto& [name, amount] : resources)
    out += (out.empty() ? "" : ", ") + grouped(amount) + (name == kEpcResource ? " MiB of EPC" : " of " + name);
  return out;
}

Result<> disable(const DisableFlags& flags, const Surroundings& around) {
  auto say = [&](const std::string& line) { print(flags.output == "json" ? stderr : stdout, line); };
  ENCLAYER_TRY(auto api, connect(flags.cluster, around.search_path));
  ENCLAYER_TRY(Cluster cluster, read_cluster(*api, Scope::kAll));
  // It would put the objects back, or be left with a release of nothing.
  if (std::string who = cluster.kept_by(); !who.empty() && cluster.stored.empty())
    return Error(ErrorKind::kConflict, who + " keeps the add-on in namespace " + cluster.name_space() +
                                           "; nothing was changed. End the pods that hold EPC, then switch it off "
                                           "there: helm uninstall, or, where Flux "
                                           "or Argo CD keep it, remove it from their source");
  auto pods = holders(cluster);
  ordered_json held = ordered_json::array();
  std::string list;
  for (std::size_t i = 0; i < pods.size(); ++i) {
    held.push_back({{"pod", pods[i]->full_name()}, {"node", pods[i]->node}, {"resources", pods[i]->requests}});
    if (i < kMostNamed)
      list += "\n  " + pods[i]->full_name() + " on " + pods[i]->node + ": " + in_words(pods[i]->requests);
    else if (i == kMostNamed)
      list += "\n  and " + std::to_string(pods.size() - kMostNamed) + " more";
  }
  const std::string claims = claims_held(cluster);
  ordered_json claimed = ordered_json::array();
  for (const Claim& claim : cluster.claims)
    claimed.push_back(
        {{"claim", claim.full_name()}, {"node", claim.node}, {"pods", claim.pods}, {"epc_mib", claim.mib}});
  if (flags.dry_run) {
    ENCLAYER_TRY(auto objects, leftovers(*api, cluster, {}));
    if (flags.output == "json") {
      std::vector<std::string> titles;
      for (const Reference& object : objects) titles.push_back(object.title());
      print(
          stdout,
          ordered_json{{"dry_run", true}, {"would_remove", titles}, {"pods_with_sgx", held}, {"claims", claimed}}.dump(
              2));
      return {};
    }
    if (objects.empty()) say("there is nothing of enclayer here");
    for (const Reference& object : objects) say("- " + object.title());
    if (!pods.empty()) say("pods that hold SGX resources, so --force would be needed:" + list);
    if (!claims.empty()) say(claims + "; --force would be needed");
    return {};
  }
  bool something = !cluster.name_space().empty();
  if (!pods.empty() && !flags.force && something)
    return Error(ErrorKind::kConflict,
                 std::to_string(pods.size()) + (pods.size() == 1 ? " pod holds" : " pods hold") +
                     " SGX resources; nothing was changed:" + list +
                     "\nThey would run on, but could not start again. Remove them first, or say --force");
  if (!claims.empty() && !flags.force && something)
    return Error(ErrorKind::kConflict, claims +
                                           "; nothing was changed. Without the driver their pods run on, and cannot "
                                           "end. Remove them first, or say --force");
  const bool none_held = pods.empty();
  ClusterWatch watch(*api, std::move(cluster));
  ENCLAYER_TRY(Removed removed, remove_all(*api, watch, flags.force, flags.limits, say));
  bool nothing = removed.objects.empty() && removed.nodes_unlabelled == 0;
  if (flags.output == "json") {
    ordered_json out = {{"removed", removed.objects},
                        {"nodes_unlabelled", removed.nodes_unlabelled},
                        {"namespace_kept", removed.namespace_kept},
                        {"pods_with_sgx", held},
                        {"claims", claimed}};
    print(stdout, out.dump(2, ' ', false, ordered_json::error_handler_t::replace));
    return {};
  }
  if (nothing) {
    say("enclayer is not switched on here; there was nothing to remove");
    return {};
  }
  if (!removed.namespace_kept.empty()) say(removed.namespace_kept);
  say("enclayer is off: " + std::to_string(removed.objects.size()) + " objects removed, labels of " +
      std::to_string(removed.nodes_unlabelled) + (removed.nodes_unlabelled == 1 ? " node" : " nodes") + " removed" +
      (none_held ? "" : "; these pods still hold SGX resources:" + list));
  say("Nodes keep a line \"" + std::string(kEpcResource) + ": 0\" until their kubelet restarts.");
  return {};
}

}  // namespace

void add_disable(CLI::App& app, const Surroundings& around, int& exit_code) {
  auto flags = std::make_shared<DisableFlags>();
  CLI::App* command = app.add_subcommand("disable", "Switch the add-on off and leave nothing in the cluster");
  command->add_flag("--force", flags->force,
                    "Although pods hold SGX resources; and do not wait for pods on nodes that do not report");
  command->add_flag("--dry-run", flags->dry_run, "Show what would be removed, and remove nothing");
  add_timeout_flag(*command, flags->limits);
  add_output_flag(*command, flags->output);
  add_cluster_flags(*command, flags->cluster);
  command->footer(
      R"(Refuses while pods hold EPC, SGX devices or quotes, or claims hold EPC, and names them. Removes the admission policies first, then the DaemonSets, the labels
that enclayer gave nodes (not your enclayer.io/sim), everything else and the namespace, unless others use it.
What remains is a line of zero capacity on each node, which its kubelet drops when it restarts.
Exit codes: 0 off (or was off); 1 misuse, no such context; 3 a right is missing, no kubectl; 4 the API server
  does not answer, or not everything went in time: run it again; 5 pods hold SGX resources, or the add-on is Helm's,
  Flux' or Argo CD's to remove.
Examples:
  What would go, and who holds SGX resources?
    enclayer disable --dry-run
  Off:
    enclayer disable)");
  command->callback([flags, &around, &exit_code] {
    auto done = disable(*flags, around);
    exit_code = done ? 0 : fail(around.program + " disable", done.error());
  });
}

}  // namespace enclayer::apps
