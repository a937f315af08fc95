// SPDX-License-Identifier: Apache-2.0
#include "addon_commands.h"

#include <CLI/CLI.hpp>

#include "cli_support.h"

namespace enclayer::apps {

void add_cluster_flags(CLI::App& command, ClusterFlags& flags) {
  command.add_option("--context", flags.context, "The cluster, as kubectl's contexts call it")
      ->option_text("NAME [kubectl's own]");
  command.add_option("--kubeconfig", flags.kubeconfig, "kubectl's configuration")->option_text("FILE [kubectl's own]");
  command.add_option("--kubectl", flags.kubectl, "The kubectl to work through")->option_text("PATH [kubectl]");
}

Result<addon::Kubectl> connect(const ClusterFlags& flags, const std::string& search_path) {
  ENCLAYER_TRY(std::string program, addon::find_program(flags.kubectl, search_path));
  return addon::Kubectl({.program = program, .context = flags.context, .kubeconfig = flags.kubeconfig});
}

void add_timeout_flag(CLI::App& command, addon::Patience& patience) {
  command
      .add_option_function<int>(
          "--timeout", [&patience](int seconds) { patience.timeout = std::chrono::seconds(seconds); },
          "How long to wait, in seconds")
      ->check(CLI::Range(1, 86400))
      ->option_text("SECONDS [300]");
}

std::string grouped(std::int64_t number) {
  std::string digits = std::to_string(number);
  for (std::size_t at = digits.size(); at > (number < 0 ? 4U : 3U);) digits.insert(at -= 3, ",");
  return digits;
}

void add_change_flags(CLI::App& command, ChangeFlags& flags) {
  command.add_flag("--dry-run", flags.dry_run, "Show what would change (kubectl diff), and change nothing");
  command.add_flag("--no-wait", flags.no_wait, "Apply, and do not wait until the nodes have it");
  add_timeout_flag(command, flags.patience);
  command.add_flag("--allow-gap", flags.allow_gap,
                   "Replace the quote helper with a gap on nodes without EPC for two; without it they are waited for");
  command.add_flag("--no-self-test", flags.no_self_test,
                   "Replace the quote helper without trying the new one on a node first");
  command.add_flag("--adopt", flags.adopt, "Take over objects and fields of these names that somebody else made");
  add_output_flag(command, flags.output);
  add_cluster_flags(command, flags.cluster);
}

}  // namespace enclayer::apps
