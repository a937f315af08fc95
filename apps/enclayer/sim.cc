// SPDX-License-Identifier: Apache-2.0
// enclayer sim: what belongs to the simulated platform.
#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "attestation/pem.h"
#include "base/bytes.h"
#include "base/file.h"
#include "cli_support.h"
#include "commands.h"
#include "enclayer/collateral.h"
#include "enclayer/verify.h"
#include "sim/case.h"
#include "sim/platform.h"

namespace enclayer::apps {
namespace {

struct ExportOptions {
  std::string state_dir = "/var/lib/enclayer", out, root_ca_out;
};

// Only public/ is read: nobody needs to be root for it.
Result<> export_public(const ExportOptions& options) {
  auto collateral = base::read_text(sim::public_collateral_path(options.state_dir), Collateral::kMaxJsonSize);
  auto root = base::read_text(sim::public_root_path(options.state_dir), attestation::kMaxPemSize);
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
    return Error(ErrorKind::kMalformed, sim::public_root_path(options.state_dir).string() +
                                            " is not a simulation's root: its name does not say SIMULATED");
  // One that goes to standard output goes there alone.
  const bool quiet = options.out == "-" || options.root_ca_out == "-";
  auto put = [&](const char* what, const std::string& path, const std::string& text) -> Result<> {
    if (path.empty()) return {};
    if (path == "-") {
      std::fwrite(text.data(), 1, text.size(), stdout);
      if (std::fflush(stdout) == 0) return {};
      return Error(ErrorKind::kIo,
                   std::string(what) + ": cannot be written to standard output: " + std::strerror(errno));
    }
    ENCLAYER_CHECK(base::write_file_atomic(path, base::as_bytes(text), 0644));
    if (!quiet) std::printf("%-10s  %s\n", what, path.c_str());
    return {};
  };
  ENCLAYER_CHECK(put("collateral", options.out, *collateral));
  return put("root", options.root_ca_out, *root);
}

// ---- sim case ----

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

struct CaseOptions {
  std::string name, out_dir, at, output = "text";
  bool list = false, all = false;
};

// CLI11 checks: "" is good, anything else says what is wrong.
std::string check_case(const std::string& name) {
  if (sim::find_case(name) != nullptr) return "";
  return "there is no case \"" + name + "\"; enclayer sim case --list names them";
}
// Certificates live for 20 years, and their dates have four digits for the year.
std::string check_case_time(const std::string& text) {
  auto time = time_from(text);
  if (!time) return time.error().message();
  const std::string utc = format_time(*time);
  bool in_reach = utc >= "2000-01-01T00:00:00Z" && utc < "9900-01-01T00:00:00Z";
  return in_reach ? "" : "cases are made for the years from 2000 to 9899, not for " + text;
}

const char* verdict_of(const sim::Case& which) { return which.trusted() ? "trusted" : "untrusted"; }

// The keys that a list and an expected.json have in common.
Json expected(const sim::Case& which) {
  Json out;
  out["case"] = which.name;
  out["what"] = which.what;
  out["simulated"] = true;
  out["verdict"] = verdict_of(which);
  out["reason"] = to_string(which.reason);
  out["accept"] = which.acceptable();
  out["tcb_status"] = which.tcb_status ? Json(to_string(*which.tcb_status)) : Json();
  out["advisory_ids"] = which.advisory_ids;
  out["tcb_evaluation_data_number"] = which.tcb_status ? Json(which.tcb_evaluation_number) : Json();
  return out;
}

void list_cases(const CaseOptions& options) {
  if (options.output == "json") {
    Json out = Json::array();
    for (const sim::Case& which : sim::cases()) out.push_back(expected(which));
    std::printf("%s\n", out.dump(2).c_str());
    return;
  }
  for (const sim::Case& which : sim::cases())
    std::printf("%-40s %-9s  %-40s %s\n", which.name.c_str(), verdict_of(which),
                std::string(to_string(which.reason)).c_str(), which.what.c_str());
}

Result<> write_case(const sim::Case& which, Time at, const fs::path& folder) {
  ENCLAYER_TRY(sim::Evidence evidence, sim::make_evidence(which, at));
  std::error_code error;
  // A folder that is there keeps the mode that its owner gave it.
  if (!fs::is_directory(folder, error)) ENCLAYER_CHECK(base::make_folder(folder, 0755));
  Json answer = expected(which);
  answer["at"] = format_time(at);
  std::string readme = "SIMULATED, it proves nothing. " + which.name + ": " + which.what +
                       ". enclayer verify --quote quote.bin --collateral collateral.json --root-ca root.pem --at " +
                       format_time(at) + " says: " + verdict_of(which) + ", " + std::string(to_string(which.reason)) +
                       ".\n";
  auto write = [&](const char* name, ByteView content) {
    return base::write_file_atomic(folder / name, content, 0644);
  };
  ENCLAYER_CHECK(write("quote.bin", evidence.quote));
  ENCLAYER_CHECK(write("collateral.json", base::as_bytes(to_json(evidence.collateral))));
  ENCLAYER_CHECK(write("root.pem", base::as_bytes(evidence.root)));
  ENCLAYER_CHECK(write("expected.json", base::as_bytes(answer.dump(2) + "\n")));
  return write("README", base::as_bytes(readme));
}

Result<> write_cases(const CaseOptions& options, Time at) {
  Json written = Json::array();
  for (const sim::Case& which : sim::cases()) {
    if (!options.all && which.name != options.name) continue;
    fs::path folder = options.all ? fs::path(options.out_dir) / which.name : fs::path(options.out_dir);
    ENCLAYER_CHECK(write_case(which, at, folder));
    if (options.output == "json") {
      Json entry = expected(which);
      entry["at"] = format_time(at);
      entry["folder"] = folder.string();
      written.push_back(entry);
    } else {
      std::printf("%s: %s, %s\n", folder.c_str(), verdict_of(which), std::string(to_string(which.reason)).c_str());
    }
  }
  if (options.output == "json")
    std::printf("%s\n", written.dump(2, ' ', false, Json::error_handler_t::replace).c_str());
  return {};
}

void add_case(CLI::App& sim, Time now, int& exit_code) {
  auto options = std::make_shared<CaseOptions>();
  CLI::App* command = sim.add_subcommand("case", "Evidence for testing a verifier, with the verdict that is right");
  auto* name = command->add_option("name", options->name, "The case, as --list names it")
                   ->check(CLI::Validator(check_case, "", "case"))
                   ->option_text("NAME");
  auto* all = command->add_flag("--all", options->all, "Every case, each in a folder of its name")->excludes(name);
  auto* list = command->add_flag("--list", options->list, "Name the cases and their verdicts, write nothing")
                   ->excludes(name)
                   ->excludes(all);
  auto* out_dir =
      command
          ->add_option("--out-dir", options->out_dir,
                       "Where quote.bin, collateral.json, root.pem, expected.json and README go; made when missing")
          ->excludes(list)
          ->option_text("DIR");
  command
      ->add_option("--at", options->at, "The time, in UTC, at which the evidence is to be judged; it decides all dates")
      ->excludes(list)
      ->check(CLI::Validator(check_case_time, "", "time"))
      ->option_text("YYYY-MM-DD[Thh:mm:ssZ] [now]");
  add_output_flag(*command, options->output);
  command->footer(R"(Everything in it is SIMULATED and proves nothing. docs/sim-cases.md tells how to use it.
Exit codes: 0 done; 1 misuse; 3 a file cannot be written.
Example: enclayer sim case pck-revoked --out-dir /tmp/revoked
         cat /tmp/revoked/expected.json)");
  command->callback([options, name, out_dir, now, &exit_code] {
    if (options->list) return list_cases(*options);
    if (!options->all && name->count() == 0) throw CLI::ValidationError("name a case, or --all, or --list");
    if (out_dir->count() == 0) throw CLI::RequiredError("--out-dir");
    auto done = write_cases(*options, options->at.empty() ? now : *time_from(options->at));
    exit_code = done ? 0 : fail("enclayer sim case", done.error());
  });
}

}  // namespace

void add_sim(CLI::App& app, Time now, int& exit_code) {
  CLI::App* sim = app.add_subcommand("sim", "What belongs to the simulated platform");
  sim->require_subcommand(1);
  sim->footer(
      "Everything of it is SIMULATED and proves nothing: it is for trying and testing without SGX hardware.\n"
      "Each command explains itself: enclayer sim case --help");
  add_case(*sim, now, exit_code);

  auto options = std::make_shared<ExportOptions>();
  CLI::App* command = sim->add_subcommand("export", "Copy what a verifier of simulated quotes needs");
  command
      ->add_option("--state-dir", options->state_dir,
                   "Where enclayer-quote-helper keeps its state; only public/ is read")
      ->option_text("DIR [/var/lib/enclayer]");
  command->add_option("--out", options->out, "Where the collateral goes, as JSON; -: to standard output")
      ->option_text("FILE");
  command
      ->add_option("--root-ca-out", options->root_ca_out,
                   "Where the simulation's root certificate goes, as PEM; -: to standard output")
      ->option_text("FILE");
  command->footer(R"(Exit codes: 0 done; 1 misuse; 2 what was published is damaged; 3 a file cannot be read or written.
Example: enclayer sim export --out collateral.json --root-ca-out root.pem
         enclayer verify --quote quote.bin --collateral collateral.json --root-ca root.pem
Of a helper in a cluster:
         kubectl -n enclayer-system exec ds/enclayer-quote-helper -- enclayer sim export --root-ca-out - > root.pem)");
  command->callback([options, &exit_code] {
    if (options->out.empty() && options->root_ca_out.empty()) throw CLI::RequiredError("--out or --root-ca-out");
    if (options->out == "-" && options->root_ca_out == "-")
      throw CLI::ValidationError("--out and --root-ca-out cannot both go to standard output");
    auto done = export_public(*options);
    exit_code = done ? 0 : fail("enclayer sim export", done.error());
  });
}

}  // namespace enclayer::apps
