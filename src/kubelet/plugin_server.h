// SPDX-License-Identifier: Apache-2.0
// Serves one resource to the kubelet, on a unix socket of its own: the DevicePlugin service of the device plugin API
// v1beta1, and the Registration service (pluginregistration v1) by which the kubelet's plugin watcher asks a socket
// that it finds who it is. A device plugin that registers by itself is never asked.
//
// One thread of ours, which sleeps while nobody calls.
//
// What a client may do to us, and where it ends. (The socket's folder is for root alone, so every client is root.)
//   connects and says nothing, or not enough      disconnected after 10 s
//   begins a call and sends half a request,       keeps its call until it goes; kMaxCalls at a time, 64 of them on one
//   or does not read the answer                   connection, the next is refused with RESOURCE_EXHAUSTED
//   sends a long request                          kMaxRequestBytes, decompression is off
//   opens many connections                        not bounded but by the process's limit of descriptors
// None of them holds up the destructor.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>

#include "base/metrics.h"
#include "enclayer/error.h"
#include "kubelet/allocate.h"
#include "kubelet/plugin.h"

namespace enclayer::kubelet {

// Calls that one server has open at a time, the kubelet's list stream among them. A kubelet has two.
inline constexpr std::size_t kMaxCalls = 64;

class PluginServer {
 public:
  struct Events {
    // Whenever a list stream has got its first list, or has ended.
    std::function<void()> changed;
    // What the kubelet's plugin watcher says of us: empty when we are registered, otherwise why not.
    std::function<void(const std::string& refusal)> watcher_told;
  };

  // Serves from now on. Events are called in the server's thread; they must not wait. `plugin` and `metrics` outlive
  // the server. The socket's folder has to be there; a socket's path has room for 107 bytes.
  static Result<std::unique_ptr<PluginServer>> serve(const Plugin& plugin, const std::filesystem::path& socket,
                                                     base::Metrics& metrics, Events events);

  // Ends the list streams, waits for the calls that run (at most a second, then they are cancelled), removes the
  // socket.
  virtual ~PluginServer() = default;

  // Every open stream is sent this list, and so is every stream to come. A stream that is still being sent a list gets
  // only the newest one after it. Until the first call the list is `plugin.devices`. From any thread.
  virtual void update(DeviceList devices) = 0;

  // ListAndWatch streams that have been sent the list and are still open. The kubelet has one.
  virtual int watchers() const = 0;

  // Whether any stream has been sent the list, open or not.
  virtual bool was_listed() const = 0;
};

}  // namespace enclayer::kubelet
