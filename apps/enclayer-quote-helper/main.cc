// SPDX-License-Identifier: Apache-2.0
// enclayer-quote-helper: answers the attestation requests of a node's pods on AESM sockets.
#include <malloc.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "base/error.h"
#include "base/log.h"
#include "cli_support.h"
#include "helper/allowance.h"
#include "helper/facts_file.h"
#include "helper/helper.h"
#include "helper/signals.h"
#include "quoting/dcap_worker.h"
#include "quoting/self_test.h"
#include "troubles/troubles.h"

namespace enclayer::quote_helper {
namespace {

constexpr auto kProgram = "enclayer-quote-helper";

struct Flags {
  apps::DaemonOptions daemon;
  helper::Options helper;
  std::filesystem::path troubles_dir;
  bool self_test = false, facts = false;
  std::string output = "text";
};

constexpr auto kDescription =
    R"(Answers the attestation requests of a node's pods: the AESM protocol of Intel's aesmd, on unix sockets.
A pod opts in with enclayer.io/quote: 1, or with SGX_AESM_ADDR=1 and a mount of the legacy socket's folder; Intel's,
Gramine's and Fortanix's clients work unchanged.
)";

constexpr auto kFooter = R"(
Examples:
  enclayer-quote-helper --platform sim
      on any node: simulated quotes, which verify only for who trusts the simulation's own root
  enclayer-quote-helper --platform sim --socket /tmp/sim/aesm.socket --state-dir /tmp/sim/state --slots-dir /tmp/sim/slots
      for a try without root; then: enclayer quote --socket /tmp/sim/aesm.socket --out quote.bin
  enclayer-quote-helper --self-test --pccs-url https://pccs.example:8081/sgx/certification/v4/ --cache-dir /tmp
      on an SGX node: does what a quote takes, step by step, and says what is missing
  enclayer-quote-helper --quotes-per-minute 60
      on an SGX node: 60 quotes a minute for each pod that asks

Who asks is told by the socket: the device plugin makes a folder below --slots-dir for each container with
enclayer.io/quote, and a socket is served in every one. All who ask at --socket together count as one beside them.

A second instance with the same --state-dir takes the sockets over without losing a request; the first one
finishes its work and ends, or with --instance waits. Two with one --instance are a helper and its standby: the second
one waits, and serves within 200 ms when the first one crashes. Anybody else's socket is left alone, unless --replace is
given; who replaces or removes ours while we serve finds it put back. SIGHUP reads again what may have been changed.

Exit codes: 0 stopped by SIGTERM or SIGINT, or succeeded by another instance; 1 misuse; 2 the state directory is
damaged (it is left as it is); 3 a file or folder cannot be read or written; 4 no quotes can be had here; 5 somebody
else answers at the socket.)";

void add_flags(CLI::App& app, Flags& flags) {
  helper::Options& to = flags.helper;
  apps::add_common(app);
  app.footer(kFooter);
  app.add_option("--socket", to.socket, "The legacy socket, for pods that mount its folder; which is made if missing")
      ->option_text("PATH [/var/run/aesmd/aesm.socket]");
  app.add_option("--slots-dir", to.slots_dir, "Every folder in it gets a socket; the device plugin makes them")
      ->option_text("DIR [/var/run/enclayer/quotes]");
  app.add_option("--state-dir", to.state_dir,
                 "Keys (private/), what verifiers of simulated quotes need (public/), and which socket is ours")
      ->option_text("DIR [/var/lib/enclayer]");
  app.add_option("--troubles-dir", flags.troubles_dir,
                 "Where what is wrong here is left for enclayer-detect, which makes Events of it: in quote-helper/")
      ->option_text("DIR [nowhere]");
  app.add_option(
         "--instance", to.instance,
         "A name that stays through restarts, as a pod's UID. Who was succeeded by a newer instance then waits\n"
         "instead of ending, and serves again when that one is gone; started again it is no newer than before")
      ->option_text("NAME");
  app.add_flag("--replace", to.replace, "Take the socket over even if it is somebody else who answers there");
  app.add_option("--quotes-per-minute", to.quotes_per_minute,
                 "Quotes a minute that one who asks may have, a slot or a process at --socket; BUSY beyond")
      ->check(CLI::Range(1, helper::Allowance::kMost))
      ->option_text("N [no limit]");
  app.add_option("--user", to.user,
                 "Give user 0 up for this one before the sockets appear, in group 64213, which is let into the folders")
      ->check(CLI::Range(1U, 4'294'967'294U))
      ->option_text("UID");
  app.add_flag("--self-test", flags.self_test,
               "Make what a quote takes, step by step, print what works, and end: 0 all passed, 4 not");
  apps::add_output_flag(app, flags.output)->description("How --self-test prints it");
  app.add_flag("--facts", flags.facts,
               "Print what is known of the source of the quotes that are served here, as JSON, and end: libraries,\n"
               "versions of the enclaves, the TCB level where it is known; 3 where nobody has served yet");

  const char* group = "Quotes from SGX hardware";
  quoting::DcapOptions& dcap = to.hardware.dcap;
  app.add_option("--workers", to.hardware.workers, "Processes that quote; each loads its own enclaves, 5 MiB of EPC")
      ->check(CLI::Range(1U, 16U))
      ->option_text("N [1]")
      ->group(group);
  app.add_option("--dcap-lib-dir", dcap.lib_dir,
                 "Where Intel's libraries and enclaves are, if not where the dynamic linker looks")
      ->option_text("DIR")
      ->group(group);
  app.add_option("--pccs-url", dcap.pccs_url, "The service that has this platform's certificate; needs --cache-dir")
      ->option_text("URL")
      ->group(group);
  app.add_option("--qcnl-conf", dcap.qcnl_conf, "A configuration of Intel's provider to use instead; needs --cache-dir")
      ->option_text("FILE")
      ->group(group);
  app.add_option("--cache-dir", dcap.cache_dir,
                 "The provider's cache and configuration: the one folder that has to be writable beside --state-dir")
      ->option_text("DIR")
      ->group(group);
  app.add_option("--dev-root", dcap.dev_dir, "Where the SGX devices are looked for")
      ->option_text("DIR [/dev]")
      ->group(group);
  apps::add_daemon_options(app, flags.daemon);
}

Result<int> run(Flags& flags) {
  helper::Options& options = flags.helper;
  options.socket = std::filesystem::absolute(options.socket);
  options.slots_dir = std::filesystem::absolute(options.slots_dir);
  options.state_dir = std::filesystem::absolute(options.state_dir);
  if (!flags.troubles_dir.empty())
    options.troubles = std::filesystem::absolute(flags.troubles_dir / troubles::kQuoteHelper);
  options.simulated = flags.daemon.platform == apps::Platform::kSim;
  options.metrics_listen = flags.daemon.metrics_listen;
  options.now = [] { return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()); };
  for (char** entry = environ; *entry != nullptr; ++entry) options.environment.emplace_back(*entry);
  if (flags.facts) {
    ENCLAYER_TRY(std::string facts, helper::FactsFile::read(options.state_dir));
    std::fputs(facts.c_str(), stdout);
    return 0;
  }
  if (flags.self_test) {
    ENCLAYER_TRY(quoting::SelfTest test, helper::self_test(options));
    std::fputs(
        (flags.output == "json" ? quoting::to_json(test, helper::about(options)) : quoting::to_text(test)).c_str(),
        stdout);
    return test.passed() ? 0 : base::at_border(ErrorKind::kUnavailable).exit_code;
  }
  ENCLAYER_CHECK(helper::serve(options));
  return 0;
}

int main(int argc, char** argv) {
  if (auto worker = quoting::dcap_worker_options(argc, argv)) {
    ::umask(022);
    ::_exit(quoting::run_dcap_worker(quoting::kDcapWorkerSocket, *worker));
  }

  // One heap for all threads: what they free is used again, whoever needs it.
  ::mallopt(M_ARENA_MAX, 1);
  ::umask(0);  // the sockets are for everybody; whatever else is made here says its mode
  helper::catch_signals(helper::kEndsWithin);
  ::signal(SIGPIPE, SIG_IGN);
  // Nothing in the machine's openssl.cnf is meant for us, and to read it costs memory.
  ::OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, nullptr);
  // With it set, Intel's libraries would send our own requests for quotes back to our socket.
  ::unsetenv("SGX_AESM_ADDR");

  Flags flags;
  flags.helper.hardware.dcap.dev_dir = "/dev";
  CLI::App app(kDescription, kProgram);
  add_flags(app, flags);
  if (auto parsed = apps::parse(app, argc, argv); !parsed.go_on) return parsed.exit_code;
  if (auto ended = apps::begin_daemon(kProgram, flags.daemon)) return *ended;
  auto done = run(flags);
  return done ? *done : apps::fail(kProgram, done.error());
}

}  // namespace
}  // namespace enclayer::quote_helper

int main(int argc, char** argv) { return enclayer::quote_helper::main(argc, argv); }
