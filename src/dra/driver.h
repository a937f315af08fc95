// SPDX-License-Identifier: Apache-2.0
// The driver's life on a node: the slice that says what there is, the kubelet that takes us, the claims that it has
// prepared. In this order, so that a cluster or a runtime in which claims would be given wrongly never gets a driver.
//
// One thread looks after it: whenever the kubelet says something, when our socket's folder or our slices change, and at
// growing distances up to 10 s. A kubelet that starts removes the slices of its node, maybe after it has taken us: so from
// then on it is looked again after 0.5 s, 1 s, 2 s. Claims are prepared in threads of their own.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/folder_watch.h"
#include "base/metrics.h"
#include "base/wakeup.h"
#include "device_plugin/node.h"
#include "dra/api_client.h"
#include "dra/node_devices.h"
#include "dra/plugin_server.h"
#include "dra/preparation.h"
#include "dra/slice_publisher.h"
#include "dra/slice_watch.h"
#include "enclayer/error.h"
#include "http/account_client.h"
#include "kubelet/plugin_sockets.h"

namespace enclayer::dra {

class Driver {
 public:
  struct Surroundings {
    std::filesystem::path kubelet_dir, cdi, slots;  // absolute
    http::ApiServer api;
    bool force_cdi = false;             // whatever the container runtime is
    std::function<std::int64_t()> now;  // seconds since 1970
  };

  Driver(device_plugin::Node node, NodeDevices devices, Surroundings around);

  // Until `stop` is readable. An API server that is away is waited for. kUnsupported: the container runtime may pass CDI
  // over, the cluster drops what the slice says, or the ledger is of a newer version. Other errors are those of files,
  // folders and this node's name at the start.
  Result<> run(int stop);

  // Empty when the kubelet has us, the slice is right and the devices can be used. Any thread.
  std::string not_ready() const;

  // Before a page of metrics: what claims can have, and what they hold. Any thread.
  void measure(base::Metrics& metrics) const;

 private:
  Result<> begin();
  Result<> look();
  Result<> serve();
  std::vector<PluginServer::Prepared> prepare(const std::vector<ClaimName>& claims);
  Result<> unprepare(const ClaimName& claim);
  Preparation::Claims claims() const;  // one client for all that is asked
  std::vector<DeviceHealth> health() const;
  void told_by_kubelet(const std::string& refusal);
  void set_not_ready(const std::string& why);
  bool wait(int stop, std::chrono::milliseconds pause);  // whether `stop` is readable

  const device_plugin::Node node_;
  const NodeDevices devices_;
  const Surroundings around_;
  const kubelet::PluginSockets sockets_;
  const Preparation preparation_;
  std::atomic<unsigned> failed_prepares_ = 0, failed_releases_ = 0;  // claims
  SlicePublisher publisher_;
  bool published_ = false;  // once

  base::FolderWatch watch_;
  base::Wakeup wake_;
  std::atomic<bool> woken_ = false;  // by the kubelet
  mutable std::mutex mutex_;         // for these two
  std::string not_ready_, refusal_;
  std::vector<DeviceHealth> told_;  // to the kubelet
  std::filesystem::path socket_;
  std::unique_ptr<PluginServer> server_;  // it calls the others
  std::unique_ptr<SliceWatch> slices_;    // so does this, from the first slice on
};

}  // namespace enclayer::dra
