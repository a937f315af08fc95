// SPDX-License-Identifier: Apache-2.0
#include "helper/guard.h"

#include <gtest/gtest.h>
#include <poll.h>

#include "base/bytes.h"
#include "fake/listen.h"
#include "fake/temp_folder.h"
#include "net/unix_socket.h"

namespace enclayer::helper {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using fake::listen_at;

class SocketGuardTest : public testing::Test {
 protected:
  Result<SocketClaim> take(const char* state = "state", bool replace = false) {
    return SocketClaim::take(path_, folder_.path() / state, {.replace = replace});
  }
  bool look_at(std::chrono::seconds second) { return guard_.look(begin_ + second); }
  void replace_by_a_stranger() {
    fs::remove(path_);
    strangers_.push_back(listen_at(path_).value());
  }
  bool is_ours() { return !claim_.lost(); }
  bool counted(int times) {
    std::string line = "enclayer_socket_replaced_total " + std::to_string(times) + "\n";
    return metrics_.text().find(line) != std::string::npos;
  }

  fake::TempFolder folder_;
  fs::path path_ = folder_.path() / "aesm.socket";
  base::Metrics metrics_;
  SocketClaim claim_ = take().value();
  std::vector<base::UniqueFd> served_, strangers_;
  SocketGuard guard_{claim_,
                     {path_},
                     [this](base::UniqueFd listener) { served_.push_back(std::move(listener)); },
                     SocketGuard::Succeeded::kEnds,
                     metrics_};
  const SocketGuard::Moment begin_ = std::chrono::steady_clock::now();
};

TEST_F(SocketGuardTest, nothing_is_done_while_the_path_is_ours) {
  EXPECT_TRUE(look_at(0s));
  EXPECT_TRUE(look_at(1s));
  EXPECT_TRUE(served_.empty());
  EXPECT_EQ(metrics_.text().find("enclayer_socket_replaced_total"), std::string::npos);
}

TEST_F(SocketGuardTest, socket_that_was_replaced_or_removed_is_taken_back_at_once_counted_and_served) {
  replace_by_a_stranger();
  EXPECT_TRUE(look_at(0s));
  EXPECT_TRUE(is_ours());
  EXPECT_TRUE(counted(1));
  ASSERT_EQ(served_.size(), 1u);
  fs::remove(path_);
  EXPECT_TRUE(look_at(1000s));
  EXPECT_TRUE(is_ours());
  EXPECT_TRUE(counted(2));
  EXPECT_EQ(served_.size(), 2u);
}

TEST_F(SocketGuardTest, newer_instance_is_served_beside_for_a_second_and_never_fought) {
  auto successor = take().value();
  EXPECT_TRUE(look_at(5s));
  EXPECT_TRUE(guard_.look(begin_ + 5999ms));
  EXPECT_FALSE(look_at(6s));
  fs::remove(path_);
  EXPECT_FALSE(look_at(7s));
  EXPECT_FALSE(fs::exists(path_));
  EXPECT_TRUE(served_.empty());
  EXPECT_EQ(metrics_.text().find("enclayer_socket_replaced_total"), std::string::npos);
}

TEST_F(SocketGuardTest, pauses_between_two_fights_grow_and_begin_anew_after_ten_calm_minutes) {
  std::chrono::seconds at{0}, pause{0};
  for (int expected : {0, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300}) {
    replace_by_a_stranger();
    pause = 0s;
    while (look_at(at) && !is_ours()) ++at, ++pause;
    EXPECT_EQ(pause.count(), expected);
  }
  at += 600s;
  for (int expected : {0, 2}) {
    replace_by_a_stranger();
    pause = 0s;
    while (look_at(at) && !is_ours()) ++at, ++pause;
    EXPECT_EQ(pause.count(), expected);
  }
  EXPECT_TRUE(counted(13));
}

TEST_F(SocketGuardTest, what_cannot_be_taken_back_is_counted_once_and_tried_again) {
  fs::path state = folder_.path() / "state", away = folder_.path() / "away";
  fs::remove(path_);
  fs::rename(state, away);
  for (int second : {0, 1, 2, 3}) EXPECT_TRUE(look_at(std::chrono::seconds(second)));
  EXPECT_TRUE(counted(1));
  EXPECT_FALSE(guard_.ours());
  fs::remove_all(state);
  fs::rename(away, state);
  EXPECT_TRUE(look_at(5s));
  EXPECT_FALSE(is_ours()) << "the pause after the second try is four seconds";
  EXPECT_TRUE(look_at(6s));
  EXPECT_TRUE(is_ours());
  EXPECT_TRUE(guard_.ours());
  EXPECT_TRUE(counted(1));
}

TEST_F(SocketGuardTest, folder_in_the_sockets_place_is_moved_aside) {
  fs::remove(path_);
  fs::create_directory(path_);
  EXPECT_TRUE(look_at(0s));
  EXPECT_TRUE(is_ours());
  EXPECT_TRUE(counted(1));
}

// One that waits when it was succeeded, and those after it.
class WaitingGuardTest : public testing::Test {
 protected:
  SocketClaim take(const std::string& instance) {
    return SocketClaim::take(path_, folder_.path() / "state", {.instance = instance}).value();
  }
  bool look() { return guard_.look(at_ += 1s); }
  bool shows(const std::string& line) { return metrics_.text().find("\n" + line + "\n") != std::string::npos; }

  fake::TempFolder folder_;
  fs::path path_ = folder_.path() / "aesm.socket";
  base::Metrics metrics_;
  SocketClaim claim_ = take("old");
  std::vector<base::UniqueFd> served_;
  SocketGuard guard_{claim_,
                     {path_},
                     [this](base::UniqueFd listener) { served_.push_back(std::move(listener)); },
                     SocketGuard::Succeeded::kWaits,
                     metrics_};
  SocketGuard::Moment at_ = std::chrono::steady_clock::now();
};

TEST_F(WaitingGuardTest, it_waits_while_the_newer_one_answers_and_serves_again_as_soon_as_that_is_gone) {
  EXPECT_TRUE(shows("enclayer_socket_ours 1"));
  std::optional<SocketClaim> newer = take("new");
  for (int second = 0; second < 5; ++second) EXPECT_TRUE(look());
  EXPECT_TRUE(guard_.waits());
  EXPECT_TRUE(served_.empty());
  EXPECT_TRUE(shows("enclayer_socket_ours 0"));

  newer.reset();
  EXPECT_TRUE(look());
  EXPECT_FALSE(guard_.waits());
  EXPECT_EQ(claim_.lost(), std::nullopt);
  EXPECT_EQ(served_.size(), 1u);
  EXPECT_TRUE(shows("enclayer_socket_ours 1"));
  EXPECT_TRUE(shows("enclayer_socket_resumed_total 1"));
}

TEST_F(WaitingGuardTest, it_gives_way_each_time_that_the_newer_one_is_back) {
  for (int times = 1; times <= 3; ++times) {
    auto newer = std::make_optional(take("new"));
    EXPECT_TRUE(look());
    EXPECT_TRUE(guard_.waits());
    newer.reset();
    EXPECT_TRUE(look());
    EXPECT_FALSE(guard_.waits());
  }
  EXPECT_TRUE(shows("enclayer_socket_resumed_total 3"));
  EXPECT_EQ(metrics_.text().find("enclayer_socket_replaced_total"), std::string::npos) << "taken for a fight";
}

TEST_F(WaitingGuardTest, what_is_in_the_sockets_place_when_the_newer_one_is_gone_is_moved_aside) {
  { auto newer = take("new"); }
  EXPECT_TRUE(look());
  fs::remove(path_);
  fs::create_directory(path_);
  EXPECT_TRUE(look());
  EXPECT_FALSE(guard_.waits());
}

TEST_F(WaitingGuardTest, one_that_hangs_is_succeeded_after_five_seconds_and_waits_when_it_wakes_up) {
  SocketClaim hanging = take("new");
  base::UniqueFd listener = hanging.take_listener();  // the kernel connects, nobody answers
  EXPECT_TRUE(look());
  ASSERT_TRUE(guard_.waits());
  int seconds = 0;
  while (guard_.waits() && seconds < 20) look(), ++seconds;
  EXPECT_GE(seconds, 5);
  EXPECT_LE(seconds, 8);
  SocketGuard woken(
      hanging, {path_}, [this](base::UniqueFd fd) { served_.push_back(std::move(fd)); }, SocketGuard::Succeeded::kWaits,
      metrics_);
  EXPECT_TRUE(woken.look(at_));
  EXPECT_FALSE(woken.waits()) << "it is the newer one, and an older one serves";
}

TEST_F(WaitingGuardTest, alarm_rings_when_the_one_that_serves_is_gone) {
  auto newer = std::make_optional(take("new"));
  EXPECT_EQ(guard_.alarm(), -1);
  EXPECT_TRUE(look());
  EXPECT_TRUE(look());
  pollfd alarm{guard_.alarm(), POLLIN, 0};
  ASSERT_GE(alarm.fd, 0);
  EXPECT_EQ(::poll(&alarm, 1, 0), 0);
  newer.reset();
  EXPECT_EQ(::poll(&alarm, 1, 20'000), 1);
  EXPECT_TRUE(guard_.look(at_));
  EXPECT_FALSE(guard_.waits());
}

TEST_F(WaitingGuardTest, one_that_waits_from_its_start_is_given_its_first_socket) {
  auto newer = std::make_optional(take("new"));
  SocketClaim again = take("old");
  ASSERT_TRUE(again.waits());
  SocketGuard guard(
      again, {path_}, [this](base::UniqueFd listener) { served_.push_back(std::move(listener)); },
      SocketGuard::Succeeded::kWaits, metrics_);
  EXPECT_TRUE(guard.waits());
  EXPECT_TRUE(guard.look(at_));
  EXPECT_TRUE(served_.empty());
  newer.reset();
  EXPECT_TRUE(guard.look(at_));
  EXPECT_EQ(served_.size(), 1u);
  EXPECT_EQ(again.lost(), std::nullopt);
}

TEST_F(SocketGuardTest, instance_of_another_state_folder_is_fought) {
  auto other = take("other", true).value();
  EXPECT_TRUE(look_at(0s));
  EXPECT_TRUE(is_ours());
  EXPECT_FALSE(other.lost()->succeeded);
}

}  // namespace
}  // namespace enclayer::helper
