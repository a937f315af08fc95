// SPDX-License-Identifier: Apache-2.0
// The sockets that a plugin leaves in a folder of the kubelet's: each begun under a name of its own, so that an old
// instance and a new one never take each other's; swept up when the one that served it was killed.
#pragma once

#include <filesystem>
#include <string>

#include "enclayer/error.h"

namespace enclayer::kubelet {

// Where the kubelet's plugin watcher looks, below the kubelet's folder. It passes over names that begin with a dot.
inline constexpr auto kWatchedFolder = "plugins_registry";

struct PluginSockets {
  std::filesystem::path folder;
  std::string stem;  // what the names begin with, "enclayer.sgx_epc.1a2b3c4d"

  // "<stem>.<8 random hexadecimal digits>.sock"
  std::filesystem::path fresh() const;

  // kInvalidArgument where a unix socket has no room for such a path.
  Result<> check_path() const;

  // Why no socket can be made: the disk is full, the mount read-only. gRPC says only that it cannot listen.
  Result<> check_room() const;

  // Removes those that nobody serves any more. Only for who holds a lock against other instances: somebody else's
  // socket might be about to be served.
  void remove_dead() const;
};

// 0 when somebody accepts connections there, otherwise the errno.
int connect_error(const std::filesystem::path& socket);

}  // namespace enclayer::kubelet
