// Serves one resource to the kubelet, on a unix socket of its own (device plugin API v1beta1, the DevicePlugin
// service).
#pragma once

#include <filesystem>
#include <functional>
#include <memory>

#include "base/metrics.h"
#include "enclayer/error.h"
#include "kubelet/plugin.h"

namespace enclayer::kubelet {

// The most that a request may have, in bytes. All 262,408 devices in one AllocateRequest are 1.3 MB.
inline constexpr int kMaxRequestBytes = 8 << 20;

class PluginServer {
 public:
  // Serves from now on. `changed` is called, in threads of gRPC, whenever a list stream has got its list or has ended.
  // `plugin` and `metrics` outlive the server. The socket's folder has to be there; a socket's path has room for 107
  // bytes.
  static Result<std::unique_ptr<PluginServer>> serve(const Plugin& plugin, const std::filesystem::path& socket,
                                                     base::Metrics& metrics, std::function<void()> changed);

  // Ends the list streams, waits for the calls that run (at most a second, then they are cancelled), removes the
  // socket.
  virtual ~PluginServer() = default;

  // ListAndWatch streams that have been sent the list and are still open. The kubelet has one.
  virtual int watchers() const = 0;

  // Whether any stream has been sent the list, open or not.
  virtual bool was_listed() const = 0;
};

}  // namespace enclayer::kubelet
