// enclayer sim: what belongs to the simulated platform.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/file.h"
#include "cli_support.h"
#include "commands.h"
#include "enclayer/collateral.h"
#include "enclayer/verify.h"
#include "quoting/sim_platform.h"

namespace enclayer::apps {
namespace {

constexpr std::size_t kMaxRootSize = 64 << 10;  // bytes

struct ExportOptions {
  std::string state_dir = "/var/lib/enclayer", out, root_ca_out;
};

// Only public/ is read: nobody needs to be root for it.
Result<> export_public(const ExportOptions& options) {
  auto collateral = base::read_text(quoting::public_collateral_path(options.state_dir), Collateral::kMaxJsonSize);
  auto root = base::read_text(quoting::public_root_path(options.state_dir), kMaxRootSize);
  for (const auto* file : {&collateral, &root})
    if (!*file) {
      if (file->error().kind() != ErrorKind::kNotFound) return file->error();
      return Error(ErrorKind::kNotFound,
                   file->error().message() +
                       ". No simulation has run there; start one: enclayer-quote-helper --platform sim "
                       "--state-dir " +
                       options.state_dir);
    }
  auto damaged = [&](const Error& error) {
    return error.with_context("what the simulation published is damaged, its next start makes it anew");
  };
  if (auto parsed = parse_collateral_json(*collateral); !parsed) return damaged(parsed.error());
  auto trusted = TrustedRoot::from_pem(*root);
  if (!trusted) return damaged(trusted.error());
  if (!trusted->simulated())
    return Error(ErrorKind::kMalformed, quoting::public_root_path(options.state_dir).string() +
                                            " is not a simulation's root: its name does not say SIMULATED");
  ENCLAYER_CHECK(base::write_file_atomic(options.out, base::as_bytes(*collateral), 0644));
  ENCLAYER_CHECK(base::write_file_atomic(options.root_ca_out, base::as_bytes(*root), 0644));
  std::printf("collateral  %s\nroot        %s\n", options.out.c_str(), options.root_ca_out.c_str());
  return {};
}

}  // namespace

void add_sim(CLI::App& app, int& exit_code) {
  CLI::App* sim = app.add_subcommand("sim", "What belongs to the simulated platform");
  sim->require_subcommand(1);

  auto options = std::make_shared<ExportOptions>();
  CLI::App* command = sim->add_subcommand("export", "Copy what a verifier of simulated quotes needs");
  command
      ->add_option("--state-dir", options->state_dir,
                   "Where enclayer-quote-helper keeps its state; only public/ is read")
      ->option_text("DIR [/var/lib/enclayer]");
  command->add_option("--out", options->out, "Where the collateral goes, as JSON")->required()->option_text("FILE");
  command->add_option("--root-ca-out", options->root_ca_out, "Where the simulation's root certificate goes, as PEM")
      ->required()
      ->option_text("FILE");
  command->footer(
      "Exit codes: 0 done; 1 misuse; 2 what was published is damaged; 3 a file cannot be read or written.\n"
      "Example: enclayer sim export --out collateral.json --root-ca-out root.pem\n"
      "         enclayer verify --quote quote.bin --collateral collateral.json --root-ca root.pem");
  command->callback([options, &exit_code] {
    auto done = export_public(*options);
    exit_code = done ? 0 : fail("enclayer sim export", done.error());
  });
}

}  // namespace enclayer::apps
