// SPDX-License-Identifier: Apache-2.0
// The usage of a cluster, kept up to date while somebody looks: what changes in the cluster is watched, and daemons are
// asked in turn, both in the background. now() is at once, whoever is slow.
#pragma once

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>

#include "addon/api_server.h"
#include "addon/cluster.h"
#include "addon/scraper.h"
#include "addon/usage.h"
#include "manifests/settings.h"

namespace enclayer::addon {

class LiveUsage {
 public:
  // All is read anew so often, because not all of it is watched; and so often where nothing may be watched.
  static constexpr std::chrono::seconds kAnew{600}, kUnwatched{60};

  struct Pace {
    std::chrono::seconds interval;  // how often the same daemon is asked, at most, and the cluster watched
    double a_second;                // how many daemons are asked: Turns::kWhileLive, kForOnePicture; 0: none may be
  };
  // `cluster` was read just now. `api` outlives it, and is of no use after it.
  LiveUsage(const ApiServer& api, Cluster cluster, const manifests::Settings& settings, Pace pace);
  LiveUsage(const LiveUsage&) = delete;
  ~LiveUsage();

  Usage now() const;
  // Daemons of these nodes are asked sooner.
  void look_at(std::set<std::string> nodes);
  // As Scraper::wait().
  bool wait(std::chrono::steady_clock::duration longest) { return scraper_.wait(longest); }

 private:
  void run();
  void ask();  // with mutex_ locked

  const ApiServer& api_;
  const manifests::Settings settings_;
  const Pace pace_;
  mutable std::mutex mutex_;
  std::condition_variable ending_;
  bool ends_ = false;
  std::shared_ptr<const Cluster> cluster_;
  std::chrono::steady_clock::time_point as_of_;
  std::string trouble_;  // why it is not newer
  std::set<std::string> looked_at_;
  std::size_t daemons_ = 0;
  Scraper scraper_;
  std::jthread thread_;
};

}  // namespace enclayer::addon
