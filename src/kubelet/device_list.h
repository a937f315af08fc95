// SPDX-License-Identifier: Apache-2.0
// The devices of one resource, kept as the bytes that the kubelet is sent: an encoded ListAndWatchResponse. Encoding
// 262,144 devices as objects would take 80 MB and half a second; the bytes are 4 MB and made once.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "enclayer/bytes.h"
#include "enclayer/error.h"

namespace enclayer::kubelet {

// The kubelet reads with grpc-go's default limit and has no setting for it (kubernetes#109305, #127049). One byte more
// breaks the stream and takes the whole resource away.
inline constexpr std::size_t kMaxListBytes = 4'194'304;

class DeviceList {
 public:
  // `count` healthy devices without topology, named by DeviceId. kExhausted when the list would not fit into
  // kMaxListBytes.
  static Result<DeviceList> of(std::size_t count);

  // The same with NUMA hints: the first per_node[0] devices belong to node 0, the next per_node[1] to node 1, ... A
  // hint takes 4 bytes on node 0 (proto3 leaves the zero out), 6 on the nodes up to 127.
  static Result<DeviceList> of_numa(std::span<const std::size_t> per_node);

  // The same devices, none of them usable now: each is Unhealthy, which keeps them in the node's capacity and tells the
  // pods that hold them. "Unhealthy" takes 2 bytes more than "Healthy"; where they do not fit into kMaxListBytes, the
  // list is empty, which makes the resource 0 as well.
  DeviceList lost() const;

  // Bytes that a list of `count` healthy devices without hints takes: 13 and the ID's length for each.
  static std::size_t encoded_size(std::size_t count);

  // The most devices that fit: 262,408 without hints.
  static std::size_t max_count();

  // Also of devices that are lost: their IDs stay known.
  std::size_t count() const { return count_; }
  bool healthy() const { return healthy_; }
  const std::shared_ptr<const Bytes>& bytes() const { return bytes_; }

  // Which device has this ID; nullopt when none in this list has.
  std::optional<std::size_t> index_of(std::string_view id) const;

 private:
  DeviceList(std::size_t count, std::vector<std::size_t> per_node, bool healthy);

  std::size_t count_;
  std::vector<std::size_t> per_node_;  // empty without hints
  bool healthy_;
  std::shared_ptr<const Bytes> bytes_;
};

}  // namespace enclayer::kubelet
