// SPDX-License-Identifier: Apache-2.0
// The commands of enclayer that the demo shows, as the program itself has them. What that has for clusters takes longer
// to compile than everything that is shown.
#include <CLI/CLI.hpp>
#include <chrono>

#include "cli_support.h"
#include "commands.h"

int main(int argc, char** argv) {
  using namespace enclayer;
  CLI::App app("enclayer, as far as its demo needs it: make build makes all of it.", "enclayer");
  apps::add_common(app);
  app.require_subcommand(1);
  const Time now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  int exit_code = 0;
  apps::add_quote(app, exit_code);
  apps::add_sim(app, now, exit_code);
  apps::add_verify(app, now, exit_code);
  if (auto outcome = apps::parse(app, argc, argv); !outcome.go_on) return outcome.exit_code;
  return exit_code;
}
