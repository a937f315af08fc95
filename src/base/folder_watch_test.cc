// SPDX-License-Identifier: Apache-2.0
#include "base/folder_watch.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <functional>

#include "base/wakeup.h"
#include "fake/temp_folder.h"

namespace enclayer::base {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

bool rings(int fd) {
  pollfd alarm{fd, POLLIN, 0};
  return ::poll(&alarm, 1, 0) == 1;
}

TEST(Wakeup, rings_until_it_is_heard_however_often_it_was_rung) {
  Wakeup wakeup;
  EXPECT_FALSE(rings(wakeup.fd()));
  wakeup.ring();
  wakeup.ring();
  EXPECT_TRUE(rings(wakeup.fd()));
  wakeup.hear();
  EXPECT_FALSE(rings(wakeup.fd()));
  wakeup.hear();  // does not wait
}

TEST(FolderWatch, rings_when_something_comes_into_the_folder) {
  fake::TempFolder folder;
  FolderWatch watch;
  watch.arm(folder.path());
  EXPECT_FALSE(rings(watch.fd()));
  folder.write("file", "");
  EXPECT_TRUE(rings(watch.fd()));
  watch.drain();
  EXPECT_FALSE(rings(watch.fd()));
}

TEST(FolderWatch, folder_that_is_not_there_is_heard_when_it_comes) {
  fake::TempFolder folder;
  FolderWatch watch;
  watch.arm(folder.path() / "a/b");
  EXPECT_FALSE(watch.blind()) << "its parent is watched";
  EXPECT_EQ(watch.patience(30s), 30s);
  fs::create_directories(folder.path() / "a/b");
  EXPECT_TRUE(rings(watch.fd()));
}

// In a process of its own, whose user namespace has that many inotify watches. What it exits with; 77 when that cannot
// be had here.
int exit_code_with_watches(int watches, const std::function<int()>& body) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (::unshare(CLONE_NEWUSER) != 0) ::_exit(77);
    std::ofstream limit("/proc/sys/user/max_inotify_watches");
    limit << watches << std::flush;
    ::_exit(limit ? body() : 77);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(FolderWatch, is_blind_while_there_are_no_watches_left_and_says_so) {
  fake::TempFolder folder;
  fs::create_directory(folder.path() / "other");
  const int code = exit_code_with_watches(1, [&] {
    FolderWatch watch;
    watch.arm(folder.path());
    if (watch.blind()) return 1;
    watch.arm(folder.path() / "other");
    if (!watch.blind() || watch.patience(30s) != 1s || watch.patience(5ms) != 5ms) return 2;
    watch.arm(folder.path());
    if (!watch.blind()) return 3;  // one that can be watched does not heal another
    fs::remove(folder.path() / "other");
    watch.arm(folder.path() / "other");  // its parent will do, which is watched
    return watch.blind() ? 4 : 0;
  });
  if (code == 77) GTEST_SKIP() << "no user namespace with limits of its own can be had here";
  EXPECT_EQ(code, 0);
}

}  // namespace
}  // namespace enclayer::base
