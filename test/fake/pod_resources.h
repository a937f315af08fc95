// SPDX-License-Identifier: Apache-2.0
// A stand-in for the kubelet's pod-resources server, on <kubelet_dir>/pod-resources/kubelet.sock. As kubelet 1.36 does,
// it sends one entry for each device. Safe from any thread.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "enclayer/error.h"

namespace enclayer::fake {

class PodResources {
 public:
  struct Container {
    std::string pod_namespace, pod, container, resource;
    std::size_t devices = 0;
    int numa_node = -1;     // of every device; negative: none is told
    std::size_t first = 0;  // the index of its first device; the others come after that one
  };

  explicit PodResources(std::filesystem::path kubelet_dir);
  ~PodResources();  // stop()

  Result<> start();
  void stop();

  // What List answers from now on. Containers of one pod stand side by side; two of the same name are one.
  void set(const std::vector<Container>& containers);

  // The same as bytes, whatever they are.
  void set_raw(std::string reply);

  // List answers no more until it is told otherwise, or the server stops.
  void hang(bool yes);

  int calls() const;  // of List, since this object was made

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace enclayer::fake
