// SPDX-License-Identifier: Apache-2.0
// Serves the driver to the kubelet, on one unix socket in plugins_registry/: the Registration service, by which the
// kubelet's plugin watcher asks who is there; DRAPlugin v1, by which claims are prepared; DRAResourceHealth v1 and
// v1alpha1, by which it hears what the devices are worth.
//
// A call that prepares has a thread for as long as it waits for the API server. A kubelet that has kMostCalls open on its
// connection sends more only when some are answered, so that none is refused.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "dra/preparation.h"
#include "dra/resource_claim.h"
#include "enclayer/error.h"

namespace enclayer::dra {

inline constexpr int kMostCalls = 16;

struct DeviceHealth {
  std::string device;
  std::string why_not;  // empty: it can be used

  bool operator==(const DeviceHealth&) const = default;
};

class PluginServer {
 public:
  using Prepared = Result<std::vector<PreparedDevice>>;

  // Called in any thread, several at a time.
  struct Driver {
    std::function<std::vector<Prepared>(const std::vector<ClaimName>&)> prepare;  // one for each claim, in their order
    std::function<Result<>(const ClaimName&)> unprepare;
    std::function<std::vector<DeviceHealth>()> health;
    std::function<std::int64_t()> now;  // seconds since 1970
    // What the kubelet's plugin watcher says of us: empty when we are registered, otherwise why not.
    std::function<void(const std::string& refusal)> told;
  };

  // Serves from now on; the kubelet finds us when the socket appears. The socket's folder has to be there.
  static Result<std::unique_ptr<PluginServer>> serve(const std::string& pool, const std::filesystem::path& socket,
                                                     Driver driver);

  // Ends the health streams, waits for the calls that run, removes the socket.
  virtual ~PluginServer() = default;

  // The devices are looked at, and the kubelet is told, also where nothing has changed. Without that it is told every
  // kHealthPeriod.
  virtual void tell_health() = 0;

  static constexpr int kHealthPeriod = 30, kHealthTimeout = 90;  // seconds; later news count as unknown
};

}  // namespace enclayer::dra
