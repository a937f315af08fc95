// enclayer-quote-helper: answers the attestation requests of a node's pods on the AESM socket.
#include <malloc.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <sys/resource.h>
#include <time.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>

#include "base/hex.h"
#include "base/log.h"
#include "base/metrics.h"
#include "cli_support.h"
#include "net/frame_server.h"
#include "net/http_endpoint.h"
#include "net/socket_claim.h"
#include "quoting/sim_platform.h"
#include "quoting/sim_qe.h"
#include "responder.h"
#include "sgx/platform.h"

namespace enclayer::quote_helper {
namespace {

namespace log = base::log;
using namespace std::chrono_literals;

constexpr auto kProgram = "enclayer-quote-helper";

// How long requests that are under way may still take after SIGTERM. Kubernetes waits 30 s before it kills.
constexpr auto kDrainTime = 10s;
// Descriptors for everything that is not a connection.
constexpr rlim_t kSpareDescriptors = 64;
constexpr int kMaxConnections = 4096;

struct Flags {
  apps::DaemonOptions daemon;
  std::filesystem::path socket = "/var/run/aesmd/aesm.socket";
  std::filesystem::path state_dir = "/var/lib/enclayer";
  bool replace = false;
};

constexpr auto kDescription =
    "Answers the attestation requests of a node's pods: the AESM protocol of Intel's aesmd, on a unix socket.\n"
    "A pod opts in with SGX_AESM_ADDR=1 and a mount of the socket's folder; Intel's, Gramine's and Fortanix's clients\n"
    "work unchanged.\n";

constexpr auto kFooter =
    "\nExamples:\n"
    "  enclayer-quote-helper --platform sim\n"
    "      on any node: simulated quotes, which verify only for who trusts the simulation's own root\n"
    "  enclayer-quote-helper --platform sim --socket /tmp/sim/aesm.socket --state-dir /tmp/sim/state\n"
    "      for a try without root; then: enclayer quote --socket /tmp/sim/aesm.socket --out quote.bin\n"
    "\nA second instance with the same --state-dir takes the socket over without losing a request; the first one\n"
    "finishes its work and ends. Anybody else's socket is left alone, unless --replace is given.\n"
    "\nExit codes: 0 stopped by SIGTERM or SIGINT, or succeeded by another instance; 1 misuse; 2 the state directory "
    "is\n"
    "damaged (it is left as it is); 3 a file or folder cannot be read or written; 4 no quotes can be had here; 5 "
    "somebody\n"
    "else answers at the socket.";

void add_flags(CLI::App& app, Flags& flags) {
  apps::add_common(app);
  app.footer(kFooter);
  app.add_option("--socket", flags.socket, "Where clients connect; its folder is made if it is missing")
      ->option_text("PATH [/var/run/aesmd/aesm.socket]");
  app.add_option("--state-dir", flags.state_dir,
                 "Keys (private/), what verifiers of simulated quotes need (public/), and which socket is ours")
      ->option_text("DIR [/var/lib/enclayer]");
  app.add_flag("--replace", flags.replace, "Take the socket over even if it is somebody else who answers there");
  apps::add_daemon_options(app, flags.daemon);
}

Time now() { return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()); }

// As many connections as descriptors allow, up to kMaxConnections.
std::size_t connection_limit() {
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  rlim_t wanted = kMaxConnections + kSpareDescriptors;
  if (files.rlim_cur < wanted) {
    files.rlim_cur = std::min(wanted, files.rlim_max);
    ::setrlimit(RLIMIT_NOFILE, &files);
    ::getrlimit(RLIMIT_NOFILE, &files);
  }
  rlim_t left = files.rlim_cur > kSpareDescriptors ? files.rlim_cur - kSpareDescriptors : 16;
  return std::min<rlim_t>(left, kMaxConnections);
}

// The signal that came within a second, or 0.
int signal_within_a_second(const sigset_t& ends) {
  timespec second{1, 0};
  int number = ::sigtimedwait(&ends, nullptr, &second);
  return number > 0 ? number : 0;
}

// Until a signal or a successor ends it. Meanwhile collateral is issued again in time.
void watch(const sigset_t& ends, const net::SocketClaim& claim, quoting::SimPlatform& platform) {
  auto next_renewal = std::chrono::steady_clock::now();
  while (true) {
    if (int number = signal_within_a_second(ends)) {
      log::info("stopping", {{"signal", number == SIGINT ? "SIGINT" : "SIGTERM"}});
      return;
    }
    if (auto why = claim.lost()) {
      log::warn("socket lost, stopping", {{"reason", *why}, {"generation", claim.generation()}});
      return;
    }
    if (std::chrono::steady_clock::now() < next_renewal) continue;
    if (auto renewed = platform.renew(now()); !renewed) {
      log::error("collateral cannot be issued again", {{"reason", renewed.error().message()}});
      next_renewal = std::chrono::steady_clock::now() + 1min;
    } else if (*renewed) {
      log::info("collateral issued again");
    }
  }
}

// The second signal ends the process at once, in the way that the system has for it.
void let_the_next_signal_kill(const sigset_t& ends) {
  ::signal(SIGTERM, SIG_DFL);
  ::signal(SIGINT, SIG_DFL);
  ::pthread_sigmask(SIG_UNBLOCK, &ends, nullptr);
}

// What is missing on this machine or, where nothing is, in this version. A simulation is never started in its place.
Error no_hardware_quotes() {
  auto platform = sgx::find_platform(sgx::cpuid_of_this_machine(), "/dev", "/sys");
  std::string missing = platform ? "the hardware quote source is not in this version yet" : platform.error().message();
  return {ErrorKind::kUnavailable, missing + ". --platform sim makes simulated quotes, which prove nothing"};
}

Result<> run(const Flags& flags, const sigset_t& ends) {
  if (flags.daemon.platform == apps::Platform::kHardware) return no_hardware_quotes();
  auto socket = std::filesystem::absolute(flags.socket), state_dir = std::filesystem::absolute(flags.state_dir);

  log::warn("QUOTES ARE SIMULATED: they prove nothing, and verify only for who trusts this simulation's root");
  ENCLAYER_TRY(auto platform, quoting::SimPlatform::open(state_dir, now()));
  ENCLAYER_TRY(auto source, quoting::SimQuotingEnclave::make(platform.ca(), platform.attestation_key()));

  base::Metrics metrics;
  std::unique_ptr<net::HttpEndpoint> endpoint;
  if (!flags.daemon.metrics_listen.empty()) {
    ENCLAYER_TRY(endpoint, net::serve_metrics(flags.daemon.metrics_listen, metrics));
    log::info("metrics served", {{"address", endpoint->address()}});
  }

  // Everything is ready before the socket is ours: a client never waits for our start.
  net::FrameLimits limits;
  limits.max_connections = connection_limit();
  Responder::Options options;
  options.threads = static_cast<int>(std::clamp(std::thread::hardware_concurrency(), 1U, 8U));
  options.max_queued = options.max_queued_each = limits.max_connections / 4;
  options.budget = limits.answer;
  Responder responder(*source, options, metrics);
  ENCLAYER_TRY(auto claim, net::SocketClaim::take(socket, state_dir, flags.replace));
  ENCLAYER_TRY(auto server, net::FrameServer::start(claim.take_listener(), limits, responder, metrics));
  ENCLAYER_TRY(auto target, source->target());
  log::info("serving", {{"socket", socket.string()},
                        {"generation", claim.generation()},
                        {"quotes", "simulated"},
                        {"att_key_id", base::to_hex(target.pub_key_id)},
                        {"root", quoting::public_root_path(state_dir).string()},
                        {"max_connections", limits.max_connections}});

  watch(ends, claim, platform);

  let_the_next_signal_kill(ends);
  server->drain();
  if (!server->wait_drained(kDrainTime)) log::warn("connections dropped, they were not done in time");
  log::info("stopped");
  return {};
}

int main(int argc, char** argv) {
  // One heap for all threads: what they free is used again, whoever needs it.
  ::mallopt(M_ARENA_MAX, 1);
  sigset_t ends;
  ::sigemptyset(&ends);
  ::sigaddset(&ends, SIGTERM);
  ::sigaddset(&ends, SIGINT);
  ::pthread_sigmask(SIG_BLOCK, &ends, nullptr);  // before there are threads
  ::signal(SIGPIPE, SIG_IGN);
  // Nothing in the machine's openssl.cnf is meant for us, and to read it costs memory.
  ::OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, nullptr);
  // With it set, Intel's libraries would send our own requests for quotes back to our socket.
  ::unsetenv("SGX_AESM_ADDR");

  Flags flags;
  CLI::App app(kDescription, kProgram);
  add_flags(app, flags);
  if (auto parsed = apps::parse(app, argc, argv); !parsed.go_on) return parsed.exit_code;
  log::setup(flags.daemon.log_level, flags.daemon.log_format);
  auto done = run(flags, ends);
  return done ? 0 : apps::fail(kProgram, done.error());
}

}  // namespace
}  // namespace enclayer::quote_helper

int main(int argc, char** argv) { return enclayer::quote_helper::main(argc, argv); }
