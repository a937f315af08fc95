// SPDX-License-Identifier: Apache-2.0
// enclayer enable: switch the add-on on.
#include <CLI/CLI.hpp>
#include <memory>

#include "addon_commands.h"
#include "commands.h"
#include "settings_flags.h"

namespace enclayer::apps {

void add_enable(CLI::App& app, const Surroundings& around, int& exit_code) {
  struct Flags {
    SettingsFlags settings;
    ChangeFlags change;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand("enable", "Switch the add-on on: SGX nodes offer EPC, others are left alone");
  add_settings_flags(*command, flags->settings);
  add_change_flags(*command, flags->change);
  command->footer(
      R"(Works through your kubectl, with its context and your rights. Looks first, and stops before anything is touched
when another SGX add-on is there, a name is taken, or a right is missing. Waits until the nodes have it, and says
of each why not. Running it again changes nothing, or finishes what was cut off; flags that are not given stay as
they are in the cluster.
Exit codes: 0 on (or --dry-run shown); 1 misuse, no such context; 3 a right is missing, no kubectl;
  4 the API server does not answer, or not every node was ready in time; 5 something else is there.
Examples:
  EPC for pods, in the cluster of kubectl's current context:
    enclayer enable
  With quotes from one helper a node, as `az aks addon enable --addon confcom --enable-sgxquotehelper`:
    enclayer enable --enable-sgxquotehelper --image registry.example/enclayer:0.2.0
  Half of each node's EPC for ResourceClaims, which ask for an amount (Kubernetes 1.36):
    enclayer enable --dra-epc 50%
  No SGX hardware? A simulation, on nodes that you name; it protects nothing:
    kubectl label node worker-1 enclayer.io/sim=true
    enclayer enable --platform sim --enable-sgxquotehelper
  What would it do?
    enclayer enable --dry-run)");
  command->callback([flags, &around, &exit_code] {
    exit_code = change(
        flags->change, around,
        [&](manifests::Settings settings) { return changed(std::move(settings), flags->settings); }, true);
  });
}

}  // namespace enclayer::apps
