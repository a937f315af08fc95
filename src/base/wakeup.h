// SPDX-License-Identifier: Apache-2.0
// Wakes a thread that waits in poll() or epoll, whatever else it waits for there. It rings until somebody hears it,
// however often it was rung.
#pragma once

#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>

#include "base/file.h"

namespace enclayer::base {

class Wakeup {
 public:
  Wakeup() : fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

  // Readable once it was rung; -1 where there are no descriptors left, and then errno says so.
  int fd() const { return fd_.get(); }

  // From any thread, and in a signal's handler.
  void ring() const {
    const std::uint64_t one = 1;
    [[maybe_unused]] ssize_t n = ::write(fd_.get(), &one, sizeof one);  // fails only when it rings already
  }

  // Stops the ringing.
  void hear() const {
    std::uint64_t rung = 0;
    [[maybe_unused]] ssize_t n = ::read(fd_.get(), &rung, sizeof rung);  // fails only when it does not ring
  }

 private:
  UniqueFd fd_;
};

}  // namespace enclayer::base
