// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <regex>
#include <sstream>

#include "base/file.h"
#include "base/metrics.h"

namespace enclayer::base {
namespace {

using testing::EndsWith;
using testing::HasSubstr;

TEST(Log, text_line_has_a_constant_message_and_escaped_fields) {
  EXPECT_EQ(log::format_line(log::Format::kText, log::Level::kWarn, "frame refused",
                             {{"reason", "two words"}, {"bytes", 7}, {"peer", "a\nb"}, {"kind", "short"}}),
            R"(warn  frame refused reason="two words" bytes=7 peer="a\nb" kind=short)");
}

TEST(Log, json_line_is_json_whatever_the_bytes) {
  EXPECT_EQ(log::format_line(log::Format::kJson, log::Level::kInfo, "said", {{"text", "\xff\"\n"}, {"yes", true}}),
            R"({"level":"info","message":"said","text":"\ufffd\"\n","yes":true})");
}

TEST(Log, long_values_are_cut_and_say_so) {
  std::string line =
      log::format_line(log::Format::kText, log::Level::kInfo, "said", {{"text", std::string(5000, 'x')}});
  EXPECT_LT(line.size(), 1200u);
  EXPECT_NE(line.find("cut, 5000 bytes"), std::string::npos);
}

// Standard error is something else, and the log goes there, as long as this lives. Nobody reads but the test.
class Elsewhere {
 public:
  enum Kind { kPipe, kSocket, kPipeThatCannotBeOpenedAnew, kFile };

  explicit Elsewhere(Kind kind, log::Format format = log::Format::kText) : ours_(::dup(STDERR_FILENO)) {
    int ends[2];
    if (kind == kSocket) {
      EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    } else if (kind == kFile) {
      ends[0] = ::memfd_create("log", 0);
      ends[1] = ::dup(ends[0]);
    } else {
      EXPECT_EQ(::pipe(ends), 0);
    }
    read_.reset(ends[0]);
    write_.reset(ends[1]);
    ::dup2(write_.get(), STDERR_FILENO);
    if (kind == kPipeThatCannotBeOpenedAnew) {
      ::fchmod(write_.get(), 0);
      EXPECT_TRUE(::geteuid() != 0 || ::seteuid(65534) == 0);  // root may open everything
    }
    log::setup(log::Level::kInfo, format);
    EXPECT_TRUE(::getuid() != 0 || ::seteuid(0) == 0);
    EXPECT_EQ(::fcntl(write_.get(), F_GETFL) & O_NONBLOCK, 0) << "who shares our standard error would lose lines";
  }
  ~Elsewhere() {
    ::dup2(ours_.get(), STDERR_FILENO);
    log::setup(log::Level::kInfo, log::Format::kText);
  }

  // All that is there now.
  std::string read() const {
    std::string all;
    char chunk[65536];
    ::fcntl(read_.get(), F_SETFL, ::fcntl(read_.get(), F_GETFL) | O_NONBLOCK);
    for (ssize_t n; (n = ::read(read_.get(), chunk, sizeof chunk)) > 0;) all.append(chunk, static_cast<std::size_t>(n));
    ::fcntl(read_.get(), F_SETFL, ::fcntl(read_.get(), F_GETFL) & ~O_NONBLOCK);
    return all;
  }

 private:
  UniqueFd ours_, read_, write_;
};

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

class LogNobodyReads : public testing::TestWithParam<Elsewhere::Kind> {};

TEST_P(LogNobodyReads, drops_whole_lines_counts_them_and_says_so_when_there_is_room_again) {
  constexpr std::size_t kLines = 20'000;
  Elsewhere log(GetParam());
  auto before = log::dropped_lines();
  for (std::size_t i = 0; i < kLines; ++i) log::info("said", {{"number", i}});
  auto dropped = log::dropped_lines() - before;
  EXPECT_GT(dropped, 0u);
  std::string text = log.read();
  EXPECT_THAT(text, EndsWith("\n"));
  EXPECT_EQ(lines_of(text).size() + dropped, kLines);
  EXPECT_THAT(Metrics().text(), HasSubstr("enclayer_log_lines_dropped_total " + std::to_string(before + dropped)));

  log::info("said again");
  auto more = lines_of(log.read());
  ASSERT_EQ(more.size(), 2u);
  EXPECT_THAT(more[0], EndsWith("Z warn  log lines dropped lines=" + std::to_string(dropped)));
  EXPECT_THAT(more[1], EndsWith("Z info  said again"));
  log::info("and again");
  EXPECT_EQ(lines_of(log.read()).size(), 1u) << "said once";
}

TEST_P(LogNobodyReads, begins_a_new_line_behind_one_that_was_cut) {
  Elsewhere log(GetParam());
  std::string word(1000, 'x');
  auto before = log::dropped_lines();
  while (log::dropped_lines() == before)  // longer than what the kernel writes to a pipe in one piece
    log::info("long", {{"a", word}, {"b", word}, {"c", word}, {"d", word}, {"e", word}});
  auto text = log.read();
  log::info("short");
  text += log.read();
  for (const std::string& line : lines_of(text)) {
    EXPECT_TRUE(std::regex_search(line, std::regex("^[0-9-]{10}T[0-9:]{8}\\.[0-9]{3}Z (info|warn)  ")))
        << line.substr(0, 80);
    EXPECT_LT(line.size(), 5100u);
  }
  EXPECT_THAT(text, HasSubstr("\n"));
  EXPECT_THAT(text, EndsWith("Z info  short\n"));
  EXPECT_THAT(text, HasSubstr("Z warn  log lines dropped lines=1\n"));
}

std::string name_of(const testing::TestParamInfo<Elsewhere::Kind>& kind) {
  static constexpr const char* kNames[] = {"pipe", "socket", "pipe_that_cannot_be_opened_anew"};
  return kNames[kind.param];
}

INSTANTIATE_TEST_SUITE_P(whatever_standard_error_is, LogNobodyReads,
                         testing::Values(Elsewhere::kPipe, Elsewhere::kSocket, Elsewhere::kPipeThatCannotBeOpenedAnew),
                         name_of);

TEST(Log, json_line_begins_with_the_time) {
  Elsewhere log(Elsewhere::kPipe, log::Format::kJson);
  log::error("said", {{"number", 1}});
  log::debug("below the level");
  EXPECT_THAT(log.read(), testing::MatchesRegex("\\{\"time\":\"[0-9-]+T[0-9:]+[.][0-9]+Z\",\"level\":\"error\","
                                                "\"message\":\"said\",\"number\":1\\}\n"));
}

TEST(Log, file_that_others_write_to_as_well_is_continued_where_they_are) {
  Elsewhere log(Elsewhere::kFile);
  log::info("ours");
  ASSERT_EQ(::write(STDERR_FILENO, "theirs\n", 7), 7);
  log::info("ours");
  ::lseek(STDERR_FILENO, 0, SEEK_SET);
  auto lines = lines_of(log.read());
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[1], "theirs");
}

}  // namespace
}  // namespace enclayer::base
