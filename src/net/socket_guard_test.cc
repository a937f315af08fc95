#include "net/socket_guard.h"

#include <gtest/gtest.h>

#include "base/bytes.h"
#include "fake/temp_folder.h"
#include "net/unix_socket.h"

namespace enclayer::net {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

class SocketGuardTest : public testing::Test {
 protected:
  Result<SocketClaim> take(const char* state = "state", bool replace = false) {
    return SocketClaim::take(path_, folder_.path() / state, replace);
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
  SocketGuard guard_{claim_, [this](base::UniqueFd listener) { served_.push_back(std::move(listener)); }, metrics_};
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
  fs::remove(path_);
  fs::create_directory(path_);
  for (int second : {0, 1, 2, 3}) EXPECT_TRUE(look_at(std::chrono::seconds(second)));
  EXPECT_TRUE(counted(1));
  fs::remove(path_);
  EXPECT_TRUE(look_at(5s));
  EXPECT_FALSE(is_ours()) << "the pause after the second try is four seconds";
  EXPECT_TRUE(look_at(6s));
  EXPECT_TRUE(is_ours());
  EXPECT_TRUE(counted(1));
}

TEST_F(SocketGuardTest, instance_of_another_state_folder_is_fought) {
  auto other = take("other", true).value();
  EXPECT_TRUE(look_at(0s));
  EXPECT_TRUE(is_ours());
  EXPECT_FALSE(other.lost()->succeeded);
}

}  // namespace
}  // namespace enclayer::net
