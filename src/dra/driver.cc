// SPDX-License-Identifier: Apache-2.0
#include "dra/driver.h"

#include <poll.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "base/container_runtime.h"
#include "base/file.h"
#include "base/log.h"
#include "base/metric_names.h"

namespace enclayer::dra {

namespace fs = std::filesystem;
namespace log = base::log;
using namespace std::chrono_literals;
using std::chrono::milliseconds;

namespace {

constexpr milliseconds kShortestPause = 500ms, kLongestPause = 10s;

// All that is asked of the API server for one call of the kubelet, which waits 45 s.
constexpr milliseconds kApiPatience = 20s;

}  // namespace

Driver::Driver(device_plugin::Node node, NodeDevices devices, Surroundings around)
    : node_(std::move(node)),
      devices_(std::move(devices)),
      around_(std::move(around)),
      sockets_{around_.kubelet_dir / kubelet::kWatchedFolder, kDriver},
      preparation_(node_, devices_, {around_.kubelet_dir / "plugins" / kDriver, around_.cdi, around_.slots}),
      publisher_([this] { return ApiClient::open(around_.api, kApiPatience); }) {}

Result<> Driver::run(int stop) {
  ENCLAYER_CHECK(sockets_.check_path());
  bool begun = false;
  for (milliseconds pause = kShortestPause;;) {
    auto done = begun ? look() : begin();
    if (!done) {
      const ErrorKind kind = done.error().kind();
      const bool may_pass = kind == ErrorKind::kUnavailable || kind == ErrorKind::kTimedOut;
      if (kind == ErrorKind::kUnsupported || (!begun && !may_pass)) return done;
    }
    set_not_ready(done ? "" : done.error().message());
    if (done && !std::exchange(begun, true)) continue;
    if (wait(stop, pause)) return {};
    pause = woken_.exchange(false) ? kShortestPause : std::min(2 * pause, kLongestPause);
  }
}

std::string Driver::not_ready() const {
  std::lock_guard lock(mutex_);
  return not_ready_.empty() ? refusal_ : not_ready_;
}

void Driver::measure(base::Metrics& metrics) const {
  namespace metric = base::metric;
  const auto offered = preparation_.offered();
  metrics.gauge(metric::kClaimEpcMib).set(offered ? static_cast<double>(offered->epc_mib()) : 0);
  metrics.replace(metric::kClaimErrors, {{{{"call", "prepare"}}, static_cast<double>(failed_prepares_)},
                                         {{{"call", "unprepare"}}, static_cast<double>(failed_releases_)}});
  const auto held = preparation_.held();
  if (!held) return;
  metrics.gauge(metric::kClaimEpcHeldMib).set(static_cast<double>(held->held_mib()));
  metrics.gauge(metric::kClaimsPrepared).set(static_cast<double>(held->claims().size()));
}

Result<> Driver::begin() {
  ENCLAYER_TRY(ApiClient api, ApiClient::open(around_.api, kApiPatience));
  ENCLAYER_TRY(const NodeFacts facts, read_node(api, devices_.node));
  if (std::string why = base::why_no_cdi(facts.runtime); !why.empty() && !around_.force_cdi)
    return Error(ErrorKind::kUnsupported, why + ", or give --force-cdi where CDI is known to be on");
  return preparation_.start(claims());
}

Result<> Driver::look() {
  // A slice that says more than what may be given would place pods here that then do not start.
  auto offered = preparation_.offered();
  ENCLAYER_TRY(const NodeDevices none, devices_.beside(devices_.all_mib));
  auto published = publisher_.sync(offered ? *offered : none);
  if (published) published_ = true;
  if (published && !slices_)
    slices_ = std::make_unique<SliceWatch>(around_.api, devices_.node, [this] { wake_.ring(); });
  const bool dropped = !published && published.error().kind() == ErrorKind::kUnsupported;
  if (!published_ || dropped) return published.error();
  // The kubelet keeps us while the API server is away.
  ENCLAYER_CHECK(serve());
  auto now = health();
  if (now != told_) server_->tell_health();
  told_ = std::move(now);
  if (!published) return published.error();
  if (!offered) return offered.error();
  for (const DeviceHealth& each : told_)
    if (!each.why_not.empty()) return Error(ErrorKind::kUnavailable, each.why_not);
  return {};
}

Result<> Driver::serve() {
  std::error_code ignored;
  if (server_ && fs::is_socket(socket_, ignored)) return {};
  if (server_) log::info("registering again", {{"driver", kDriver}, {"reason", "our own socket is gone"}});
  server_.reset();
  {
    std::lock_guard lock(mutex_);
    refusal_ = "the kubelet has not registered the driver yet";
  }
  // An instance that is about to serve its socket must not have it swept away by another.
  ENCLAYER_TRY(const auto lock, base::lock_file(sockets_.folder / ("." + sockets_.stem + ".lock")));
  ENCLAYER_CHECK(sockets_.check_room());
  sockets_.remove_dead();
  socket_ = sockets_.fresh();
  PluginServer::Driver driver;
  driver.prepare = [this](const auto& claims) { return prepare(claims); };
  driver.unprepare = [this](const ClaimName& claim) { return unprepare(claim); };
  driver.health = [this] { return health(); };
  driver.told = [this](const std::string& refusal) { told_by_kubelet(refusal); };
  driver.now = around_.now;
  ENCLAYER_TRY(server_, PluginServer::serve(devices_.node, socket_, std::move(driver)));
  log::info("waiting for the kubelet's plugin watcher", {{"driver", kDriver}, {"socket", socket_.string()}});
  return {};
}

std::vector<PluginServer::Prepared> Driver::prepare(const std::vector<ClaimName>& names) {
  std::vector<PluginServer::Prepared> all;
  all.reserve(names.size());
  const Preparation::Claims from = claims();
  for (const ClaimName& name : names) {
    all.push_back(preparation_.prepare(name, from));
    if (!all.back()) ++failed_prepares_;
  }
  return all;
}

Result<> Driver::unprepare(const ClaimName& claim) {
  auto done = preparation_.unprepare(claim, claims());
  if (!done) ++failed_releases_;
  return done;
}

Preparation::Claims Driver::claims() const {
  auto client = std::make_shared<std::optional<ApiClient>>();
  auto ask = [this, client](auto question) -> decltype(question(**client)) {
    if (!*client) {
      auto opened = ApiClient::open(around_.api, kApiPatience);
      if (!opened) return opened.error();
      client->emplace(std::move(*opened));
    }
    return question(**client);
  };
  return {[ask](const ClaimName& name) { return ask([&](ApiClient& api) { return api.claim(name); }); },
          [ask] { return ask([](ApiClient& api) { return api.claims(); }); }};
}

std::vector<DeviceHealth> Driver::health() const {
  std::vector<DeviceHealth> all;
  const std::string why_not = node_.enclave.why_not();
  for (const Section& section : devices_.sections) all.push_back({section.device, why_not});
  if (devices_.provision && node_.provision) all.push_back({kProvisionDevice, node_.provision->why_not()});
  return all;
}

void Driver::told_by_kubelet(const std::string& refusal) {
  if (refusal.empty())
    log::info("registered with the kubelet", {{"driver", kDriver}});
  else
    log::error("the kubelet refuses the driver", {{"driver", kDriver}, {"reason", refusal}});
  {
    std::lock_guard lock(mutex_);
    refusal_ = refusal.empty() ? "" : "the kubelet refuses the driver: " + refusal;
  }
  woken_ = true;
  wake_.ring();
}

void Driver::set_not_ready(const std::string& why) {
  std::lock_guard lock(mutex_);
  if (!why.empty() && why != not_ready_) log::warn("not ready", {{"reason", why}});
  if (why.empty() && !not_ready_.empty()) log::info("nothing is in the way any more");
  not_ready_ = why;
}

bool Driver::wait(int stop, milliseconds pause) {
  watch_.arm(sockets_.folder);
  pollfd alarms[] = {{stop, POLLIN, 0}, {wake_.fd(), POLLIN, 0}, {watch_.fd(), POLLIN, 0}};
  ::poll(alarms, 3, static_cast<int>(watch_.patience(pause).count()));
  wake_.hear();
  watch_.drain();
  return alarms[0].revents != 0;
}

}  // namespace enclayer::dra
