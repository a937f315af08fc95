// SPDX-License-Identifier: Apache-2.0
// Closes descriptors that others chose, in threads of its own, one for each group that has some. The last close of a
// descriptor can take as long as its owner likes (a TCP socket with SO_LINGER): on kernels that cannot forbid clients
// to pass descriptors along, whatever may have some behind it is closed here.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/file.h"

namespace enclayer::net {

class Closer {
 public:
  // Descriptors that may wait to be closed, of all groups, before full() is true.
  static constexpr std::size_t kRoom = 512;

  // `closed` is called in a thread of the closer, after the last one of close()'s descriptors is gone.
  using Closed = std::function<void()>;

  Closer();

  void close(std::uint32_t group, std::vector<base::UniqueFd> descriptors, Closed closed = {});

  // Whether as much waits as may, and some of it is this group's: then no more is to be taken from it.
  bool full(std::uint32_t group) const;

 private:
  struct State;
  std::shared_ptr<State> state_;  // shared with the threads, which may be later than our end
};

}  // namespace enclayer::net
