// SPDX-License-Identifier: Apache-2.0
// A stand-in for the kubelet's device manager, for tests and for the demo. It speaks the real gRPC on real sockets, and
// copies what matters of kubelet 1.36 (pkg/kubelet/cm/devicemanager):
//   start     deletes every socket that lies directly in device-plugins/ (not in its subfolders), listens on
//             kubelet.sock
//   Register  checks version and name, then dials back (authority "localhost", 10 s) and asks for the options BEFORE it
//             replies: a plugin that registers before it serves hangs itself
//   list      opens ListAndWatch with grpc-go's receive limit of 4,194,304 bytes; each message replaces the whole set;
//             when the stream ends the devices stay as capacity, none is allocatable, and it does not call again
//   Allocate  one call a container, one container in a call, IDs picked by the kubelet
//   watcher   registers the sockets that it finds in plugins_registry/: asks each once who it is, tells it what came of
//             that, and never asks again (as kubelets before kubernetes#127457); only when it was told to watch
// It keeps its allocations over a restart, as the kubelet's checkpoint does. Safe from any thread.
//
//   fake::Kubelet kubelet(folder);                       // the plugin runs with --kubelet-dir <folder>
//   ENCLAYER_CHECK(kubelet.start());
//   ENCLAYER_CHECK(kubelet.wait_for_devices("example.com/epc", 8192, 10s));
//   ENCLAYER_TRY(auto given, kubelet.allocate("example.com/epc", 10));
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "enclayer/error.h"

namespace enclayer::fake {

class Kubelet {
 public:
  // Everything lies under `folder`, as under /var/lib/kubelet; device-plugins/ is made when it is not there.
  explicit Kubelet(std::filesystem::path folder);
  ~Kubelet();  // stop()

  Result<> start();

  // As when the process is killed: streams break, plugins are forgotten, kubelet.sock stays as a dead file.
  void stop();

  Result<> restart();

  // Before start(): also watch plugins_registry/, which is made when it is not there.
  void watch_plugins();

  // --- What the node would show ---

  struct Resource {
    std::size_t capacity = 0;     // devices in the last list
    std::size_t allocatable = 0;  // the healthy ones of them; 0 once the stream has ended
    std::size_t allocated = 0;
    int registrations = 0;   // accepted ones since this object was made, by either way
    int refusals = 0;        // those refused by refuse_registrations()
    int lists = 0;           // ListAndWatch messages since this object was made
    std::string endpoint;    // of the last one: relative to device-plugins/, or the path that the watcher found
    std::string list_error;  // why the last stream ended, empty while it runs
  };
  Resource resource(const std::string& name) const;

  // Until `enough` says yes; kTimedOut with what the resource looks like otherwise.
  Result<Resource> wait_for(const std::string& name, const std::function<bool(const Resource&)>& enough,
                            std::chrono::milliseconds timeout) const;
  Result<Resource> wait_for_devices(const std::string& name, std::size_t allocatable,
                                    std::chrono::milliseconds timeout) const;

  std::vector<std::string> device_ids(const std::string& name) const;  // of the last list, in its order
  std::set<std::string> allocated_ids(const std::string& name) const;  // those that pods have

  // --- What a pod would be given ---

  struct Device {
    std::string container_path, host_path, permissions;
  };
  struct Mount {
    std::string container_path, host_path;
    bool read_only = false;
  };
  struct Allocation {
    std::string resource;
    std::vector<std::string> ids;
    std::map<std::string, std::string> envs, annotations;
    std::vector<Device> devices;
    std::vector<Mount> mounts;
    std::vector<std::string> cdi_devices;
  };

  // Picks `count` free devices. kExhausted, naming the resource, when fewer are free (the pod would end Failed).
  Result<Allocation> allocate(const std::string& name, std::size_t count);

  // Sends exactly these IDs, whatever they are, and books nothing: what only a broken kubelet would do.
  Result<Allocation> allocate_ids(const std::string& name, const std::vector<std::string>& ids);

  // The same for a request with any number of containers, also none; one allocation for each answer.
  Result<std::vector<Allocation>> allocate_containers(const std::string& name,
                                                      const std::vector<std::vector<std::string>>& containers);

  // The pod is gone.
  void release(const Allocation& allocation);

  // --- What goes wrong ---

  // The next `times` registrations are refused with this text, the plugin having been asked what it is.
  void refuse_registrations(int times, std::string why);

  // From now on a registration takes so much longer.
  void take_time_to_register(std::chrono::milliseconds more);

  // The next `times` registrations are accepted, and no list is asked for.
  void forget_to_list(int times);

  // Ends the list stream from this side and forgets nothing else: as when somebody else registered the same resource.
  void end_list(const std::string& name);

  // Kubelets before kubernetes#135437 know a plugin by its resource alone: the end of the next list stream that ends is
  // noticed only after the resource was registered again, and then it ends the NEW stream.
  void notice_next_end_late();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace enclayer::fake
