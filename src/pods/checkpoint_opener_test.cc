#include "pods/checkpoint_opener.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <string>

#include "fake/temp_folder.h"
#include "pods/epc_holders.h"

namespace enclayer::pods {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using testing::HasSubstr;

class Opener : public testing::Test {
 protected:
  void write(const std::string& text) {
    auto temporary = folder_.path() / ".123";
    std::ofstream(temporary) << text;
    fs::permissions(temporary, fs::perms::owner_read | fs::perms::owner_write);
    fs::rename(temporary, path_);
  }
  static std::string content(const Result<base::UniqueFd>& file) {
    if (!file) return file.error().message();
    char text[100];
    ssize_t n = ::read(file->get(), text, sizeof text);
    return n < 0 ? "unreadable" : std::string(text, static_cast<std::size_t>(n));
  }

  fake::TempFolder folder_;
  const fs::path path_ = folder_.path() / "kubelet_internal_checkpoint";
};

TEST_F(Opener, each_call_opens_the_file_that_is_there_now) {
  auto opener = CheckpointOpener::start(path_).value();
  auto missing = opener->open();
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().kind(), ErrorKind::kNotFound);
  EXPECT_THAT(missing.error().message(), HasSubstr("mount the node's folder"));
  write("first");
  EXPECT_EQ(content(opener->open()), "first");
  write("second");
  EXPECT_EQ(content(opener->open()), "second");
}

TEST_F(Opener, the_file_is_opened_for_who_may_not_and_for_reading_only) {
  auto opener = CheckpointOpener::start(path_).value();
  write("roots own");
  const uid_t we = ::geteuid();
  if (we == 0) {
    ASSERT_EQ(::seteuid(65534), 0);
    EXPECT_FALSE(open_checkpoint(path_));
  }
  auto file = opener->open();
  if (we == 0) {
    ASSERT_EQ(::seteuid(we), 0);
  }
  EXPECT_EQ(content(file), "roots own");
  ASSERT_TRUE(file);
  EXPECT_LT(::write(file->get(), "x", 1), 0);
}

TEST_F(Opener, the_process_has_no_capability) {
  auto opener = CheckpointOpener::start(path_).value();
  EXPECT_FALSE(opener->open()) << "it has begun to serve";
  std::ifstream status("/proc/" + std::to_string(opener->pid()) + "/status");
  std::string text{std::istreambuf_iterator<char>(status), {}};
  for (const char* none : {"CapPrm:\t0000000000000000", "CapEff:\t0000000000000000", "NoNewPrivs:\t1"})
    EXPECT_THAT(text, HasSubstr(none));
}

TEST_F(Opener, when_the_process_is_lost_all_calls_fail) {
  auto opener = CheckpointOpener::start(path_).value();
  write("text");
  EXPECT_EQ(content(opener->open()), "text");
  ::kill(opener->pid(), SIGKILL);
  for (int i = 0; i < 2; ++i) {
    // It may have answered once more before it ended.
    auto file = opener->open();
    if (file && i == 0) continue;
    ASSERT_FALSE(file);
    EXPECT_EQ(file.error().kind(), ErrorKind::kUnavailable);
  }
}

TEST_F(Opener, the_process_ends_with_its_owner_and_leaves_no_zombie) {
  auto opener = CheckpointOpener::start(path_).value();
  pid_t pid = opener->pid();
  opener.reset();
  EXPECT_EQ(::kill(pid, 0), -1);
}

TEST_F(Opener, holders_are_found_through_it) {
  write(R"({"Data":{"PodDeviceEntries":[{"PodUID":"a","ResourceName":"r","DeviceIDs":{"-1":["1"]}}]}})");
  auto opener = CheckpointOpener::start(path_).value();
  EpcHolders holders([&] { return opener->open(); }, "r");
  EXPECT_TRUE(holders.holds("a", EpcHolders::Clock::time_point{1000h}).value());
  EXPECT_FALSE(holders.holds("b", EpcHolders::Clock::time_point{1000h}).value());
}

}  // namespace
}  // namespace enclayer::pods
