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
      "Works through your kubectl, with its context and your rights. Looks first, and stops before anything is "
      "touched\n"
      "when another SGX add-on is there, a name is taken, or a right is missing. Waits until the nodes have it, and "
      "says\n"
      "of each why not. Running it again changes nothing, or finishes what was cut off; flags that are not given stay "
      "as\n"
      "they are in the cluster.\n"
      "Exit codes: 0 on (or --dry-run shown); 1 misuse, no such context; 3 a right is missing, no kubectl;\n"
      "  4 the API server does not answer, or not every node was ready in time; 5 something else is there.\n"
      "Examples:\n"
      "  EPC for pods, in the cluster of kubectl's current context:\n"
      "    enclayer enable\n"
      "  With quotes from one helper a node, as `az aks addon enable --addon confcom --enable-sgxquotehelper`:\n"
      "    enclayer enable --enable-sgxquotehelper --image registry.example/enclayer:0.1.0\n"
      "  No SGX hardware? A simulation, on nodes that you name; it protects nothing:\n"
      "    kubectl label node worker-1 enclayer.io/sim=true\n"
      "    enclayer enable --platform sim --enable-sgxquotehelper\n"
      "  What would it do?\n"
      "    enclayer enable --dry-run");
  command->callback([flags, &around, &exit_code] {
    exit_code = change(
        flags->change, around, [&](addon::Settings settings) { return changed(std::move(settings), flags->settings); },
        true);
  });
}

}  // namespace enclayer::apps
