// SPDX-License-Identifier: Apache-2.0
// enclayer: the add-on's life in a cluster, quotes and their verification, from the command line.
#include <nss.h>
#include <openssl/crypto.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string_view>

#include "addon_commands.h"
#include "cli_support.h"
#include "commands.h"
#include "http/url.h"

namespace {

// As the XDG Base Directory Specification says; empty where there is no home.
std::filesystem::path cache_home() {
  const char* xdg = std::getenv("XDG_CACHE_HOME");
  if (xdg != nullptr && *xdg == '/') return xdg;
  const char* home = std::getenv("HOME");
  return home != nullptr && *home == '/' ? std::filesystem::path(home) / ".cache" : "";
}

// kubectl runs programs called kubectl-<name> as `kubectl <name>`: help says what was typed.
std::string program_name(const char* argument) {
  std::string name = std::filesystem::path(argument == nullptr ? "" : argument).filename();
  return name == "kubectl-enclayer" ? "kubectl enclayer" : "enclayer";
}

}  // namespace

int main(int argc, char** argv) {
  using namespace enclayer;
  // The program is static: shared libraries of this machine are another C library's. Names are looked up in /etc/hosts
  // and by DNS, whatever else nsswitch.conf says, and what an openssl.cnf would load is not loaded.
  ::__nss_configure_lookup("hosts", "files dns");
  ::OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, nullptr);

  const Time now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  const apps::Surroundings around{program_name(argc > 0 ? argv[0] : nullptr), apps::environment("PATH"), cache_home(),
                                  now};
  CLI::App app(
      "enclayer is the SGX layer of Kubernetes: it switches EPC and quotes on in a cluster, gets SGX attestation\n"
      "quotes, looks into them and verifies them, offline.",
      around.program);
  apps::add_common(app);
  app.require_subcommand(1);
  app.footer(R"(Examples:
  SGX for the pods of a cluster, and how it stands there:
    enclayer enable --enable-sgxquotehelper
    enclayer show
  What does this quote say?
    enclayer inspect --quote quote.bin
  Can it be trusted, today, by Intel's root?
    enclayer verify --quote quote.bin --collateral collateral.json
  Where does the collateral come from?
    enclayer collateral fetch --quote quote.bin --out collateral.json
  Is it my enclave, and good enough for me? (enclayer policy --help: what may stand in a policy)
    enclayer verify --quote quote.bin --collateral collateral.json --policy policy.json
  Was it good on that day, if a platform that needs hardening is good enough?
    enclayer verify --quote quote.bin --collateral collateral.json --at 2025-06-25T00:00:00Z \
      --accept-tcb SWHardeningNeeded
  A quote without SGX hardware, and all that its verification needs (enclayer-quote-helper --platform sim runs):
    enclayer quote --out quote.bin
    enclayer sim export --out collateral.json --root-ca-out root.pem
    enclayer verify --quote quote.bin --collateral collateral.json --root-ca root.pem
  Is this an SGX node, and what is missing if not?
    enclayer detect
  How much EPC does the quote helper save a node where 20 containers attest?
    enclayer epc-savings --containers 20
  Does my own verifier notice a revoked platform?
    enclayer sim case pck-revoked --out-dir revoked

Exit codes: 0 done, or trusted; 1 the command line is wrong; 2 not trusted, or what was read is malformed;
  3 a file cannot be read, or a right is missing; 4 a service that is needed does not answer; 5 somebody else holds it.
Each command explains itself: enclayer verify --help)");

  int exit_code = 0;
  // A command that is named alone is all that is made: the flags of all of them take longer than to verify a quote.
  const std::pair<std::string_view, std::function<void()>> commands[] = {
      {"attest", [&] { apps::add_attest(app, now, http::proxies_of_environment(apps::environment), exit_code); }},
      {"autoscaler-hints", [&] { apps::add_autoscaler_hints(app, exit_code); }},
      {"collateral",
       [&] {
         apps::add_collateral(app, now, cache_home(), http::proxies_of_environment(apps::environment), exit_code);
       }},
      {"completion", [&] { apps::add_completion(app, exit_code); }},
      {"dashboard", [&] { apps::add_dashboard(app, around, exit_code); }},
      {"detect",
       [&] {
         apps::add_detect(app,
                          {apps::environment("KUBERNETES_SERVICE_HOST"), apps::environment("KUBERNETES_SERVICE_PORT")},
                          exit_code);
       }},
      {"disable", [&] { apps::add_disable(app, around, exit_code); }},
      {"doctor", [&] { apps::add_doctor(app, around, exit_code); }},
      {"enable", [&] { apps::add_enable(app, around, exit_code); }},
      {"epc-savings", [&] { apps::add_epc_savings(app, exit_code); }},
      {"inspect", [&] { apps::add_inspect(app, exit_code); }},
      {"list", [&] { apps::add_list(app, around, exit_code); }},
      {"policy", [&] { apps::add_policy(app, exit_code); }},
      {"quote", [&] { apps::add_quote(app, exit_code); }},
      {"render", [&] { apps::add_render(app, exit_code); }},
      {"show", [&] { apps::add_show(app, around, exit_code); }},
      {"sim", [&] { apps::add_sim(app, now, exit_code); }},
      {"sysdump", [&] { apps::add_sysdump(app, around, now, exit_code); }},
      {"top", [&] { apps::add_top(app, around, exit_code); }},
      {"translate", [&] { apps::add_translate(app, exit_code); }},
      {"update", [&] { apps::add_update(app, around, exit_code); }},
      {"verify", [&] { apps::add_verify(app, now, exit_code); }}};
  const std::string_view first = argc > 1 ? argv[1] : "";
  const bool named =
      std::any_of(std::begin(commands), std::end(commands), [&](const auto& c) { return c.first == first; });
  for (const auto& [name, add] : commands)
    if (!named || name == first) add();

  if (auto answered = apps::answer_completion(app, argc, argv)) return *answered;
  if (auto outcome = apps::parse(app, argc, argv); !outcome.go_on) return outcome.exit_code;
  return exit_code;
}
