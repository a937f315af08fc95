// SPDX-License-Identifier: Apache-2.0
#include "sgx/kernel_log.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "fake/temp_folder.h"

namespace enclayer::sgx {
namespace {

using News = KernelLog::News;

const std::vector<EpcSection> kEpc = {{0x180000000, 0x40000000}, {0x4000000000, 0x100000}};

constexpr auto kLeak =
    "4,1017,5140900,-;EREMOVE returned 13 (0xd) and an EPC page was leaked. SGX may become unusable. Refer to "
    "Documentation/arch/x86/sgx.rst for more information.\n";

class KernelLogTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(made_ == 0 && writer_); }
  void write(const std::string& text) {
    ASSERT_EQ(::write(writer_.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  News news_of(const std::string& text) {
    write(text);
    return log_.read_new();
  }

  fake::TempFolder folder_;
  std::filesystem::path path_ = folder_.path() / "kmsg";
  int made_ = ::mkfifo(path_.c_str(), 0600);
  KernelLog log_ = KernelLog::open(path_, kEpc).value();
  base::UniqueFd writer_{::open(path_.c_str(), O_WRONLY | O_CLOEXEC)};
};

TEST_F(KernelLogTest, leaks_are_counted_since_the_last_call) {
  EXPECT_EQ(log_.read_new(), (News{}));
  EXPECT_EQ(news_of(std::string("6,339,5140900,-;sgx: EPC section 0x180000000-0x1bfffffff\n") + kLeak +
                    " SUBSYSTEM=acpi\n DEVICE=+acpi:PNP0A03:00\n" + kLeak),
            (News{2, 0, 0}));
  EXPECT_EQ(log_.read_new(), (News{}));
}

TEST_F(KernelLogTest, memory_errors_count_only_within_the_epc) {
  const std::string mce = "0,1,1,-;mce: Uncorrected hardware memory error in user-access at ";
  EXPECT_EQ(news_of(mce + "17ffffff8\n" + mce + "1c0000000\n" + mce + "4000100000\n" + mce + "0\n"), (News{}));
  EXPECT_EQ(news_of(mce + "180000000\n" + mce + "1bffffff8\n" + mce + "40000ff000\n"), (News{0, 3, 0}));
  EXPECT_EQ(news_of("3,1,1,-;Memory failure: 0x1a0000: recovery action for reserved kernel page: Ignored\n"
                    "3,1,1,-;Memory failure: 0x17ffff: unhandlable page.\n"),
            (News{0, 1, 0}));
}

TEST_F(KernelLogTest, a_page_that_is_named_several_times_counts_once) {
  EXPECT_EQ(news_of("0,1,1,-;mce: Uncorrected hardware memory error in user-access at 180001040\n"
                    "3,2,1,-;Memory failure: 0x180001: Sending SIGBUS to app:4711 due to hardware memory corruption\n"
                    "3,3,1,-;Memory failure: 0x180001: already hardware poisoned\n"),
            (News{0, 1, 0}));
}

TEST_F(KernelLogTest, what_user_space_writes_there_does_not_count) {
  std::string as_user = kLeak;
  as_user[0] = '9';  // facility 1
  EXPECT_EQ(news_of(as_user + "12,1,1,-;Memory failure: 0x180001: x\n" +
                    "4294967295,1,1,-;EREMOVE returned 1 (0x1) and "
                    "an EPC page was leaked\n"),
            (News{}));
}

TEST_F(KernelLogTest, lines_that_are_no_records_or_say_something_else_count_nothing) {
  EXPECT_EQ(news_of("\n;\n4\n4,\n4;EREMOVE returned 1 (0x1) and an EPC page was leaked\n"
                    " 4,1,1,-;EREMOVE returned 1 (0x1) and an EPC page was leaked\n"
                    "-4,1,1,-;EREMOVE returned 1 (0x1) and an EPC page was leaked\n"
                    "4,1,1,-;EREMOVE returned 1 (0x1)\n4,1,1,-;and an EPC page was leaked. EREMOVE returned 1\n"
                    "4,1,1,- EREMOVE returned 1 (0x1) and an EPC page was leaked\n"
                    "4,1,1,-;Memory failure: 0x: x\n4,1,1,-;Memory failure: 0x180001 x\n"
                    "4,1,1,-;Memory failure: 0x10000000000180001: x\n"
                    "4,1,1,-;mce: Uncorrected hardware memory error in user-access at zz\n"),
            (News{}));
}

TEST_F(KernelLogTest, a_record_that_comes_in_two_parts_is_put_together_and_an_endless_one_dropped) {
  std::string leak = kLeak;
  EXPECT_EQ(news_of(leak.substr(0, 40)), (News{}));
  EXPECT_EQ(news_of(leak.substr(40)), (News{1, 0, 0}));
  for (int i = 0; i < 4; ++i) EXPECT_EQ(news_of(std::string(30'000, 'x')), (News{}));
  EXPECT_EQ(news_of("\n" + leak), (News{1, 0, 0}));
}

TEST_F(KernelLogTest, one_call_reads_no_more_than_it_is_told) {
  std::string text;
  while (text.size() < 40'000) text += kLeak;
  write(text);
  auto all = static_cast<std::uint64_t>(std::count(text.begin(), text.end(), '\n'));
  std::uint64_t first = log_.read_new(1).leaks;
  EXPECT_GT(first, 0u);
  EXPECT_LT(first, all);
  EXPECT_EQ(first + log_.read_new().leaks, all);
}

TEST(KernelLogFile, a_log_that_is_not_there_or_not_ours_says_what_is_not_counted) {
  auto log = KernelLog::open("/nowhere/kmsg", {});
  ASSERT_FALSE(log);
  EXPECT_EQ(log.error().kind(), ErrorKind::kNotFound);
  EXPECT_THAT(log.error().message(), testing::HasSubstr("CAP_SYSLOG"));
}

TEST(KernelLogFile, the_kernels_own_log_can_be_read_to_its_end) {
  auto log = KernelLog::open("/dev/kmsg", kEpc);
  if (!log) GTEST_SKIP() << log.error().message();
  log->read_new(1'000'000);
  EXPECT_EQ(log->read_new().leaks, 0u);
}

}  // namespace
}  // namespace enclayer::sgx
