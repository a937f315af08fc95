// SPDX-License-Identifier: Apache-2.0
// enclayer update: change the add-on that is on, bring it to this version, or go back.
#include <CLI/CLI.hpp>
#include <memory>

#include "addon_commands.h"
#include "commands.h"
#include "settings_flags.h"

namespace enclayer::apps {

void add_update(CLI::App& app, const Surroundings& around, int& exit_code) {
  struct Flags {
    SettingsFlags settings;
    ChangeFlags change;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand("update", "Change the add-on, bring it to this version, or go back");
  add_settings_flags(*command, flags->settings, true);
  command->add_flag("--rollback", flags->change.rollback, "Back to the settings before the last change; alone");
  add_change_flags(*command, flags->change);
  command->footer(
      R"(Only what is given changes. Pods with EPC keep running. When the quote helper's pods change, the new one is tried
first, as a pod on one SGX node (--self-test, 5 MiB of EPC); when that fails, its output is shown and nothing is
changed. Then nodes are replaced one by one: the new helper takes over the socket, and then the old one goes.
A node without EPC for two helpers is named and waited for; --allow-gap replaces its helper with a gap of seconds,
--disable-standby halves what each of them needs.
Exit codes: 0 done; 1 misuse; 3 not switched on, a right is missing, no way back; 4 the self-test failed, the API
  server does not answer, or not every node was ready in time; 5 something else is there.
Examples:
  Quotes, too:
    enclayer update --enable-sgxquotehelper
  To the version of this enclayer, from your registry:
    enclayer update --image registry.example/enclayer:0.2.0
  That was no good:
    enclayer update --rollback
  What would change?
    enclayer update --disable-sgxquotehelper --dry-run)");
  command->callback([flags, &around, &exit_code] {
    exit_code = change(
        flags->change, around,
        [&](manifests::Settings settings) { return changed(std::move(settings), flags->settings); }, false);
  });
}

}  // namespace enclayer::apps
