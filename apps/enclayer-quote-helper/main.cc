// enclayer-quote-helper: answers the attestation requests of a node's pods on the AESM socket.
#include <malloc.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/version.h"
#include "cli_support.h"
#include "net/frame_server.h"
#include "net/http_endpoint.h"
#include "net/socket_claim.h"
#include "net/socket_guard.h"
#include "own_user.h"
#include "pods/checkpoint_opener.h"
#include "quotes.h"
#include "quoting/dcap_worker.h"
#include "responder.h"
#include "watch.h"

namespace enclayer::quote_helper {
namespace {

namespace log = base::log;
using namespace std::chrono_literals;

constexpr auto kProgram = "enclayer-quote-helper";

// How long requests that are under way may still take after SIGTERM: 5 s to arrive, 12 s to be answered, 5 s for the
// reply to be taken (FrameLimits). Kubernetes waits 30 s before it kills.
constexpr auto kDrainTime = 22s;
// Descriptors for everything that is not a connection; --identify-pods needs one for each process that it knows.
constexpr rlim_t kSpareDescriptors = 64;
constexpr int kMaxConnections = 4096;

// While our predecessor serves, we take the socket only when we can quote, so that nobody waits for our start; how
// often that is looked at.
constexpr auto kLookWhetherReady = 100ms;
// How often an instance that ends looks whether one that waits has taken the socket, and how long it serves for that:
// who waits looks every second.
constexpr auto kLookWhoComes = 20ms;
constexpr auto kFarewell = 3s;
constexpr std::size_t kMostFacts = 64 << 10;
// Of each step of --self-test. Enclaves are loaded, certificates may be fetched.
constexpr auto kSelfTestStep = 90s;

struct Flags {
  apps::DaemonOptions daemon;
  std::filesystem::path socket = "/var/run/aesmd/aesm.socket";
  std::filesystem::path state_dir = "/var/lib/enclayer";
  std::string instance;
  bool replace = false;
  bool self_test = false, facts = false;
  std::string output = "text";
  HardwareFlags hardware;

  bool identify_pods = false, require_epc = false;
  int quotes_per_pod = 0;  // a minute; 0: as many as they like
  std::string epc_resource = "kubernetes.azure.com/sgx_epc_mem_in_MiB";
  std::filesystem::path kubelet_dir = "/var/lib/kubelet";
  std::string user;
};

constexpr auto kDescription =
    R"(Answers the attestation requests of a node's pods: the AESM protocol of Intel's aesmd, on a unix socket.
A pod opts in with SGX_AESM_ADDR=1 and a mount of the socket's folder; Intel's, Gramine's and Fortanix's clients
work unchanged.
)";

constexpr auto kFooter = R"(
Examples:
  enclayer-quote-helper --platform sim
      on any node: simulated quotes, which verify only for who trusts the simulation's own root
  enclayer-quote-helper --platform sim --socket /tmp/sim/aesm.socket --state-dir /tmp/sim/state
      for a try without root; then: enclayer quote --socket /tmp/sim/aesm.socket --out quote.bin
  enclayer-quote-helper --self-test --pccs-url https://pccs.example:8081/sgx/certification/v4/ --cache-dir /tmp
      on an SGX node: does what a quote takes, step by step, and says what is missing
  enclayer-quote-helper --identify-pods --max-quotes-per-pod 60 --require-epc
      on an SGX node, in the host's pid namespace: quotes for pods that hold EPC, 60 a minute each

A second instance with the same --state-dir takes the socket over without losing a request; the first one
finishes its work and ends, or with --instance waits. Anybody else's socket is left alone, unless --replace is given; who replaces or
removes ours while we serve finds it put back. SIGHUP reads again what may have been changed.

Exit codes: 0 stopped by SIGTERM or SIGINT, or succeeded by another instance; 1 misuse; 2 the state directory is
damaged (it is left as it is); 3 a file or folder cannot be read or written; 4 no quotes can be had here; 5 somebody
else answers at the socket.)";

void add_flags(CLI::App& app, Flags& flags) {
  apps::add_common(app);
  app.footer(kFooter);
  app.add_option("--socket", flags.socket, "Where clients connect; its folder is made if it is missing")
      ->option_text("PATH [/var/run/aesmd/aesm.socket]");
  app.add_option("--state-dir", flags.state_dir,
                 "Keys (private/), what verifiers of simulated quotes need (public/), and which socket is ours")
      ->option_text("DIR [/var/lib/enclayer]");
  app.add_option(
         "--instance", flags.instance,
         "A name that stays through restarts, as a pod's UID. Who was succeeded by a newer instance then waits\n"
         "instead of ending, and serves again when that one is gone; started again it is no newer than before")
      ->option_text("NAME");
  app.add_flag("--replace", flags.replace, "Take the socket over even if it is somebody else who answers there");
  app.add_flag("--self-test", flags.self_test,
               "Make what a quote takes, step by step, print what works, and end: 0 all passed, 4 not");
  app.add_option("--output", flags.output, "How --self-test prints it")
      ->check(CLI::IsMember({"text", "json"}))
      ->option_text("text|json [text]");
  app.add_flag("--facts", flags.facts,
               "Print what is known of the source of the quotes that are served here, as JSON, and end: libraries,\n"
               "versions of the enclaves, the TCB level where it is known; 3 where nobody has served yet");

  const char* hardware = "Quotes from SGX hardware";
  app.add_option("--workers", flags.hardware.workers, "Processes that quote; each loads its own enclaves, 5 MiB of EPC")
      ->check(CLI::Range(1U, 16U))
      ->option_text("N [1]")
      ->group(hardware);
  app.add_option("--dcap-lib-dir", flags.hardware.dcap.lib_dir,
                 "Where Intel's libraries and enclaves are, if not where the dynamic linker looks")
      ->option_text("DIR")
      ->group(hardware);
  app.add_option("--pccs-url", flags.hardware.dcap.pccs_url,
                 "The service that has this platform's certificate; needs --cache-dir")
      ->option_text("URL")
      ->group(hardware);
  app.add_option("--qcnl-conf", flags.hardware.dcap.qcnl_conf,
                 "A configuration of Intel's provider to use instead; needs --cache-dir")
      ->option_text("FILE")
      ->group(hardware);
  app.add_option("--cache-dir", flags.hardware.dcap.cache_dir,
                 "The provider's cache and configuration: the one folder that has to be writable beside --state-dir")
      ->option_text("DIR")
      ->group(hardware);
  app.add_option("--dev-root", flags.hardware.dcap.dev_dir, "Where the SGX devices are looked for")
      ->option_text("DIR [/dev]")
      ->group(hardware);

  const char* pods = "Pods told apart (hostPID)";
  auto* identify = app.add_flag("--identify-pods", flags.identify_pods,
                                "Know from which pod a request comes: turns and figures by pod, a line for each quote")
                       ->group(pods);
  app.add_option("--max-quotes-per-pod", flags.quotes_per_pod,
                 "Quotes a minute that a pod may have; BUSY beyond. The host's processes count as one pod")
      ->check(CLI::Range(1, pods::Allowance::kMost))
      ->option_text("N [no limit]")
      ->needs(identify)
      ->group(pods);
  auto* require = app.add_flag("--require-epc", flags.require_epc,
                               "Quotes only for pods that hold EPC, says the kubelet; needs a start as user 0")
                      ->needs(identify)
                      ->group(pods);
  app.add_option("--epc-resource", flags.epc_resource, "The resource that is EPC")
      ->option_text("NAME [kubernetes.azure.com/sgx_epc_mem_in_MiB]")
      ->needs(require)
      ->group(pods);
  app.add_option("--kubelet-dir", flags.kubelet_dir, "The kubelet's folder")
      ->option_text("DIR [/var/lib/kubelet]")
      ->needs(require)
      ->group(pods);
  app.add_option("--user", flags.user,
                 "Give user 0 up for this one before the socket appears; with --identify-pods it always is")
      ->option_text("UID[:GID] [64213]")
      ->group(pods);
  apps::add_daemon_options(app, flags.daemon);
}

Time now() { return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()); }

// As many connections as descriptors allow, up to kMaxConnections.
std::size_t connection_limit(bool identify_pods) {
  const rlim_t spare = kSpareDescriptors + (identify_pods ? pods::Askers::kMostKnown : 0);
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  rlim_t wanted = kMaxConnections + spare;
  if (files.rlim_cur < wanted) {
    files.rlim_cur = std::min(wanted, files.rlim_max);
    ::setrlimit(RLIMIT_NOFILE, &files);
    ::getrlimit(RLIMIT_NOFILE, &files);
  }
  rlim_t left = files.rlim_cur > spare ? files.rlim_cur - spare : 16;
  return std::min<rlim_t>(left, kMaxConnections);
}

void reload(Quotes& quotes) {
  auto reloaded = quotes.reload(now());
  if (reloaded)
    log::info("reloaded");
  else
    log::error("not reloaded, everything stays as it was", {{"reason", reloaded.error().message()}});
}

// What only user 0 can do, before there are threads.
struct Rights {
  std::unique_ptr<pods::CheckpointOpener> checkpoint;
};

Result<Rights> use_rights(const Flags& flags) {
  Rights rights;
  if (flags.require_epc) {
    auto path = flags.kubelet_dir / "device-plugins" / "kubelet_internal_checkpoint";
    ENCLAYER_TRY(rights.checkpoint, pods::CheckpointOpener::start(path));
    auto first = rights.checkpoint->open();
    if (!first) return first.error().with_context("--require-epc");
  }
  if (flags.identify_pods)
    if (auto why = pods::why_not_identifiable(base::Root("/proc")))
      return Error(ErrorKind::kUnavailable, "--identify-pods: " + *why);
  std::optional<User> user;
  if (flags.identify_pods) user = User{};
  if (!flags.user.empty()) {
    ENCLAYER_TRY(user, parse_user(flags.user));
    if (::geteuid() != 0 && ::geteuid() != user->uid)
      return Error(ErrorKind::kInvalidArgument, "--user is " + flags.user + ", and this is user " +
                                                    std::to_string(::geteuid()) + ": only user 0 can become another");
  }
  if (!user || ::geteuid() != 0) return rights;
  std::vector<OwnFolder> folders = {
      {flags.socket.parent_path(), {}},
      {flags.state_dir, {"private", "public", "sockets", "instances", "facts.json", "lock"}}};
  if (!flags.hardware.dcap.cache_dir.empty()) folders.push_back({flags.hardware.dcap.cache_dir, {"dcap"}});
  ENCLAYER_CHECK(become(*user, folders, flags.hardware.dcap.dev_dir));
  log::info("user 0 given up", {{"uid", user->uid}, {"gid", user->gid}});
  return rights;
}

std::vector<std::string> environment() {
  std::vector<std::string> out;
  for (char** entry = environ; *entry != nullptr; ++entry) out.emplace_back(*entry);
  return out;
}

std::filesystem::path facts_path(const Flags& flags) { return flags.state_dir / "facts.json"; }

quoting::FactsAbout about(const Flags& flags, std::uint64_t generation = 0) {
  return {base::kVersion, flags.daemon.platform == apps::Platform::kSim ? "sim" : "hardware", flags.instance,
          generation};
}

Result<int> print_facts(const Flags& flags) {
  auto text = base::read_text(facts_path(flags), kMostFacts);
  if (!text && text.error().kind() == ErrorKind::kNotFound)
    return Error(ErrorKind::kNotFound, facts_path(flags).string() +
                                           " is not there: no helper has served yet with this "
                                           "--state-dir");
  if (!text) return text.error();
  std::fputs(text->c_str(), stdout);
  return 0;
}

// Keeps the file of --facts and the metric as the source's facts are, while this instance serves.
class FactsFile {
 public:
  FactsFile(const Flags& flags, std::uint64_t generation, base::Metrics& metrics)
      : path_(facts_path(flags)), about_(about(flags, generation)), metrics_(metrics) {}

  void keep(const quoting::SourceFacts& facts, bool serves) {
    if (!shown_ || *shown_ != facts) quoting::show_source_info(facts, metrics_);
    shown_ = facts;
    if (!serves) written_.reset();  // another instance may write
    if (!serves || written_ == facts) return;
    written_ = facts;
    auto done = base::write_file_atomic(path_, base::as_bytes(quoting::to_json(facts, about_)), 0644);
    if (!done) log::warn("what --facts prints is not brought up to date", {{"reason", done.error().message()}});
  }

 private:
  const std::filesystem::path path_;
  const quoting::FactsAbout about_;
  base::Metrics& metrics_;
  std::optional<quoting::SourceFacts> shown_, written_;
};

Result<int> self_test(const Flags& flags, const quoting::DcapLaunch& launch) {
  quoting::SelfTest test;
  if (flags.daemon.platform == apps::Platform::kHardware) {
    test = quoting::test_dcap(launch, kSelfTestStep);
  } else {
    ENCLAYER_TRY(test, test_simulated_quotes(flags.state_dir, now()));
  }
  std::string printed = flags.output == "json" ? quoting::to_json(test, about(flags)) : quoting::to_text(test);
  std::fputs(printed.c_str(), stdout);
  return test.passed() ? 0 : base::at_border(ErrorKind::kUnavailable).exit_code;
}

// False: a signal came first. Who waits at a socket where nobody answers is better off with us at once: what needs no
// quote is answered, and the rest is held for as long as clients wait.
bool ready_to_succeed(const Flags& flags, Quotes& quotes, const sigset_t& signals) {
  bool was_said = false;
  while (net::connect_to(flags.socket, 1s)) {
    std::string why = quotes.not_ready();
    if (why.empty()) return true;
    if (!std::exchange(was_said, true))
      log::warn("the socket is left to who serves it until quotes can be had here", {{"reason", why}});
    timespec pause{0, std::chrono::nanoseconds(kLookWhetherReady).count()};
    if (int number = ::sigtimedwait(&signals, nullptr, &pause); number == SIGTERM || number == SIGINT) return false;
  }
  return true;
}

// Until one that waits has taken the socket, so that nobody finds it without an answer.
void let_others_take(net::SocketClaim& claim) {
  if (auto said = claim.leave(); !said)
    return log::warn("an instance that waits is not told of the end", {{"reason", said.error().message()}});
  auto deadline = std::chrono::steady_clock::now() + kFarewell;
  while (!claim.lost()) {
    if (std::chrono::steady_clock::now() > deadline) return;
    std::this_thread::sleep_for(kLookWhoComes);
  }
  log::info("socket handed over", {{"reason", "this instance ends"}, {"generation", claim.generation()}});
  std::this_thread::sleep_for(net::SocketGuard::kHandOver);
}

Result<int> run(Flags flags, const sigset_t& signals) {
  flags.socket = std::filesystem::absolute(flags.socket);
  flags.state_dir = std::filesystem::absolute(flags.state_dir);
  if (flags.facts) return print_facts(flags);
  bool is_simulated = flags.daemon.platform == apps::Platform::kSim;
  quoting::DcapLaunch launch;
  if (!is_simulated) {
    ENCLAYER_TRY(launch, hardware_launch(flags.hardware, environment()));
  }
  ENCLAYER_TRY(Rights rights, use_rights(flags));
  if (flags.self_test) return self_test(flags, launch);

  base::Metrics metrics;
  if (is_simulated)
    log::warn("QUOTES ARE SIMULATED: they prove nothing, and verify only for who trusts this simulation's root");
  std::unique_ptr<Quotes> quotes;
  if (is_simulated) {
    ENCLAYER_TRY(quotes, simulated_quotes(flags.state_dir, now(), metrics));
  } else {
    quotes = hardware_quotes(flags.hardware, environment(), std::move(launch), metrics);
  }

  std::optional<PodRules> pods;
  if (flags.identify_pods) {
    pods.emplace(PodRules{pods::Askers(base::Root("/proc"))});
    pods->audit = std::make_unique<pods::QuoteAudit>(metrics);
    if (flags.quotes_per_pod > 0) pods->allowance.emplace(flags.quotes_per_pod);
    if (rights.checkpoint)
      pods->holders =
          std::make_unique<pods::EpcHolders>([&rights] { return rights.checkpoint->open(); }, flags.epc_resource);
  }

  std::atomic<bool> claimed = false, waits = false;
  net::Probes probes;
  if (pods) probes.before_metrics = [&pods] { pods->audit->publish(pods::QuoteAudit::Clock::now()); };
  probes.not_ready = [&] {
    std::string why = quotes->not_ready();
    return !why.empty() || claimed ? why : "the socket is not ours yet";
  };
  // Ready, and said so: a DaemonSet's old pod that is not is deleted, whether the new one can serve or not.
  probes.remark = [&] { return waits ? "a newer instance serves, and this one waits" : ""; };
  std::unique_ptr<net::HttpEndpoint> endpoint;
  if (!flags.daemon.metrics_listen.empty()) {
    ENCLAYER_TRY(endpoint, net::serve_metrics(flags.daemon.metrics_listen, metrics, probes));
    log::info("metrics served", {{"address", endpoint->address()}});
  }
  if (!ready_to_succeed(flags, *quotes, signals)) return 0;

  net::FrameLimits limits;
  limits.max_connections = connection_limit(flags.identify_pods);
  Responder::Options options;
  options.threads = static_cast<int>(quotes->workers());
  options.max_queued = options.max_queued_each = limits.max_connections / 4;
  options.budget = limits.answer;
  options.pods = pods ? &*pods : nullptr;
  Responder responder(quotes->source(), options, metrics);
  ENCLAYER_TRY(auto claim, net::SocketClaim::take(flags.socket, flags.state_dir, flags.replace, flags.instance));
  ENCLAYER_TRY(auto server, net::FrameServer::start(claim.take_listener(), limits, responder, metrics));
  waits = claim.waits();
  FactsFile facts(flags, claim.generation(), metrics);
  facts.keep(quotes->facts(), !waits);  // who is told that we are ready may ask for them
  claimed = true;
  log::info(waits ? "waiting, a newer instance serves" : "serving",
            {{"socket", flags.socket.string()},
             {"generation", claim.generation()},
             {"quotes", is_simulated ? "simulated" : "from SGX hardware"},
             {"pods", pods ? "told apart" : "not told apart"},
             {"max_connections", limits.max_connections}});

  net::SocketGuard guard(
      claim, [&](base::UniqueFd listener) { server->serve_also(std::move(listener)); },
      flags.instance.empty() ? net::SocketGuard::Succeeded::kEnds : net::SocketGuard::Succeeded::kWaits, metrics);
  auto keep_socket = [&] {
    bool goes_on = guard.look(std::chrono::steady_clock::now());
    waits = guard.waits();
    return goes_on;
  };
  watch(signals, {.keep_socket = keep_socket,
                  .look_after =
                      [&] {
                        quotes->look_after(now());
                        facts.keep(quotes->facts(), !waits);
                      },
                  .reload = [&] { reload(*quotes); }});

  let_the_next_signal_kill();
  if (!flags.instance.empty() && !guard.waits()) let_others_take(claim);
  server->drain();
  if (!server->wait_drained(kDrainTime)) log::warn("connections dropped, they were not done in time");
  quotes->stop();  // whoever still waits in a thread of the responder
  log::info("stopped");
  return 0;
}

int main(int argc, char** argv) {
  if (auto worker = quoting::dcap_worker_options(argc, argv))
    ::_exit(quoting::run_dcap_worker(quoting::kDcapWorkerSocket, *worker));

  // One heap for all threads: what they free is used again, whoever needs it.
  ::mallopt(M_ARENA_MAX, 1);
  sigset_t signals = hold_signals();  // before there are threads
  ::signal(SIGPIPE, SIG_IGN);
  // Nothing in the machine's openssl.cnf is meant for us, and to read it costs memory.
  ::OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, nullptr);
  // With it set, Intel's libraries would send our own requests for quotes back to our socket.
  ::unsetenv("SGX_AESM_ADDR");

  Flags flags;
  flags.hardware.dcap.dev_dir = "/dev";
  CLI::App app(kDescription, kProgram);
  add_flags(app, flags);
  if (auto parsed = apps::parse(app, argc, argv); !parsed.go_on) return parsed.exit_code;
  log::setup(flags.daemon.log_level, flags.daemon.log_format);
  auto done = run(flags, signals);
  return done ? *done : apps::fail(kProgram, done.error());
}

}  // namespace
}  // namespace enclayer::quote_helper

int main(int argc, char** argv) { return enclayer::quote_helper::main(argc, argv); }
