#include "watch.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <thread>

namespace enclayer::quote_helper {
namespace {

using namespace std::chrono_literals;

constexpr auto kPatience = 20s;

// watch() in a thread of its own; the signals are sent to this process, in which no thread takes them but watch().
class WatchTest : public testing::Test {
 protected:
  WatchTest() {
    sigset_t signals = hold_signals();
    thread_ = std::thread([this, signals] {
      watch(signals, {.keep_socket = [this] { return ++looks_, ours_.load(); },
                      .look_after = [this] { ++renewals_; },
                      .reload = [this] { ++reloads_; }});
      ended_ = true;
    });
  }
  ~WatchTest() override {
    ours_ = false;
    thread_.join();
  }
  template <class Condition>
  bool becomes(Condition condition) {
    auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (!condition() && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
    return condition();
  }

  std::atomic<bool> ours_ = true, ended_ = false;
  std::atomic<int> looks_ = 0, renewals_ = 0, reloads_ = 0;
  std::thread thread_;
};

TEST_F(WatchTest, socket_and_renewals_are_looked_after_again_and_again) {
  EXPECT_TRUE(becomes([this] { return looks_ >= 2 && renewals_ >= 2; }));
  EXPECT_FALSE(ended_);
  EXPECT_EQ(reloads_, 0);
}

TEST_F(WatchTest, hangup_reloads_and_goes_on) {
  for (int times : {1, 2}) {
    ::kill(::getpid(), SIGHUP);
    EXPECT_TRUE(becomes([&] { return reloads_ == times; }));
  }
  EXPECT_FALSE(ended_);
}

TEST_F(WatchTest, terminate_ends_it) {
  ::kill(::getpid(), SIGTERM);
  EXPECT_TRUE(becomes([this] { return ended_.load(); }));
}

TEST_F(WatchTest, interrupt_ends_it) {
  ::kill(::getpid(), SIGINT);
  EXPECT_TRUE(becomes([this] { return ended_.load(); }));
}

TEST_F(WatchTest, newer_instance_ends_it) {
  ours_ = false;
  EXPECT_TRUE(becomes([this] { return ended_.load(); }));
}

}  // namespace
}  // namespace enclayer::quote_helper
