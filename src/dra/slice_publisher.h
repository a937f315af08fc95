// SPDX-License-Identifier: Apache-2.0
// Keeps the node's ResourceSlice in the API server what it should be: made where it is missing (a kubelet that starts
// removes all slices of its node), mended where it differs, alone where an older version left others of ours.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "dra/api_client.h"
#include "dra/node_devices.h"
#include "dra/resource_slice.h"
#include "enclayer/error.h"

namespace enclayer::dra {

// Of the API server: the slices of our driver on a node, as a list.
std::string slices_path(const std::string& node);

class SlicePublisher {
 public:
  // A new client for each errand.
  using Api = std::function<Result<ApiClient>()>;

  explicit SlicePublisher(Api api) : api_(std::move(api)) {}

  // Looks, and writes what is not as it should be. Two instances that do it at a time write the same. kUnsupported:
  // this cluster drops fields without which EPC would be given wrongly; the slice is gone again, and the message names
  // the first field. Other errors are the API server's, and may be over at the next try.
  Result<> sync(const NodeDevices& devices);

 private:
  Result<> write(ApiClient& api, const NodeDevices& devices, const SeenSlice* there);

  const Api api_;
  std::uint64_t generation_ = 0;  // the highest that was seen or written: schedulers may remember it
};

}  // namespace enclayer::dra
