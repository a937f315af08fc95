// SPDX-License-Identifier: Apache-2.0
#include "helper/pulse.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include "fake/listen.h"
#include "fake/temp_folder.h"
#include "net/unix_socket.h"

namespace enclayer::helper {
namespace {

using namespace std::chrono_literals;

class PulseTest : public testing::Test {
 protected:
  bool rings(std::chrono::milliseconds timeout) {
    pollfd waited{pulse_.fd(), POLLIN, 0};
    return ::poll(&waited, 1, static_cast<int>(timeout.count())) > 0;
  }
  void answer() {
    if (!server_) server_ = fake::accept_from(listener_);
    char question[64];
    ASSERT_GT(::recv(server_.get(), question, sizeof question, 0), 0);
    ASSERT_EQ(::send(server_.get(), "x", 1, 0), 1);
  }

  fake::TempFolder folder_;
  std::filesystem::path path_ = folder_.path() / "socket";
  base::UniqueFd listener_ = fake::listen_at(path_).value(), server_;
  Pulse pulse_{{folder_.path() / "missing", path_}};
  Pulse::Moment now_{1h};
};

TEST_F(PulseTest, one_that_answers_is_never_silent_and_is_asked_once_a_second) {
  for (int second = 0; second < 20; ++second) {
    pulse_.look(now_);
    answer();
    EXPECT_TRUE(rings(20s));
    pulse_.look(now_ + 1ms);
    EXPECT_FALSE(pulse_.is_silent(now_ + 1ms));
    now_ += 1s;
  }
}

TEST_F(PulseTest, one_that_answers_nothing_for_five_seconds_is_silent_also_when_it_never_accepts) {
  for (int second = 0; second < 5; ++second) {
    pulse_.look(now_);
    EXPECT_FALSE(pulse_.is_silent(now_));
    now_ += 1s;
  }
  EXPECT_TRUE(pulse_.is_silent(now_));
  pulse_.restart();
  EXPECT_FALSE(pulse_.is_silent(now_)) << "another instance serves";
}

TEST_F(PulseTest, one_that_ends_hangs_up_at_once_and_is_not_silent_but_gone) {
  pulse_.look(now_);
  answer();
  EXPECT_TRUE(rings(20s));
  pulse_.look(now_);
  EXPECT_FALSE(rings(0ms));
  server_.reset();
  listener_.reset();
  EXPECT_TRUE(rings(20s));
  pulse_.look(now_ += 60s);
  EXPECT_FALSE(pulse_.is_silent(now_));
  EXPECT_EQ(pulse_.fd(), -1);
}

TEST_F(PulseTest, connection_that_was_closed_while_it_was_idle_is_made_again) {
  pulse_.look(now_);
  answer();
  EXPECT_TRUE(rings(20s));
  pulse_.look(now_);
  server_.reset();
  EXPECT_TRUE(rings(20s));
  pulse_.look(now_ += 1s);
  answer();
  EXPECT_TRUE(rings(20s));
  pulse_.look(now_ += 10s);
  EXPECT_FALSE(pulse_.is_silent(now_));
}

}  // namespace
}  // namespace enclayer::helper
