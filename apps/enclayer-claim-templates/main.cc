// SPDX-License-Identifier: Apache-2.0
// enclayer-claim-templates: makes the ResourceClaimTemplates that pods wait for whose EPC admission made claims.
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <string>
#include <thread>

#include "base/log.h"
#include "cli_support.h"
#include "dra/claim_templates.h"
#include "http/account_client.h"

namespace enclayer::dra {
namespace {

namespace fs = std::filesystem;
namespace log = base::log;
using namespace std::chrono_literals;

constexpr auto kProgram = "enclayer-claim-templates";
// Pods come in numbers: one look is for all that come meanwhile.
constexpr std::chrono::milliseconds kGathering = 200ms;
constexpr std::chrono::milliseconds kShortestPause = 500ms, kLongestPause = 10s;  // after an error

struct Flags {
  log::Level log_level = log::Level::kInfo;
  log::Format log_format = log::Format::kText;
  fs::path account_dir = "/var/run/secrets/kubernetes.io/serviceaccount";
};

constexpr auto kDescription =
    R"(Makes the ResourceClaimTemplates that pods wait for, where admission makes claims of amounts of EPC
(enclayer enable --dra-above), and removes those that nobody has needed for a minute or two. One for a cluster.
)";

constexpr auto kFooter = R"(
Examples:
  enclayer-claim-templates
      in a pod whose ServiceAccount may list and watch pods, list ResourceClaims, and list, create and delete
      ResourceClaimTemplates (deploy/manifests/dra-driver/claim-templates.yaml)

Exit codes: 0 stopped by SIGTERM or SIGINT; 1 misuse; 3 a file of the account is missing; 4 this is no pod.)";

void add_flags(CLI::App& app, Flags& flags) {
  apps::add_common(app);
  apps::add_log_options(app, flags.log_level, flags.log_format);
  app.footer(kFooter);
  app.add_option("--account-dir", flags.account_dir, "Where the pod's token and ca.crt are")
      ->option_text("DIR [/var/run/secrets/kubernetes.io/serviceaccount]");
}

// Until a signal ends the process.
Result<> run(const Flags& flags) {
  ENCLAYER_TRY(auto api, http::api_server_of_pod(apps::environment("KUBERNETES_SERVICE_HOST"),
                                                 apps::environment("KUBERNETES_SERVICE_PORT"), flags.account_dir));
  ENCLAYER_CHECK(http::AccountClient::open(api.account, {}));
  ClaimTemplates templates(std::move(api));
  log::info("waiting for pods with claims of EPC");
  std::string told;
  for (auto pause = kShortestPause;;) {
    auto done = templates.look(std::chrono::steady_clock::now());
    if (done) done = templates.wait();
    const std::string why = done ? "" : done.error().message();
    if (!why.empty() && why != told) log::warn("the API server does not do its part", {{"reason", why}});
    if (why.empty() && !told.empty()) log::info("nothing is in the way any more");
    told = why;
    std::this_thread::sleep_for(done ? kGathering : pause);
    pause = done ? kShortestPause : std::min(2 * pause, kLongestPause);
  }
}

int main(int argc, char** argv) {
  // It holds nothing that would have to be put away. A container's first process has no default for signals.
  for (int number : {SIGTERM, SIGINT}) ::signal(number, [](int) { ::_exit(0); });
  ::signal(SIGPIPE, SIG_IGN);
  Flags flags;
  CLI::App app(kDescription, kProgram);
  add_flags(app, flags);
  if (auto parsed = apps::parse(app, argc, argv); !parsed.go_on) return parsed.exit_code;
  log::setup(flags.log_level, flags.log_format);
  return apps::fail(kProgram, run(flags).error());
}

}  // namespace
}  // namespace enclayer::dra

int main(int argc, char** argv) { return enclayer::dra::main(argc, argv); }
