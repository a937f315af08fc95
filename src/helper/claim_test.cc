// SPDX-License-Identifier: Apache-2.0
#include "helper/claim.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <future>
#include <set>

#include "base/bytes.h"
#include "fake/listen.h"
#include "fake/temp_folder.h"
#include "net/unix_socket.h"

namespace enclayer::helper {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using fake::listen_at;
using net::connect_to;

class SocketClaimTest : public testing::Test {
 protected:
  SocketClaimTest() { ::umask(0); }  // as main() does

  Result<SocketClaim> take(bool replace = false) { return SocketClaim::take(path_, state_, {.replace = replace}); }
  SocketClaim start(const std::string& instance) {
    return SocketClaim::take(path_, state_, {.instance = instance}).value();
  }
  bool somebody_answers() { return connect_to(path_, 5s).has_value(); }
  // Nothing but the socket may be in its folder: no temporary name is left.
  std::ptrdiff_t names_beside_the_socket() { return std::distance(fs::directory_iterator(path_.parent_path()), {}); }

  fake::TempFolder folder_;
  fs::path path_ = folder_.path() / "run" / "aesm.socket", state_ = folder_.path() / "state";
};

TEST_F(SocketClaimTest, socket_is_there_for_everybody_and_folders_are_made) {
  auto claim = take().value();
  struct stat found {};
  ASSERT_EQ(::lstat(path_.c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 07777, 0666u);
  ASSERT_EQ(::stat(path_.parent_path().c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 07777, 0755u);
  EXPECT_TRUE(somebody_answers());
  EXPECT_EQ(names_beside_the_socket(), 1);
  EXPECT_EQ(claim.generation(), 1u);
  EXPECT_EQ(claim.lost(), std::nullopt);
}

TEST_F(SocketClaimTest, socket_behind_which_nobody_listens_is_replaced) {
  { auto dead = listen_at((fs::create_directories(path_.parent_path()), path_)).value(); }
  ASSERT_FALSE(somebody_answers());
  auto claim = take();
  ASSERT_TRUE(claim) << claim.error().message();
  EXPECT_TRUE(somebody_answers());
  EXPECT_EQ(names_beside_the_socket(), 1);
}

TEST_F(SocketClaimTest, stranger_who_answers_is_left_in_peace_and_named) {
  fs::create_directories(path_.parent_path());
  auto stranger = listen_at(path_).value();
  struct stat before {
  }, after{};
  ASSERT_EQ(::lstat(path_.c_str(), &before), 0);
  auto claim = take();
  ASSERT_FALSE(claim);
  EXPECT_EQ(claim.error().kind(), ErrorKind::kConflict);
  EXPECT_NE(claim.error().message().find("process " + std::to_string(::getpid()) + " already answers"),
            std::string::npos)
      << claim.error().message();
  ASSERT_EQ(::lstat(path_.c_str(), &after), 0);
  EXPECT_EQ(before.st_ino, after.st_ino);
  EXPECT_EQ(names_beside_the_socket(), 1);
}

TEST_F(SocketClaimTest, stranger_is_replaced_when_told_to) {
  fs::create_directories(path_.parent_path());
  auto stranger = listen_at(path_).value();
  auto claim = take(true);
  ASSERT_TRUE(claim) << claim.error().message();
  EXPECT_EQ(claim->lost(), std::nullopt);
}

TEST_F(SocketClaimTest, somebody_who_listens_but_is_stuck_still_owns_the_path) {
  fs::create_directories(path_.parent_path());
  auto stuck = listen_at(path_).value();
  ASSERT_EQ(::listen(stuck.get(), 0), 0);
  auto first = connect_to(path_, 5s).value();  // fills the queue
  ASSERT_EQ(connect_to(path_, 1ms).error().kind(), ErrorKind::kTimedOut);
  EXPECT_EQ(take().error().kind(), ErrorKind::kConflict);
  EXPECT_TRUE(take(true));
}

TEST_F(SocketClaimTest, own_previous_instance_is_succeeded_and_knows_it) {
  auto old = take().value();
  auto successor = take();
  ASSERT_TRUE(successor) << successor.error().message();
  EXPECT_EQ(successor->generation(), 2u);
  EXPECT_EQ(successor->lost(), std::nullopt);
  EXPECT_EQ(old.lost(),
            (SocketClaim::Loss{true, "another instance has taken over, pid " + std::to_string(::getpid())}));
  EXPECT_EQ(names_beside_the_socket(), 1);
}

TEST_F(SocketClaimTest, connections_made_before_the_handover_still_reach_the_old_instance) {
  auto old = take().value();
  auto connection = connect_to(path_, 5s).value();
  auto successor = take().value();
  auto old_listener = old.take_listener(), new_listener = successor.take_listener();
  ::fcntl(old_listener.get(), F_SETFL, O_NONBLOCK);
  ::fcntl(new_listener.get(), F_SETFL, O_NONBLOCK);
  EXPECT_GE(::accept(old_listener.get(), nullptr, nullptr), 0) << "it was lost";
  EXPECT_LT(::accept(new_listener.get(), nullptr, nullptr), 0);
  auto later = connect_to(path_, 5s).value();
  EXPECT_GE(::accept(new_listener.get(), nullptr, nullptr), 0);
}

TEST_F(SocketClaimTest, stranger_at_the_path_of_our_last_instance_is_still_a_stranger) {
  { auto old = take().value(); }
  fs::remove(path_);
  auto stranger = listen_at(path_).value();  // perhaps with the same inode number
  EXPECT_EQ(take().error().kind(), ErrorKind::kConflict);
}

TEST_F(SocketClaimTest, instance_of_another_state_folder_is_a_stranger) {
  auto old = take().value();
  EXPECT_EQ(SocketClaim::take(path_, folder_.path() / "other", {}).error().kind(), ErrorKind::kConflict);
  auto replaced = SocketClaim::take(path_, folder_.path() / "other", {.replace = true}).value();
  EXPECT_EQ(old.lost(), (SocketClaim::Loss{false, "somebody put another socket there"}));
}

TEST_F(SocketClaimTest, instance_that_may_only_read_the_state_folder_knows_that_it_was_succeeded) {
  auto old = take().value();
  auto successor = take().value();
  EXPECT_EQ(fs::status(state_ / "sockets").permissions(), fs::perms(0644));
  fs::remove(state_ / "lock");
  fs::create_directory(state_ / "lock");  // which cannot be opened for writing, not even by user 0
  EXPECT_TRUE(old.lost()->succeeded);
}

TEST_F(SocketClaimTest, removed_socket_is_noticed) {
  auto claim = take().value();
  fs::remove(path_);
  EXPECT_EQ(claim.lost(), (SocketClaim::Loss{false, "the socket was removed"}));
}

TEST_F(SocketClaimTest, socket_is_taken_back_from_a_stranger_and_stays_on_record) {
  auto claim = take().value();
  auto first = claim.take_listener();
  fs::remove(path_);
  auto stranger = listen_at(path_).value();
  ASSERT_TRUE(claim.lost());
  auto second = claim.take_back();
  ASSERT_TRUE(second) << second.error().message();
  EXPECT_EQ(claim.lost(), std::nullopt);
  EXPECT_EQ(claim.generation(), 1u);
  EXPECT_EQ(names_beside_the_socket(), 1);
  ::fcntl(second->get(), F_SETFL, O_NONBLOCK);
  auto client = connect_to(path_, 5s).value();
  EXPECT_GE(base::UniqueFd(::accept(second->get(), nullptr, nullptr)).get(), 0);
  EXPECT_EQ(take()->generation(), 2u) << "not known as the predecessor";
}

TEST_F(SocketClaimTest, socket_that_was_removed_with_its_folder_is_put_there_again) {
  auto claim = take().value();
  fs::remove_all(path_.parent_path());
  auto again = claim.take_back();
  ASSERT_TRUE(again) << again.error().message();
  EXPECT_EQ(claim.lost(), std::nullopt);
  EXPECT_TRUE(somebody_answers());
}

TEST_F(SocketClaimTest, socket_is_never_taken_back_from_a_newer_instance_not_even_when_its_socket_is_gone) {
  auto old = take().value();
  auto successor = take().value();
  for (bool removed : {false, true}) {
    if (removed) fs::remove(path_);
    EXPECT_TRUE(old.lost()->succeeded);
    auto refused = old.take_back();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind(), ErrorKind::kConflict);
    EXPECT_NE(refused.error().message().find("another instance has taken over"), std::string::npos);
  }
  EXPECT_TRUE(successor.take_back());
}

TEST_F(SocketClaimTest, what_took_our_place_and_is_no_socket_is_moved_aside_and_kept) {
  auto claim = take().value();
  auto put = [&](int what) {
    fs::remove(path_);
    if (what == 0)
      ASSERT_TRUE(base::write_file_atomic(path_, base::as_bytes("precious"), 0600));
    else if (what == 1)
      fs::create_directories(path_ / "full");
    else
      fs::create_symlink("/dev/null", path_);
  };
  for (int what : {0, 1, 2}) {
    put(what);
    EXPECT_TRUE(claim.lost());
    auto again = claim.take_back();
    ASSERT_TRUE(again) << again.error().message();
    EXPECT_EQ(claim.lost(), std::nullopt);
    EXPECT_TRUE(somebody_answers());
  }
  std::set<std::string> kept;
  for (const auto& entry : fs::directory_iterator(path_.parent_path())) {
    if (entry.path() == path_) continue;
    EXPECT_TRUE(entry.path().filename().string().starts_with("aesm.socket.moved-aside.")) << entry.path();
    if (entry.is_symlink())
      kept.insert("link");
    else if (entry.is_directory())
      kept.insert(fs::exists(entry.path() / "full") ? "folder" : "another folder");
    else
      kept.insert(base::read_text(entry.path(), 100).value());
  }
  EXPECT_EQ(kept, (std::set<std::string>{"precious", "folder", "link"}));
}

// A successor has renamed its socket, and not yet written that it did.
TEST_F(SocketClaimTest, instance_that_is_just_starting_is_waited_for_and_not_taken_for_a_stranger) {
  auto old = take().value();
  std::string before = base::read_text(state_ / "sockets", 4096).value();
  auto successor = take().value();
  std::string after = base::read_text(state_ / "sockets", 4096).value();
  auto starting = base::lock_file(state_ / "lock").value();
  ASSERT_TRUE(base::write_file_atomic(state_ / "sockets", base::as_bytes(before), 0600));
  auto loss = std::async(std::launch::async, [&] { return old.lost(); });
  EXPECT_EQ(loss.wait_for(100ms), std::future_status::timeout) << loss.get()->reason;
  ASSERT_TRUE(base::write_file_atomic(state_ / "sockets", base::as_bytes(after), 0600));
  starting.reset();
  EXPECT_TRUE(loss.get()->succeeded);
}

TEST_F(SocketClaimTest, two_paths_of_one_state_folder_do_not_disturb_each_other) {
  auto one = take().value();
  fs::path second = folder_.path() / "run" / "second one.socket";
  auto two = SocketClaim::take(second, state_, {}).value();
  EXPECT_EQ(two.generation(), 1u);
  EXPECT_EQ(one.lost(), std::nullopt);
  EXPECT_EQ(SocketClaim::take(second, state_, {})->generation(), 2u);
  EXPECT_EQ(take()->generation(), 2u);
}

TEST_F(SocketClaimTest, what_is_not_a_socket_is_moved_aside_at_the_start_too) {
  fs::create_directories(path_.parent_path());
  fs::create_directory(path_);
  auto claim = take();
  ASSERT_TRUE(claim) << claim.error().message();
  EXPECT_TRUE(somebody_answers());
  EXPECT_EQ(names_beside_the_socket(), 2);
}

TEST_F(SocketClaimTest, damaged_record_makes_the_predecessor_a_stranger_and_does_no_harm) {
  auto old = take().value();
  ASSERT_TRUE(base::write_file_atomic(state_ / "sockets", base::as_bytes("1 2 three\n\n4 5 6 7 8\n"), 0600));
  EXPECT_EQ(take().error().kind(), ErrorKind::kConflict);
  EXPECT_EQ(take(true)->generation(), 1u);
}

// ---- Instances with names ----

TEST_F(SocketClaimTest, instance_that_is_started_again_is_as_old_as_it_was) {
  { EXPECT_EQ(start("a").generation(), 1u); }
  { EXPECT_EQ(start("b").generation(), 2u); }
  { EXPECT_EQ(start("a").generation(), 1u); }
  { EXPECT_EQ(take().value().generation(), 3u) << "one without a name is newer than all"; }
  { EXPECT_EQ(start("c").generation(), 4u); }
  EXPECT_EQ(start("b").generation(), 2u);
}

TEST_F(SocketClaimTest, older_instance_that_is_started_again_waits_while_the_newer_one_answers) {
  { auto old = start("old"); }
  auto newer = std::make_optional(start("new"));
  auto again = start("old");
  EXPECT_TRUE(again.waits());
  EXPECT_FALSE(again.take_listener());
  EXPECT_EQ(newer->lost(), std::nullopt);
  EXPECT_EQ(again.resume().value(), std::nullopt);

  newer.reset();
  auto listener = again.resume();
  ASSERT_TRUE(listener && *listener);
  EXPECT_FALSE(again.waits());
  EXPECT_EQ(again.lost(), std::nullopt);
  EXPECT_TRUE(somebody_answers());
  EXPECT_EQ(names_beside_the_socket(), 1);
}

TEST_F(SocketClaimTest, newer_instance_that_is_back_takes_the_path_from_the_older_one_again) {
  auto old = start("old");
  { auto newer = start("new"); }
  auto listener = old.resume();
  ASSERT_TRUE(listener && *listener);
  auto newer = start("new");
  EXPECT_FALSE(newer.waits());
  EXPECT_TRUE(old.lost()->succeeded);
  EXPECT_EQ(old.resume().value(), std::nullopt);
}

TEST_F(SocketClaimTest, instance_that_leaves_is_succeeded_by_an_older_one_while_it_still_answers) {
  auto old = start("old");
  auto newer = start("new");
  EXPECT_EQ(old.resume().value(), std::nullopt);
  ASSERT_TRUE(newer.leave());
  EXPECT_EQ(newer.lost(), std::nullopt) << "it has to be served until somebody comes";
  auto listener = old.resume();
  ASSERT_TRUE(listener && *listener);
  EXPECT_TRUE(newer.lost());
  EXPECT_EQ(old.lost(), std::nullopt);
}

TEST_F(SocketClaimTest, one_that_leaves_after_it_was_succeeded_says_nothing) {
  auto old = start("old");
  auto newer = start("new");
  ASSERT_TRUE(old.leave());
  EXPECT_EQ(old.resume().value(), std::nullopt);
}

TEST_F(SocketClaimTest, newer_of_two_that_wait_gets_the_path_in_the_end) {
  auto one = start("one"), two = start("two");
  { auto three = start("three"); }
  auto first = one.resume(), second = two.resume();
  ASSERT_TRUE(first && *first);
  ASSERT_TRUE(second && *second) << "an older one serves";
  EXPECT_TRUE(one.lost()->succeeded);
  EXPECT_EQ(one.resume().value(), std::nullopt);
}

TEST_F(SocketClaimTest, second_one_of_the_same_name_is_a_standby) {
  auto first = std::make_optional(start("same"));
  auto second = start("same");
  EXPECT_TRUE(second.waits());
  EXPECT_EQ(second.resume().value(), std::nullopt);
  EXPECT_EQ(first->lost(), std::nullopt);
  first.reset();
  auto listener = second.resume();
  ASSERT_TRUE(listener && *listener);
  auto again = start("same");
  EXPECT_TRUE(again.waits()) << "who serves goes on serving";
  EXPECT_EQ(second.lost(), std::nullopt);
}

TEST_F(SocketClaimTest, one_that_lives_and_is_silent_is_succeeded_when_nobody_else_was_faster) {
  auto hangs = start("same");
  auto second = start("same"), third = start("same");
  auto silent = second.on_record();
  EXPECT_EQ(second.resume().value(), std::nullopt) << "it can be connected to";
  auto listener = second.resume(silent);
  ASSERT_TRUE(listener && *listener);
  EXPECT_TRUE(hangs.lost()->succeeded) << "when it wakes up";
  EXPECT_EQ(third.resume(silent).value(), std::nullopt) << "it is the second one that serves now";
}

TEST_F(SocketClaimTest, beacon_tells_who_is_gone_where_somebody_else_sits_at_the_path) {
  fs::path beacon = folder_.path() / "beacon";
  auto with_beacon = [&] { return SocketClaim::take(path_, state_, {.instance = "same", .beacon = beacon}).value(); };
  auto first = std::make_optional(with_beacon());
  auto lit = std::make_optional(listen_at(beacon).value());
  auto second = with_beacon();
  EXPECT_TRUE(second.waits());
  fs::remove(path_);
  auto stranger = listen_at(path_).value();
  EXPECT_EQ(second.resume().value(), std::nullopt);
  first.reset();
  lit.reset();
  auto listener = second.resume();
  ASSERT_TRUE(listener && *listener);
  EXPECT_EQ(second.lost(), std::nullopt);
}

TEST_F(SocketClaimTest, names_that_would_not_fit_into_a_line_are_refused_and_old_ones_forgotten) {
  for (const std::string& name : {std::string("a b"), std::string("a\nb"), std::string("/"), std::string(65, 'a')})
    EXPECT_EQ(SocketClaim::take(path_, state_, {.instance = name}).error().kind(), ErrorKind::kInvalidArgument) << name;
  for (int i = 0; i < 100; ++i) start("instance-" + std::to_string(i));
  EXPECT_LT(base::read_text(state_ / "instances", 1 << 20)->size(), 32 * (path_.native().size() + 20));
  EXPECT_EQ(start("instance-99").generation(), 100u);
  EXPECT_EQ(start("instance-0").generation(), 101u) << "remembered for ever";
}

// Killed between the rename and the record: what is on record is the older one's, and nobody answers.
TEST_F(SocketClaimTest, newer_instance_that_was_killed_before_it_was_on_record_is_put_right) {
  auto old = start("old");
  std::string before = base::read_text(state_ / "sockets", 4096).value();
  { auto newer = start("new"); }
  ASSERT_TRUE(base::write_file_atomic(state_ / "sockets", base::as_bytes(before), 0644));
  ASSERT_FALSE(somebody_answers());
  EXPECT_FALSE(old.lost()->succeeded);
  EXPECT_TRUE(old.take_back());
  EXPECT_EQ(start("new").generation(), 2u);
}

TEST_F(SocketClaimTest, impossible_paths_are_refused) {
  EXPECT_EQ(SocketClaim::take("relative", state_, {}).error().kind(), ErrorKind::kInvalidArgument);
  EXPECT_EQ(SocketClaim::take("/a\nb", state_, {}).error().kind(), ErrorKind::kInvalidArgument);
  fs::path deep = folder_.path() / std::string(200, 'd') / "aesm.socket";
  EXPECT_TRUE(SocketClaim::take(deep, state_, {})) << "a folder's path may have any length";
}

}  // namespace
}  // namespace enclayer::helper
