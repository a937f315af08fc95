// SPDX-License-Identifier: Apache-2.0
// Rings when the ResourceSlices of our driver on this node change: a kubelet that starts removes them, and so may people.
// A watch is a request that lasts, so a thread of its own waits for it.
#pragma once

#include <functional>
#include <string>
#include <thread>

#include "base/wakeup.h"
#include "enclayer/error.h"
#include "http/account_client.h"

namespace enclayer::dra {

class SliceWatch {
 public:
  // Calls `changed` in its thread: at the start, within a second or so of each change, and now and then for nothing.
  SliceWatch(http::ApiServer api, const std::string& node, std::function<void()> changed);
  ~SliceWatch();

 private:
  void run() const;
  Result<> wait() const;
  Result<std::string> list() const;  // its version

  const http::ApiServer api_;
  const std::string path_;
  const std::function<void()> changed_;
  const base::Wakeup stop_;
  std::thread thread_;  // last: it uses the others
};

}  // namespace enclayer::dra
