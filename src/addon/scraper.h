// SPDX-License-Identifier: Apache-2.0
// Asks daemons for their figures in turn, in the background, by `kubectl exec`: a NetworkPolicy keeps everybody else from
// the port of their metrics, and the container may ask itself.
//
//   Scraper scraper(*api, interval, Turns::kWhileLive);
//   scraper.ask(daemons_of(cluster, settings));     // again whenever the cluster has changed
//   ... scraper.said() ...                          // what is known so far; nobody who is slow or silent is waited for
//   api->stop();                                    // before the Scraper goes: ends what is under way
//
// An exec costs the API server 12 ms of a processor (measured with 1.36.3), and the machine here a process. Who looks on
// may cost 1 % of a processor. So there are few of them a second, however many daemons there are; on a large cluster a
// turn takes its time, and those that are looked at come sooner.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "addon/api_server.h"
#include "addon/cluster.h"
#include "addon/figures.h"
#include "manifests/settings.h"

namespace enclayer::addon {

// A daemon's pod, and where its processes serve their metrics.
struct Daemon {
  std::string name_space, pod, node, app;
  std::vector<std::string> containers, addresses;  // one of each a process: "quote-helper", "[10.0.0.3]:9410"
  std::string full_name() const { return name_space + "/" + pod; }
};

// nullopt: the pod is none of our daemons', does not run, has no address yet, or serves nothing (enclayer-detect).
std::optional<Daemon> daemon_of(const Pod& pod, const Cluster& cluster, const manifests::Settings& settings);
// Asks a process of it for "/metrics" or "/readyz"; what it says is the call's output.
Call probe(const Daemon& daemon, std::size_t process, const std::string& path);

// The quote helpers, and, where they may look, the device plugins, that run in the add-on's namespace: those first on whose nodes most pods hold
// what they have figures of.
std::vector<Daemon> daemons_of(const Cluster& cluster, const manifests::Settings& settings);

// Whose turn it is: whoever was asked longest ago, and every second time among those that are looked at.
class Turns {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // So many may be taken at once at first, and then so many a second: while somebody looks on, for as long as that is;
  // for one picture.
  static constexpr int kAtOnceAtFirst = 64, kForOnePicture = 4;
  static constexpr double kWhileLive = 0.5;
  static constexpr std::chrono::seconds kPause{30}, kLongestPause{480};  // after a failure; doubled with each

  // Who answers is asked again after `interval`.
  Turns(std::chrono::seconds interval, double a_second) : interval_(interval), a_second_(a_second) {}

  // Who there is to be asked. What others have said is forgotten. `looked_at`: nodes.
  void set(std::vector<Daemon> daemons, const std::set<std::string>& looked_at);

  // Takes a turn; nullptr: nobody's before `when`.
  struct Next {
    const Daemon* daemon = nullptr;
    Time when{};
  };
  Next next(Time now);
  // Ends it, with what came of it; of a daemon that is not asked any more that is nothing.
  void done(const std::string& full_name, Result<Look> look, Time now);

  const std::map<std::string, Said>& said() const { return said_; }  // by full name; of those who had their turn
  bool all_said_twice() const;                                       // or have said that they cannot

 private:
  struct Place {
    Daemon daemon;
    bool is_looked_at = false;
    std::optional<Time> asked;  // when its last turn began
    Time due{};                 // not before that
    bool under_way = false;
    std::chrono::seconds pause = kPause;
  };

  const std::chrono::seconds interval_;
  const double a_second_;
  std::vector<Place> places_;
  std::map<std::string, Said> said_;
  double allowance_ = kAtOnceAtFirst;
  std::optional<Time> counted_;  // when the allowance was
  bool others_ = false;          // the next turn is of those that are not looked at
};

class Scraper {
 public:
  // A pod has so long to answer.
  static constexpr std::chrono::seconds kPatience{5};

  // `api` outlives it, and was stopped when this goes: it waits for what is under way.
  Scraper(const ApiServer& api, std::chrono::seconds interval, double a_second);
  Scraper(const Scraper&) = delete;
  ~Scraper();

  void ask(std::vector<Daemon> daemons, const std::set<std::string>& looked_at = {});
  std::map<std::string, Said> said() const;
  // Until everybody has said something twice, or that they cannot, but so long at most: then false.
  bool wait(std::chrono::steady_clock::duration longest);

 private:
  void run();

  const ApiServer& api_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  Turns turns_;
  bool ends_ = false;
  std::vector<std::jthread> threads_;
};

}  // namespace enclayer::addon
