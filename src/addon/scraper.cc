// SPDX-License-Identifier: Apache-2.0
#include "addon/scraper.h"

#include <algorithm>

#include "addon/names.h"
#include "base/metrics_page.h"
#include "base/printable.h"

namespace enclayer::addon {
namespace {

constexpr std::size_t kProcessesAtOnce = 8;  // of kubectl
constexpr std::size_t kMostTold = 300;       // bytes of why somebody cannot be asked

// Of a pod of ours, or nullopt where there is nobody to answer.
Result<Figures> ask_process(const ApiServer& api, const Daemon& daemon, std::size_t process) {
  Call call = probe(daemon, process, "/metrics");
  call.doing = "be asked";
  call.max_output = base::kMostPage;
  call.timeout = Scraper::kPatience;
  call.stop = api.stopped();
  auto answer = api.kubectl().run(call);
  if (answer) {
    auto figures = read_figures(answer->out);
    return figures ? std::move(figures) : figures.error().with_context("say what cannot be");
  }
  if (answer.error().kind() == ErrorKind::kTimedOut)
    return Error(ErrorKind::kTimedOut, "did not answer within " + std::to_string(Scraper::kPatience.count()) + " s");
  const std::string& said = answer.error().message();
  if (said.find("--probe: /metrics not in") != said.npos || said.find("not expected: --probe") != said.npos)
    return Error(ErrorKind::kUnsupported, "are of another version, which cannot be asked: enclayer update");
  return answer.error();
}

// Of the process that has the sockets where there are two; of the first that answers where none has them.
Result<Look> ask(const ApiServer& api, const Daemon& daemon, std::size_t first) {
  Result<Look> out = Error(ErrorKind::kUnavailable, "cannot be asked");
  for (std::size_t i = 0; i < daemon.containers.size(); ++i) {
    const std::size_t process = (first + i) % daemon.containers.size();
    auto figures = ask_process(api, daemon, process);
    const bool serves = figures && figures->serves.value_or(true);
    if (figures && (serves || !out))
      out = Look{std::move(*figures), std::chrono::steady_clock::now(), process};
    else if (i == 0)
      out = figures.error();
    if (serves) break;
  }
  return out;
}

}  // namespace

std::optional<Daemon> daemon_of(const Pod& pod, const Cluster& cluster, const manifests::Settings& settings) {
  if (!cluster.is_daemon(pod) || pod.app == kDetect || pod.phase != "Running" ||
      (settings.metrics && pod.address.empty()))
    return std::nullopt;
  Daemon out{pod.name_space, pod.name, pod.node, pod.app, {}, {}};
  const std::string host = settings.metrics ? "[" + pod.address + "]:" : "127.0.0.1:";
  auto add = [&](std::string_view container) {
    out.addresses.push_back(host + std::to_string(settings.metrics_port + out.containers.size()));
    out.containers.emplace_back(container);
  };
  add(pod.container());
  for (const Container& container : pod.containers)
    if (container.name == kStandby) add(kStandby);
  return out;
}

Call probe(const Daemon& daemon, std::size_t process, const std::string& path) {
  Call call;
  call.arguments = {"exec",
                    "-n",
                    daemon.name_space,
                    daemon.pod,
                    "-c",
                    daemon.containers[process],
                    "--",
                    "/usr/bin/" + daemon.app,
                    "--metrics-listen=" + daemon.addresses[process],
                    "--probe=" + path};
  return call;
}

std::vector<Daemon> daemons_of(const Cluster& cluster, const manifests::Settings& settings) {
  std::map<std::string, std::int64_t> quotes, epc;  // by node
  for (const Pod& pod : cluster.pods) {
    if (pod.ours || !pod.holds_sgx()) continue;
    quotes[pod.node] += amount(pod.requests, kQuoteResource);
    epc[pod.node] += amount(pod.requests, kEpcResource);
  }
  for (const Claim& claim : cluster.claims) epc[claim.node] += claim.mib;
  std::vector<std::pair<std::int64_t, Daemon>> found;
  for (const Pod& pod : cluster.pods)
    if (pod.app == kHelper || (pod.app == kPlugin && settings.account_mapped))
      if (auto daemon = daemon_of(pod, cluster, settings); daemon && !pod.leaving)
        found.emplace_back(pod.app == kHelper ? quotes[pod.node] : epc[pod.node], std::move(*daemon));
  std::stable_sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  std::vector<Daemon> out;
  out.reserve(found.size());
  for (auto& [held, daemon] : found) out.push_back(std::move(daemon));
  return out;
}

void Turns::set(std::vector<Daemon> daemons, const std::set<std::string>& looked_at) {
  std::map<std::string, Place> before;
  for (Place& place : places_) before[place.daemon.full_name()] = std::move(place);
  std::map<std::string, Said> said;
  places_.clear();
  for (Daemon& daemon : daemons) {
    const std::string name = daemon.full_name();
    if (const auto found = said_.find(name); found != said_.end()) said[name] = std::move(found->second);
    Place& place = places_.emplace_back(std::move(before[name]));
    place.is_looked_at = looked_at.contains(daemon.node);
    place.daemon = std::move(daemon);
  }
  said_ = std::move(said);
}

Turns::Next Turns::next(Time now) {
  const std::chrono::duration<double> a_turn(1.0 / a_second_);
  if (counted_) allowance_ = std::min<double>(kAtOnceAtFirst, allowance_ + (now - *counted_) / a_turn);
  counted_ = now;
  if (allowance_ < 1) return {nullptr, now + std::chrono::ceil<std::chrono::milliseconds>((1 - allowance_) * a_turn)};
  Next out{nullptr, Time::max()};
  Place* best[2] = {};  // of those that are looked at, and of the others
  for (Place& place : places_) {
    if (place.under_way) continue;
    out.when = std::min(out.when, place.due);
    Place*& one = best[place.is_looked_at ? 0 : 1];
    if (place.due <= now && (one == nullptr || place.asked < one->asked)) one = &place;
  }
  Place* place = best[others_ ? 1 : 0] != nullptr ? best[others_ ? 1 : 0] : best[others_ ? 0 : 1];
  if (place == nullptr) return out;
  --allowance_;
  others_ = !others_;
  place->asked = now;
  place->under_way = true;
  out.daemon = &place->daemon;
  return out;
}

void Turns::done(const std::string& full_name, Result<Look> look, Time now) {
  const auto found = std::find_if(places_.begin(), places_.end(),
                                  [&](const Place& one) { return one.daemon.full_name() == full_name; });
  if (found == places_.end()) return;
  Place& place = *found;
  place.under_way = false;
  Said& said = said_[full_name];
  said.node = place.daemon.node;
  said.app = place.daemon.app;
  said.before.reset();
  if (look) {
    if (said.now && said.now->process == look->process) said.before = std::move(said.now);
    said.now = std::move(*look);
    said.trouble.clear();
    place.pause = kPause;
    place.due = place.asked.value_or(now) + interval_;
  } else {
    said.now.reset();
    said.trouble = base::printable(look.error().message(), kMostTold);
    place.due = now + place.pause;
    place.pause = std::min(place.pause * 2, kLongestPause);
  }
}

bool Turns::all_said_twice() const {
  return said_.size() == places_.size() && std::all_of(said_.begin(), said_.end(), [](const auto& one) {
           return one.second.before || !one.second.trouble.empty();
         });
}

Scraper::Scraper(const ApiServer& api, std::chrono::seconds interval, double a_second)
    : api_(api), turns_(interval, a_second) {
  for (std::size_t i = 0; i < kProcessesAtOnce; ++i) threads_.emplace_back([this] { run(); });
}

Scraper::~Scraper() {
  {
    std::lock_guard lock(mutex_);
    ends_ = true;
  }
  changed_.notify_all();
}

void Scraper::ask(std::vector<Daemon> daemons, const std::set<std::string>& looked_at) {
  {
    std::lock_guard lock(mutex_);
    turns_.set(std::move(daemons), looked_at);
  }
  changed_.notify_all();
}

std::map<std::string, Said> Scraper::said() const {
  std::lock_guard lock(mutex_);
  return turns_.said();
}

bool Scraper::wait(std::chrono::steady_clock::duration longest) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, longest, [&] { return turns_.all_said_twice(); });
}

void Scraper::run() {
  std::unique_lock lock(mutex_);
  while (!ends_) {
    const Turns::Next next = turns_.next(std::chrono::steady_clock::now());
    if (next.daemon == nullptr) {
      if (next.when == Turns::Time::max())
        changed_.wait(lock);
      else
        changed_.wait_until(lock, next.when);
      continue;
    }
    const Daemon daemon = *next.daemon;
    const auto said = turns_.said().find(daemon.full_name());
    const std::size_t first = said != turns_.said().end() && said->second.now ? said->second.now->process : 0;
    lock.unlock();
    auto look = addon::ask(api_, daemon, first);
    lock.lock();
    turns_.done(daemon.full_name(), std::move(look), std::chrono::steady_clock::now());
    changed_.notify_all();
  }
}

}  // namespace enclayer::addon
