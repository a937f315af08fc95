// SPDX-License-Identifier: Apache-2.0
#include "helper/signals.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <thread>

namespace enclayer::helper {
namespace {

using namespace std::chrono_literals;

constexpr auto kPatience = 20s;

// ctest starts a process for each test.
class SignalsTest : public testing::Test {
 protected:
  SignalsTest() { catch_signals(60s); }
  static int sent(int number) {
    ::kill(::getpid(), number);
    return wait_for_end(kPatience);
  }
};

TEST_F(SignalsTest, nothing_ends_it_by_itself_and_an_alarm_ends_only_the_waiting) {
  EXPECT_EQ(wait_for_end(1ms), 0);
  int alarm = ::eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
  auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(wait_for_end(kPatience, {-1, alarm}), 0);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, kPatience);
}

TEST_F(SignalsTest, hangup_is_said_once_and_goes_on) {
  EXPECT_FALSE(reload_wanted());
  for (int times = 0; times < 2; ++times) {
    EXPECT_EQ(sent(SIGHUP), 0);
    EXPECT_TRUE(reload_wanted());
    EXPECT_FALSE(reload_wanted());
  }
}

TEST_F(SignalsTest, terminate_ends_it_and_stays_said) {
  EXPECT_EQ(sent(SIGTERM), SIGTERM);
  EXPECT_EQ(wait_for_end(0ms), SIGTERM);
}

TEST_F(SignalsTest, interrupt_ends_it) { EXPECT_EQ(sent(SIGINT), SIGINT); }

TEST_F(SignalsTest, what_hangs_does_not_keep_the_process_from_ending) {
  EXPECT_EXIT(
      {
        catch_signals(1s);
        ::raise(SIGTERM);
        while (true) ::pause();
      },
      testing::ExitedWithCode(0), "");
}

TEST_F(SignalsTest, second_one_ends_the_process_at_once) {
  EXPECT_EXIT(
      {
        ::raise(SIGTERM);
        ::raise(SIGINT);
      },
      testing::KilledBySignal(SIGINT), "");
}

}  // namespace
}  // namespace enclayer::helper
