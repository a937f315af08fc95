// SPDX-License-Identifier: Apache-2.0
#include "helper/helper.h"

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <optional>
#include <thread>

#include "base/log.h"
#include "base/version.h"
#include "helper/facts_file.h"
#include "helper/guard.h"
#include "helper/own_user.h"
#include "helper/request_scheduler.h"
#include "helper/signals.h"
#include "helper/slot_sockets.h"
#include "http/server.h"
#include "net/frame_server.h"
#include "troubles/troubles.h"

namespace enclayer::helper {
namespace {

namespace log = base::log;
using namespace std::chrono_literals;
using std::chrono::steady_clock;

// How long requests that are under way may still take after SIGTERM: 5 s to arrive, 12 s to be answered, 5 s for the
// reply to be taken (FrameLimits). Kubernetes waits 30 s before it kills.
constexpr auto kDrainTime = 22s;
// Descriptors for what is no connection: the slots' sockets, what clients send along on older kernels, and the rest.
constexpr rlim_t kSpareDescriptors = 64 + slots::kMostSlots + 1024;
constexpr int kMaxConnections = 4096;

// While our predecessor serves, we take the sockets only when we can quote, so that nobody waits for our start; how
// often that is looked at.
constexpr auto kLookWhetherReady = 100ms;
// How often an instance that ends looks whether one that waits has taken the sockets, and how long it serves for that.
constexpr auto kLookWhoComes = 20ms;
constexpr auto kFarewell = 3s;
// Of each step of --self-test. Enclaves are loaded, certificates may be fetched.
constexpr auto kSelfTestStep = 90s;
// Alarms in a row are one.
constexpr auto kBetweenLooks = 10ms;
// How long /healthz waits for the server's thread.
constexpr auto kAlive = 2s;

// As many connections as descriptors allow, up to kMaxConnections.
std::size_t connection_limit() {
  const rlim_t wanted = kMaxConnections + kSpareDescriptors;
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = std::max(files.rlim_cur, std::min(wanted, files.rlim_max));
  ::setrlimit(RLIMIT_NOFILE, &files);
  if (files.rlim_cur >= wanted) return kMaxConnections;
  return files.rlim_cur > 128 ? (files.rlim_cur - 64) / 2 : 32;
}

std::filesystem::path beacon(const Options& options) { return options.slots_dir / slots::kHealth / slots::kSocket; }

// What only user 0 can do, before there are threads.
Result<> give_user_0_up(const Options& options) {
  if (options.user == 0 || ::geteuid() == options.user) return {};
  if (::geteuid() != 0)
    return Error(ErrorKind::kInvalidArgument, "--user is " + std::to_string(options.user) + ", and this is user " +
                                                  std::to_string(::geteuid()) + ": only user 0 can become another");
  std::vector<std::filesystem::path> folders = {options.socket.parent_path(), options.state_dir};
  if (!options.hardware.dcap.cache_dir.empty()) folders.push_back(options.hardware.dcap.cache_dir);
  if (!options.troubles.empty()) folders.push_back(options.troubles);
  ENCLAYER_CHECK(become(options.user, folders, options.hardware.dcap.dev_dir));
  log::info("user 0 given up", {{"uid", options.user}});
  return {};
}

Result<std::unique_ptr<Quotes>> quotes_of(const Options& options, quoting::DcapLaunch launch, base::Metrics& metrics) {
  if (!options.simulated) return hardware_quotes(options.hardware, options.environment, std::move(launch), metrics);
  log::warn("QUOTES ARE SIMULATED: they prove nothing, and verify only for who trusts this simulation's root");
  return simulated_quotes(options.state_dir, options.now(), metrics);
}

Result<quoting::DcapLaunch> launch_of(const Options& options) {
  if (options.simulated) return quoting::DcapLaunch{};
  return hardware_launch(options.hardware, options.environment);
}

// False: a signal came first. A client at a socket where nobody answers is better off with us at once: what needs no
// quote is answered, and the rest is held for as long as clients wait.
bool ready_to_succeed(const Options& options, Quotes& quotes) {
  bool was_said = false;
  while (net::connect_to(options.socket, 1s)) {
    std::string why = quotes.not_ready();
    if (why.empty()) return true;
    if (!std::exchange(was_said, true))
      log::warn("the sockets are left to who serves them until quotes can be had here", {{"reason", why}});
    if (wait_for_end(kLookWhetherReady) != 0) return false;
  }
  return true;
}

// Until one that waits has taken the sockets, so that nobody finds them without an answer.
void let_others_take(SocketClaim& claim) {
  if (auto said = claim.leave(); !said)
    return log::warn("an instance that waits is not told of the end", {{"reason", said.error().message()}});
  auto deadline = steady_clock::now() + kFarewell;
  while (!claim.lost()) {
    if (steady_clock::now() > deadline) return;
    std::this_thread::sleep_for(kLookWhoComes);
  }
  log::info("sockets handed over", {{"reason", "this instance ends"}, {"generation", claim.generation()}});
  std::this_thread::sleep_for(SocketGuard::kHandOver);
}

void reload(Quotes& quotes, Time now) {
  auto reloaded = quotes.reload(now);
  if (reloaded)
    log::info("reloaded");
  else
    log::error("not reloaded, everything stays as it was", {{"reason", reloaded.error().message()}});
}

constexpr auto kNotOurs = "the path of the legacy socket is not ours";

// What the probes ask for, brought together as it comes to be.
struct Parts {
  Quotes& quotes;
  net::FrameServer& server;
  std::atomic<SocketGuard*> guard = nullptr;
  std::atomic<SlotSockets*> slots = nullptr;

  std::string not_ready() const {
    if (std::string why = quotes.not_ready(); !why.empty()) return why;
    const SocketGuard* sockets = guard;
    if (sockets == nullptr) return "the sockets are not ours yet";
    if (sockets->waits()) return {};
    if (!sockets->ours()) return kNotOurs;
    return slots.load()->not_ready();
  }
  std::string not_alive() const { return server.answers(kAlive) ? "" : "the thread that answers requests does not"; }
};

// What is wrong with the one that serves; another one waits and says nothing.
class Troubles {
 public:
  explicit Troubles(const std::filesystem::path& folder) : folder_(folder) {}

  void look(Quotes& quotes, const SocketGuard& guard, const SlotSockets& slots, Time now) {
    if (folder_.empty() || guard.waits()) return board_.reset();
    if (!board_) board_.emplace(folder_, now);
    auto pods = [&] { return slots.pods(); };
    board_->say(troubles::kCannotQuote, quotes.not_ready(), now, pods);
    board_->say(troubles::kSocketTaken, guard.ours() ? "" : kNotOurs, now);
    board_->say(troubles::kSlotsNotServed, slots.not_ready(), now, pods);
    board_->keep(now);
  }

 private:
  const std::filesystem::path& folder_;
  std::optional<troubles::Board> board_;
};

}  // namespace

quoting::FactsAbout about(const Options& options, std::uint64_t generation) {
  return {base::kVersion, options.simulated ? "sim" : "hardware", options.instance, generation};
}

Result<quoting::SelfTest> self_test(const Options& options) {
  ENCLAYER_TRY(quoting::DcapLaunch launch, launch_of(options));
  ENCLAYER_CHECK(give_user_0_up(options));
  if (options.simulated) return test_simulated_quotes(options.state_dir, options.now());
  return quoting::test_dcap(launch, kSelfTestStep);
}

Result<> serve(const Options& options) {
  ENCLAYER_TRY(quoting::DcapLaunch launch, launch_of(options));
  ENCLAYER_CHECK(give_user_0_up(options));
  base::Metrics metrics;
  ENCLAYER_TRY(std::unique_ptr<Quotes> quotes, quotes_of(options, std::move(launch), metrics));

  net::FrameLimits limits;
  limits.max_connections = connection_limit();
  ClientIdentities identities;
  RequestScheduler scheduler(quotes->source(), identities,
                             {.threads = static_cast<int>(quotes->workers()),
                              .max_queued = limits.max_connections / 4,
                              .max_queued_each = std::max<std::size_t>(1, limits.max_connections / 16),
                              .budget = limits.answer,
                              .quotes_per_minute = options.quotes_per_minute},
                             metrics);
  ENCLAYER_TRY(auto server, net::FrameServer::start(limits, scheduler, metrics));
  Parts parts{*quotes, *server};
  std::unique_ptr<http::Server> endpoint;
  if (!options.metrics_listen.empty()) {
    http::Probes probes;
    probes.before_metrics = [&scheduler] { scheduler.audit().publish(); };
    probes.not_ready = [&parts] { return parts.not_ready(); };
    probes.not_alive = [&parts] { return parts.not_alive(); };
    // Ready, and said so: a DaemonSet's old pod that is not is deleted, whether the new one can serve or not.
    probes.remark = [&parts] {
      const SocketGuard* guard = parts.guard;
      return guard != nullptr && guard->waits() ? "another instance serves, and this one waits" : "";
    };
    ENCLAYER_TRY(endpoint, http::serve_metrics(options.metrics_listen, metrics, probes));
    log::info("metrics served", {{"address", endpoint->address()}});
  }
  if (!ready_to_succeed(options, *quotes)) return {};

  ENCLAYER_TRY(auto claim, SocketClaim::take(options.socket, options.state_dir,
                                             {options.replace, options.instance, beacon(options)}));
  auto serve_legacy = [&server](base::UniqueFd listener) {
    server->serve(std::move(listener), kLegacy, net::Holders::kProcesses);
  };
  SocketGuard guard(claim, {beacon(options), options.socket}, serve_legacy,
                    options.instance.empty() ? SocketGuard::Succeeded::kEnds : SocketGuard::Succeeded::kWaits, metrics);
  SlotSockets slot_sockets(options.slots_dir, identities, scheduler.audit(), *server,
                           [&claim] { return !claim.lost(); });
  if (!guard.waits()) serve_legacy(claim.take_listener());
  slot_sockets.look(!guard.waits(), steady_clock::now());
  FactsFile facts(options.state_dir, about(options, claim.generation()), metrics);
  facts.keep(quotes->facts(), !guard.waits());  // a caller of /readyz may ask for them
  parts.slots = &slot_sockets;
  parts.guard = &guard;
  log::info(guard.waits() ? "waiting, another instance serves" : "serving",
            {{"socket", options.socket.string()},
             {"slots", slot_sockets.served()},
             {"generation", claim.generation()},
             {"quotes", options.simulated ? "simulated" : "from SGX hardware"},
             {"max_connections", limits.max_connections}});

  Troubles troubles(options.troubles);
  auto next_second = steady_clock::now();
  int number = 0;
  while (number == 0) {
    auto left = std::chrono::ceil<std::chrono::milliseconds>(next_second - steady_clock::now());
    number = wait_for_end(std::max(left, 0ms), {guard.alarm(), slot_sockets.alarm()});
    if (number != 0) break;
    if (reload_wanted()) reload(*quotes, options.now());
    auto moment = steady_clock::now();
    if (!guard.look(moment)) break;
    slot_sockets.look(!guard.waits(), moment);
    if (moment >= next_second) {
      quotes->look_after(options.now());
      facts.keep(quotes->facts(), !guard.waits());
      troubles.look(*quotes, guard, slot_sockets, options.now());
      scheduler.audit().look_after(moment);
      next_second = moment + 1s;
    }
    number = wait_for_end(kBetweenLooks);
  }
  log::info("stopping", {{"reason", number == 0        ? "another instance serves"
                                    : number == SIGINT ? "SIGINT"
                                                       : "SIGTERM"}});

  if (!options.instance.empty() && !guard.waits()) let_others_take(claim);
  server->drain();
  if (!server->wait_drained(kDrainTime)) log::warn("connections dropped, they were not done in time");
  endpoint.reset();
  quotes->stop();  // what still waits in a thread of the scheduler
  log::info("stopped");
  return {};
}

}  // namespace enclayer::helper
