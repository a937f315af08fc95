// SPDX-License-Identifier: Apache-2.0
// enclayer epc-savings: what quoting costs a node in EPC, in each container or once in the quote helper.
#include <CLI/CLI.hpp>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "cli_support.h"
#include "commands.h"

namespace enclayer::apps {
namespace {

// ---- The figures, each with what it rests on. All others here follow from them. ----

constexpr double kMibAPage = 4.0 / 1024;

struct Enclave {
  const char* name;
  int pages;  // of 4 KiB: what it was loaded with, its SECS and its version arrays
  const char* basis;
  const char* how;
};

// What makes quotes: both stay loaded for as long as the process runs.
constexpr Enclave kEnclaves[] = {
    // 523 of the ELF segments, 8 heap, 5 stack, 1 TCS, 2 SSA, 1 thread data; 1 SECS, 2 version arrays.
    {"PCE", 543, "measured", "the pages of Intel's signed enclave 1.25.100.1, counted in its file"},
    // 68 stack, 36 heap, 4 of its thread: Intel's configuration. 523 for the code: it has the same cryptography.
    {"QE3", 634, "estimated", "stack, heap and thread as Intel configures them, code as large as the PCE's"},
};
// The ID enclave is loaded for a moment when a key is made. Estimated; it is not counted. The kernel makes room for it.
constexpr int kIdEnclaveMib = 2;

constexpr int kMostContainers = 100'000, kMostWorkers = 64;
constexpr double kLeastCopyMib = 0.1, kMostCopyMib = 1024;

struct Options {
  std::vector<int> containers;
  int workers = 1;
  std::optional<double> copy_mib;
  std::string output = "text";
};

// MiB: of the enclaves that are loaded, or of the EPC that pods have to ask for, which is in whole MiB.
struct Cost {
  double in_process = 0, out_of_process = 0;
  double saved() const { return in_process - out_of_process; }
};

// One of each, that is what one process needs to make quotes.
double copy_mib(const Options& options) {
  if (options.copy_mib) return *options.copy_mib;
  double pages = 0;
  for (const Enclave& enclave : kEnclaves) pages += enclave.pages;
  return pages * kMibAPage;
}

Cost in_use(const Options& options, int containers) {
  double copy = copy_mib(options);
  return {containers * copy, options.workers * copy};
}

Cost to_ask_for(const Options& options, int containers) {
  double copy = copy_mib(options);
  return {containers * std::ceil(copy), options.workers * std::ceil(copy)};
}

void print_text(const Options& options) {
  std::printf("             EPC in use, MiB                      EPC to ask for, MiB\n");
  std::printf("containers   in-process  out-of-process    saved   in-process  out-of-process    saved\n");
  for (int containers : options.containers) {
    Cost use = in_use(options, containers), ask = to_ask_for(options, containers);
    std::printf("%10d   %10.1f  %14.1f  %7.1f   %10.0f  %14.0f  %7.0f\n", containers, use.in_process,
                use.out_of_process, use.saved(), ask.in_process, ask.out_of_process, ask.saved());
  }
  std::printf(
      "\nIn-process, every container that attests loads the enclaves that make quotes. Out-of-process, each worker of\n"
      "the quote helper does (here %d). They take %.2f MiB",
      options.workers, copy_mib(options));
  if (options.copy_mib) {
    std::printf(", as given with --copy-mib.\n");
  } else {
    std::printf(":\n");
    for (const Enclave& enclave : kEnclaves)
      std::printf("  %s  %.2f MiB  %-9s  %s\n", enclave.name, enclave.pages * kMibAPage, enclave.basis, enclave.how);
  }
  std::printf(
      "Not counted: an ID enclave of about %d MiB (estimated), there for a moment when a key is made.\n"
      "To ask for: whole MiB, beside what the application needs itself; for the helper, what the add-on asks for it.\n",
      kIdEnclaveMib);
}

using Json = nlohmann::ordered_json;

double hundredths(double value) { return std::round(value * 100) / 100; }

Json cost_json(const Cost& cost) {
  return {{"in_process", hundredths(cost.in_process)},
          {"out_of_process", hundredths(cost.out_of_process)},
          {"saved", hundredths(cost.saved())}};
}

void print_json(const Options& options) {
  Json enclaves = Json::array();
  if (!options.copy_mib)
    for (const Enclave& enclave : kEnclaves)
      enclaves.push_back({{"name", enclave.name},
                          {"pages", enclave.pages},
                          {"mib", hundredths(enclave.pages * kMibAPage)},
                          {"basis", enclave.basis},
                          {"how", enclave.how}});
  Json rows = Json::array();
  for (int containers : options.containers)
    rows.push_back({{"containers", containers},
                    {"in_use_mib", cost_json(in_use(options, containers))},
                    {"to_ask_for_mib", cost_json(to_ask_for(options, containers))}});
  Json out = {{"copy_mib", hundredths(copy_mib(options))},
              {"copy_given", options.copy_mib.has_value()},
              {"enclaves", std::move(enclaves)},
              {"workers", options.workers},
              {"rows", std::move(rows)}};
  std::printf("%s\n", out.dump(2).c_str());
}

// A CLI11 check: "" is good, anything else says what is wrong.
auto whole_number(int most) {
  auto check = [most](const std::string& text) -> std::string {
    int number = 0;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error == std::errc() && end == text.data() + text.size() && number >= 1 && number <= most) return "";
    return "\"" + text + "\" is not a whole number from 1 to " + std::to_string(most);
  };
  return CLI::Validator(check, "", "whole number");
}

std::string check_copy_mib(const std::string& text) {
  double number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  // NaN is in no range.
  if (error == std::errc() && end == text.data() + text.size() && number >= kLeastCopyMib && number <= kMostCopyMib)
    return "";
  return "\"" + text + "\" is not a number of MiB from 0.1 to 1024";
}

}  // namespace

void add_epc_savings(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      app.add_subcommand("epc-savings", "How much EPC does one quote helper save a node? Calculates, asks nobody");
  command
      ->add_option("--containers", options->containers,
                   "Containers on the node that attest, one process each; several numbers, several lines")
      ->required()
      ->delimiter(',')
      ->check(whole_number(kMostContainers))
      ->option_text("N[,N...] (required)");
  command->add_option("--workers", options->workers, "Quote workers of the helper; each loads its own enclaves")
      ->check(whole_number(kMostWorkers))
      ->option_text("N [1]");
  command
      ->add_option("--copy-mib", options->copy_mib,
                   "What one pair of QE3 and PCE takes, where you know better than the estimate")
      ->check(CLI::Validator(check_copy_mib, "", "MiB"))
      ->option_text("MIB [4.6]");
  add_output_flag(*command, options->output);
  command->footer(
      R"(In-process attestation loads Intel's Quoting Enclave (QE3) and Provisioning Certification Enclave (PCE) into
every process that attests. Out-of-process (SGX_AESM_ADDR) they are loaded once a node. The difference is EPC
that applications can have. docs/attestation-modes.md says what else speaks for which.
Nothing is looked up on this machine: the sizes are known, measured or estimated, and the output says which.
Exit codes: 0 calculated; 1 misuse.
Examples:
  A node with 20 containers that attest:
    enclayer epc-savings --containers 20
  As it grows, with two workers, for a program:
    enclayer epc-savings --containers 1,10,100 --workers 2 --output json | jq '.rows[].in_use_mib.saved')");
  command->callback([options, &exit_code] {
    options->output == "json" ? print_json(*options) : print_text(*options);
    exit_code = 0;
  });
}

}  // namespace enclayer::apps
