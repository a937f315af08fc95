// SPDX-License-Identifier: Apache-2.0
// Keeps the kubelet told what is true: which of the node's resources can be given right now.
//
// One thread looks at everything that the offers depend on, whenever something happens in their folders and every ten
// seconds besides, and sets the lists of their registrations: healthy, or lost. It looks at most ten times a second,
// however much happens in /dev.
#pragma once

#include <atomic>
#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/folder_watch.h"
#include "base/metrics.h"
#include "base/wakeup.h"
#include "device_plugin/resources.h"
#include "enclayer/error.h"
#include "kubelet/registration.h"
#include "troubles/troubles.h"

namespace enclayer::device_plugin {

class Offering {
 public:
  struct Place {
    std::filesystem::path kubelet_dir;
    kubelet::Registration::Way way;
  };

  // What is wrong by each kind that there can be; an empty sentence where nothing is.
  using Troubles = std::vector<std::pair<troubles::Kind, std::string>>;

  // Registers every offer, those that wait for their first time excepted. `at_each_look` is called in the thread, after
  // the offers were looked at, with what was seen. `metrics` outlives the offering. kConflict when another plugin on this node serves one
  // of the resources; then none is served.
  static Result<std::unique_ptr<Offering>> start(std::vector<Offer> offers, const Place& place, base::Metrics& metrics,
                                                 std::function<void(const Troubles&)> at_each_look);
  ~Offering();  // stops serving, within two seconds for each resource

  // Empty when the kubelet has the lists of all resources that it should know, and they can be given; otherwise a line
  // for each that is not so. From any thread.
  std::string not_ready() const;

 private:
  struct Resource {
    Offer offer;
    std::unique_ptr<kubelet::Registration> registration;  // none until the first time, where the offer says so
    std::optional<std::string> why_not;                   // what the kubelet was told last
  };

  Offering(std::vector<Offer> offers, Place place, base::Metrics& metrics,
           std::function<void(const Troubles&)> at_each_look);
  Result<> register_now(Resource& resource, std::string why_not);
  void show(const std::string& resource, std::size_t devices, const std::string& why_not);
  void look_at(Resource& resource);
  Troubles troubles() const;
  void run();
  void wait(std::chrono::milliseconds timeout);

  const Place place_;
  base::Metrics& metrics_;
  const std::function<void(const Troubles&)> at_each_look_;
  mutable std::mutex mutex_;  // the resources; not held while their devices are looked at
  std::vector<Resource> resources_;
  base::FolderWatch watch_;
  base::Wakeup wake_;
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

}  // namespace enclayer::device_plugin
