// SPDX-License-Identifier: Apache-2.0
#include "kubelet/resource_lock.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "base/file.h"
#include "fake/temp_folder.h"

namespace enclayer::kubelet {
namespace {

namespace fs = std::filesystem;

class ResourceLockTest : public testing::Test {
 protected:
  std::string refusal() const {
    auto taken = ResourceLock::take(file_);
    if (taken) return "it was taken";
    EXPECT_EQ(taken.error().kind(), ErrorKind::kConflict);
    return taken.error().message();
  }

  fake::TempFolder folder_;
  const fs::path file_ = folder_.path() / ".epc.lock";
};

TEST_F(ResourceLockTest, is_held_by_one_at_a_time_and_says_by_whom) {
  {
    auto first = ResourceLock::take(file_);
    ASSERT_TRUE(first) << first.error().message();
    EXPECT_TRUE(first->in_place());
    EXPECT_TRUE(refusal().starts_with("process " + std::to_string(::getpid()) + " on ")) << refusal();
    EXPECT_TRUE(refusal().ends_with(" holds " + file_.string())) << refusal();
  }
  EXPECT_TRUE(ResourceLock::take(file_)) << "the file that is left holds nobody off";
}

TEST_F(ResourceLockTest, file_that_was_deleted_is_no_longer_in_place_and_another_may_hold_its_successor) {
  auto first = ResourceLock::take(file_);
  ASSERT_TRUE(first);
  fs::remove(file_);
  EXPECT_FALSE(first->in_place());
  auto second = ResourceLock::take(file_);
  ASSERT_TRUE(second) << second.error().message();
  EXPECT_TRUE(second->in_place());
  EXPECT_FALSE(first->in_place());
}

TEST_F(ResourceLockTest, holder_is_shown_in_one_short_line_whatever_the_file_holds) {
  auto first = ResourceLock::take(file_);
  ASSERT_TRUE(first);
  base::UniqueFd fd(::open(file_.c_str(), O_WRONLY | O_CLOEXEC));
  std::string note = "one\ntwo\x01" + std::string(10'000, 'x');
  ASSERT_EQ(::pwrite(fd.get(), note.data(), note.size(), 0), static_cast<ssize_t>(note.size()));
  EXPECT_TRUE(refusal().starts_with("one?two?xxx")) << refusal();
  EXPECT_LT(refusal().size(), 400u);
  ASSERT_EQ(::ftruncate(fd.get(), 0), 0);
  EXPECT_TRUE(refusal().starts_with("another process holds ")) << refusal();
}

TEST_F(ResourceLockTest, link_in_its_place_is_not_followed) {
  fs::path target = folder_.path() / "target";
  fs::create_symlink(target, file_);
  auto taken = ResourceLock::take(file_);
  ASSERT_FALSE(taken);
  EXPECT_NE(taken.error().message().find(file_.string()), std::string::npos) << taken.error().message();
  EXPECT_FALSE(fs::exists(target));
}

}  // namespace
}  // namespace enclayer::kubelet
