// SPDX-License-Identifier: Apache-2.0
// One resource that a node offers through the kubelet: what its name is, how many devices there are, and what a
// container finds inside that was given some of them. A program that offers several resources has several of these.
#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "enclayer/error.h"
#include "kubelet/device_list.h"

namespace enclayer::kubelet {

struct DeviceNode {
  std::string container_path;
  std::string host_path;    // as the kubelet and the container runtime see it, whatever the plugin itself sees
  std::string permissions;  // some of "r", "w", "m"
};

struct Mount {
  std::string container_path;
  std::string host_path;
  bool read_only = true;
};

// What one container is given.
struct Grant {
  std::map<std::string, std::string> envs;
  std::vector<Mount> mounts;
  std::vector<DeviceNode> devices;
  std::vector<std::string> cdi_devices;  // "vendor.example/class=name"; a runtime without CDI takes no notice of them
};

struct Plugin {
  std::string resource;  // a name of base/resource_names.h
  DeviceList devices;

  // `devices`: indices of the list, at least one, each once. The kubelet remembers the answer and gives it to the
  // container again when that restarts, so the same devices have to get the same answer and mounts have to stay valid.
  // It is called in the thread of the resource's server, and no pod starts on the node while it runs.
  std::function<Result<Grant>(std::span<const std::size_t> devices)> allocate;
};

}  // namespace enclayer::kubelet
