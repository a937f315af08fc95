// SPDX-License-Identifier: Apache-2.0
// Honest clients of quote helpers' sockets that ask all the time, for tests in which nobody may notice anything.
#pragma once

#include <atomic>
#include <chrono>
#include <filesystem>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "aesm/client.h"
#include "base/hex.h"
#include "fake/aesm_frames.h"
#include "net/frame_client.h"
#include "net/unix_socket.h"
#include "quoting/quote_source.h"
#include "sim/enclave.h"

namespace enclayer::fake {

// Four of them, a connection for each request, one socket after the other. With a target, every eighth request is for a
// quote.
class Load {
 public:
  static constexpr std::chrono::seconds kPatience{30};

  // A client goes on after a failure only where failures are `expected`, as soon as somebody listens again.
  Load(std::vector<std::filesystem::path> sockets, std::optional<quoting::QuoteTarget> target, bool expected = false)
      : sockets_(std::move(sockets)), expected_(expected), cheap_(aesm_body("quote_ex-num.req")) {
    if (target) quote_ = aesm::quote_request(sim::ereport(sim::enclave_body({}), target->qe), 8192, std::nullopt);
    for (std::size_t i = 0; i < 4; ++i) clients_.emplace_back([this, i] { run(i); });
  }
  ~Load() { stop(); }

  // Waits until as many more have been served; false where that takes too long.
  bool more(int requests) {
    auto deadline = std::chrono::steady_clock::now() + kPatience;
    int enough = served_ + requests;
    while (served_ < enough && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
    return served_ >= enough;
  }
  int served() const { return served_; }
  std::vector<std::string> failures() {
    stop();
    return failures_;
  }

 private:
  void run(std::size_t client) {
    for (std::size_t i = client; !stop_; ++i) {
      bool quote = i % 8 == 0 && !quote_.empty();
      auto got = net::call(sockets_[i % sockets_.size()], quote ? quote_ : cheap_, kPatience);
      if (got && (!quote || aesm::read_quote_reply(*got, false))) {
        ++served_;
        continue;
      }
      {
        std::lock_guard lock(mutex_);
        failures_.push_back(sockets_[i % sockets_.size()].string() + ": " +
                            (got ? base::to_hex(*got) : got.error().message()));
      }
      if (!expected_) return;
      while (!stop_ && !net::connect_to(sockets_[i % sockets_.size()], std::chrono::seconds(1)))
        std::this_thread::yield();
    }
  }
  void stop() {
    stop_ = true;
    for (std::thread& client : clients_) client.join();
    clients_.clear();
  }

  const std::vector<std::filesystem::path> sockets_;
  const bool expected_;
  const Bytes cheap_;
  Bytes quote_;
  std::atomic<bool> stop_ = false;
  std::atomic<int> served_ = 0;
  std::mutex mutex_;
  std::vector<std::string> failures_;
  std::vector<std::thread> clients_;
};

}  // namespace enclayer::fake
