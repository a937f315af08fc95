// SPDX-License-Identifier: Apache-2.0
#include "addon/live_usage.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace enclayer::addon {
namespace {

using std::chrono::steady_clock;

// Of what can be watched: nodes, pods and claims. The rest is of no use here.
Cluster watched(Cluster cluster) {
  std::erase_if(cluster.versions, [](const auto& one) { return one.first.starts_with("/apis/apps/"); });
  return cluster;
}

}  // namespace

LiveUsage::LiveUsage(const ApiServer& api, Cluster cluster, const manifests::Settings& settings, Pace pace)
    : api_(api),
      settings_(settings),
      pace_(pace),
      cluster_(std::make_shared<const Cluster>(watched(std::move(cluster)))),
      as_of_(steady_clock::now()),
      scraper_(api, pace.interval, pace.a_second) {
  ask();
  thread_ = std::jthread([this] { run(); });
}

LiveUsage::~LiveUsage() {
  {
    std::lock_guard lock(mutex_);
    ends_ = true;
  }
  ending_.notify_all();
  api_.stop();
}

Usage LiveUsage::now() const {
  std::unique_lock lock(mutex_);
  const auto cluster = cluster_;
  const auto age = std::chrono::floor<std::chrono::seconds>(steady_clock::now() - as_of_);
  const std::string trouble = trouble_;
  const std::size_t daemons = daemons_;
  lock.unlock();
  Usage out = usage(*cluster, scraper_.said());
  out.daemons = daemons;
  constexpr std::size_t kNoticed = 30;
  const auto round = static_cast<std::size_t>(static_cast<double>(daemons) / Turns::kWhileLive);  // seconds
  if (pace_.a_second == Turns::kWhileLive && round > kNoticed)
    out.notes.push_back(std::to_string(daemons) + " daemons are asked in turn: what they say may be " +
                        std::to_string(round) + " s old");
  if (trouble.empty()) return out;
  out.age = age;
  out.notes.insert(out.notes.begin(),
                   "what the cluster holds is as it was " + std::to_string(age.count()) + " s ago: " + trouble);
  return out;
}

void LiveUsage::look_at(std::set<std::string> nodes) {
  std::lock_guard lock(mutex_);
  if (nodes == looked_at_) return;
  looked_at_ = std::move(nodes);
  ask();
}

void LiveUsage::ask() {
  if (pace_.a_second == 0) return;
  auto daemons = daemons_of(*cluster_, settings_);
  daemons_ = daemons.size();
  scraper_.ask(std::move(daemons), looked_at_);
}

void LiveUsage::run() {
  std::optional<ClusterWatch> watch(std::in_place, api_, *cluster_);
  auto read = steady_clock::now();
  std::string why_unwatched;  // empty: it may be watched
  std::unique_lock lock(mutex_);
  // Watching takes kWatch itself.
  while (!ending_.wait_for(lock, std::max(pace_.interval - kWatch, std::chrono::seconds(1)), [&] { return ends_; })) {
    const auto age = steady_clock::now() - read;
    if (!why_unwatched.empty() && age < kUnwatched) continue;
    lock.unlock();
    Result<> seen;
    if (!why_unwatched.empty() || age >= kAnew) {
      auto anew = read_cluster(api_, Scope::kState);
      read = steady_clock::now();
      seen = anew ? Result<>() : anew.error();
      if (anew) watch.emplace(api_, watched(*std::move(anew)));
    } else {
      seen = watch->refresh();
      if (!seen && seen.error().kind() == ErrorKind::kPermissionDenied) why_unwatched = seen.error().message();
    }
    auto cluster = std::make_shared<const Cluster>(watch->cluster());
    lock.lock();
    cluster_ = std::move(cluster);
    if (seen) as_of_ = steady_clock::now();
    trouble_ = seen ? why_unwatched : seen.error().message();
    ask();
  }
}

}  // namespace enclayer::addon
