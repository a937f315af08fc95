// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <future>
#include <set>
#include <sstream>
#include <thread>

#include "base/bytes.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/file.h"
#include "base/hex.h"
#include "base/log_budget.h"
#include "base/metric_names.h"
#include "base/printable.h"
#include "enclayer/time.h"
#include "fake/temp_folder.h"

namespace enclayer::base {
namespace {

TEST(Hex, bytes_go_round_and_both_cases_are_read) {
  Bytes bytes = {0x00, 0x7f, 0xff};
  EXPECT_EQ(to_hex(bytes), "007fff");
  EXPECT_EQ(from_hex("007FfF").value(), bytes);
}

TEST(Hex, odd_length_and_other_characters_are_refused) {
  EXPECT_EQ(from_hex("abc").error().kind(), ErrorKind::kMalformed);
  EXPECT_EQ(from_hex("0g").error().message(), "not a hexadecimal digit at position 1");
}

TEST(Sha256, two_parts_are_hashed_as_one) {
  EXPECT_EQ(to_hex(sha256(as_bytes("a"), as_bytes("bc"))),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(ByteReader, read_past_the_end_gives_nothing_and_moves_nothing) {
  Bytes bytes = {1, 2, 3};
  ByteReader reader(bytes);
  EXPECT_FALSE(reader.le32());
  EXPECT_EQ(reader.le16(), 0x0201);
  EXPECT_FALSE(reader.take(static_cast<std::size_t>(-1)));
  EXPECT_EQ(reader.remaining(), 1u);
}

TEST(Time, the_one_form_is_read_and_written) {
  EXPECT_EQ(format_time(parse_time("2024-02-29T23:59:59Z").value()), "2024-02-29T23:59:59Z");
  EXPECT_EQ(parse_time("1970-01-01T00:00:00Z").value().time_since_epoch().count(), 0);
}

TEST(Time, every_other_form_is_refused) {
  for (const char* text : {"", "2025-06-25", "2025-06-25T00:00:00", "2025-06-25T00:00:00+00:00", "2025-02-29T00:00:00Z",
                           "2025-13-01T00:00:00Z", "2025-06-25T24:00:00Z", "2025-06-25T00:60:00Z",
                           "1969-12-31T23:59:59Z", "2025-06-25T00:00:0 Z", "2025-06-25t00:00:00z"})
    EXPECT_FALSE(parse_time(text)) << text;
}

TEST(File, atomic_write_replaces_content_and_sets_the_mode) {
  fake::TempFolder folder;
  auto path = folder.path() / "file";
  ASSERT_TRUE(write_file_atomic(path, as_bytes("old"), 0644));
  ASSERT_TRUE(write_file_atomic(path, as_bytes("new"), 0600));
  EXPECT_EQ(read_text(path, 10).value(), "new");
  struct stat found {};
  ASSERT_EQ(::stat(path.c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 0777, 0600u);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1) << "a temporary file was left";
}

TEST(File, pipes_are_written_to_and_never_replaced) {
  fake::TempFolder folder;
  auto path = folder.path() / "pipe";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  UniqueFd reader(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  ASSERT_TRUE(write_file_atomic(path, as_bytes("hello"), 0644));
  char text[8];
  EXPECT_EQ(::read(reader.get(), text, sizeof text), 5);
  EXPECT_TRUE(std::filesystem::is_fifo(path));
  EXPECT_EQ(write_file_atomic(folder.path(), as_bytes("x"), 0644).error().kind(), ErrorKind::kIo);
}

TEST(File, new_file_is_not_written_where_something_is) {
  fake::TempFolder folder;
  const auto path = folder.path() / "file";
  ASSERT_TRUE(write_new_file(path, as_bytes("first"), 0640));
  EXPECT_EQ(static_cast<unsigned>(std::filesystem::status(path).permissions()), 0640u);
  std::filesystem::create_symlink(folder.path() / "nothing", folder.path() / "link");
  ASSERT_EQ(::mkfifo((folder.path() / "pipe").c_str(), 0622), 0);
  for (const char* name : {"file", "link", "pipe"})
    EXPECT_EQ(write_new_file(folder.path() / name, as_bytes("second"), 0600).error().kind(), ErrorKind::kConflict);
  EXPECT_EQ(read_text(path, 10).value(), "first");
  EXPECT_FALSE(std::filesystem::exists(folder.path() / "nothing"));
}

TEST(File, folder_is_made_with_its_mode_and_what_else_is_there_is_neither_followed_nor_changed) {
  fake::TempFolder folder;
  const auto mode = [](const std::filesystem::path& path) {
    return static_cast<unsigned>(std::filesystem::status(path).permissions());
  };
  const auto made = folder.path() / "parent/made";
  ASSERT_TRUE(make_folder(made, 0750));
  EXPECT_EQ(mode(made), 0750u);
  ASSERT_TRUE(make_folder(made, 0711));
  EXPECT_EQ(mode(made), 0711u) << "found, and given its mode";

  std::filesystem::create_directory_symlink(made, folder.path() / "link");
  auto refused = make_folder(folder.path() / "link", 0777);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kConflict);
  EXPECT_NE(refused.error().message().find("link is a symbolic link"), std::string::npos) << refused.error().message();
  EXPECT_EQ(mode(made), 0711u);
  EXPECT_TRUE(make_folder(folder.path() / "link/below", 0700)) << "a parent may be one";

  folder.write("file", "");
  EXPECT_EQ(make_folder(folder.path() / "file", 0777).error().kind(), ErrorKind::kConflict);
}

TEST(File, longer_than_the_limit_and_missing_files_are_told_apart) {
  fake::TempFolder folder;
  ASSERT_TRUE(write_file_atomic(folder.path() / "file", as_bytes("12345"), 0644));
  EXPECT_TRUE(read_file(folder.path() / "file", 5));
  EXPECT_EQ(read_file(folder.path() / "file", 4).error().kind(), ErrorKind::kMalformed);
  EXPECT_EQ(read_file(folder.path() / "none", 4).error().kind(), ErrorKind::kNotFound);
}

TEST(LogBudget, burst_is_written_then_one_line_an_interval_that_counts_the_rest) {
  using std::chrono::seconds;
  LogBudget budget(3, seconds(10));
  LogBudget::Clock::time_point start;
  for (int i = 0; i < 3; ++i) EXPECT_EQ(budget.take(start), 0u);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(budget.take(start + seconds(9)), std::nullopt);
  EXPECT_EQ(budget.take(start + seconds(10)), 5u);
  EXPECT_EQ(budget.take(start + seconds(19)), std::nullopt);
  EXPECT_EQ(budget.take(start + seconds(20)), 1u);
  // After a quiet time the whole burst is there again, and no more.
  for (int i = 0; i < 3; ++i) EXPECT_EQ(budget.take(start + seconds(1000)), 0u);
  EXPECT_EQ(budget.take(start + seconds(1000)), std::nullopt);
}

TEST(File, lock_keeps_out_whoever_asks_second_until_it_is_given_back) {
  fake::TempFolder folder;
  auto path = folder.path() / "lock";
  auto lock = lock_file(path).value();
  UniqueFd second(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  EXPECT_NE(::flock(second.get(), LOCK_EX | LOCK_NB), 0);
  auto waiting = std::async(std::launch::async, [&] { return lock_file(path, std::chrono::minutes(1)); });
  EXPECT_EQ(waiting.wait_for(std::chrono::milliseconds(10)), std::future_status::timeout);
  lock.reset();
  EXPECT_TRUE(waiting.get());
}

TEST(File, lock_that_is_never_given_back_is_an_error_that_names_it) {
  fake::TempFolder folder;
  auto path = folder.path() / "lock";
  auto lock = lock_file(path).value();
  auto refused = lock_file(path, std::chrono::milliseconds(30));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kTimedOut);
  EXPECT_EQ(refused.error().message(), path.string() +
                                           " is locked by another process for longer than 30 ms: end the "
                                           "one that `fuser " +
                                           path.string() + "` names");
}

constexpr MetricName kTestTotal{"enclayer_test_total", MetricType::kCounter, "result", "test", "A test."};

TEST(Metrics, the_same_name_and_labels_are_the_same_counter) {
  Metrics metrics;
  metrics.counter(kTestTotal, {{"result", "ok"}}).add();
  metrics.counter(kTestTotal, {{"result", "ok"}}).add(2);
  metrics.gauge({"enclayer_test_mib", MetricType::kGauge, "", "test", "A gauge."}).set(8192);
  std::string text = metrics.text();
  EXPECT_NE(text.find("enclayer_test_total{result=\"ok\"} 3"), std::string::npos) << text;
  EXPECT_NE(text.find("enclayer_test_mib 8192"), std::string::npos) << text;
}

TEST(Metrics, histogram_counts_into_the_buckets_that_it_was_given) {
  Metrics metrics;
  constexpr MetricName kSeconds{"enclayer_test_seconds", MetricType::kHistogram, "resource", "test", "A time."};
  metrics.histogram(kSeconds, {0.001, 0.1}, {{"resource", "a/b"}}).observe(0.0005);
  metrics.histogram(kSeconds, {0.001, 0.1}, {{"resource", "a/b"}}).observe(0.05);
  metrics.histogram(kSeconds, {0.001, 0.1}, {{"resource", "a/b"}}).observe(5);
  std::string text = metrics.text();
  for (const char* line : {"enclayer_test_seconds_bucket{resource=\"a/b\",le=\"0.001\"} 1\n",
                           "enclayer_test_seconds_bucket{resource=\"a/b\",le=\"0.1\"} 2\n",
                           "enclayer_test_seconds_bucket{resource=\"a/b\",le=\"+Inf\"} 3\n",
                           "enclayer_test_seconds_count{resource=\"a/b\"} 3\n"})
    EXPECT_NE(text.find(line), std::string::npos) << text;
}

TEST(Metrics, page_is_what_prometheus_reads_whatever_is_in_a_label) {
  Metrics metrics;
  metrics.counter(kTestTotal, {{"result", "a\n\"\\b"}}).add(1'000'000);
  metrics.counter(kTestTotal, {{"result", "c"}}).add(0.25);
  EXPECT_EQ(metrics.text(),
            "# HELP enclayer_test_total A test.\n# TYPE enclayer_test_total counter\n"
            "enclayer_test_total{result=\"a\\n\\\"\\\\b\"} 1000000\nenclayer_test_total{result=\"c\"} 0.25\n");
}

TEST(Metrics, a_replaced_gauge_leaves_no_series_behind) {
  Metrics metrics;
  constexpr MetricName kPods{"enclayer_test_pods", MetricType::kGauge, "pod", "test", "By pod."};
  metrics.replace(kPods, {{{{"pod", "a"}}, 1}, {{{"pod", "b"}}, 2}});
  EXPECT_NE(metrics.text().find("enclayer_test_pods{pod=\"a\"} 1\n"), std::string::npos) << metrics.text();
  metrics.replace(kPods, {{{{"pod", "b"}}, 3}});
  EXPECT_EQ(metrics.text(),
            "# HELP enclayer_test_pods By pod.\n# TYPE enclayer_test_pods gauge\nenclayer_test_pods{pod=\"b\"} 3\n");
  metrics.replace(kPods, {});
  EXPECT_EQ(metrics.text(), "");
}

TEST(Metrics, a_replaced_counter_is_a_counter_on_the_page) {
  Metrics metrics;
  constexpr MetricName kPods{"enclayer_test_pods_total", MetricType::kCounter, "pod", "test", "By pod."};
  metrics.replace(kPods, {{{{"pod", "a"}}, 5}});
  EXPECT_EQ(metrics.text(),
            "# HELP enclayer_test_pods_total By pod.\n# TYPE enclayer_test_pods_total counter\n"
            "enclayer_test_pods_total{pod=\"a\"} 5\n");
}

TEST(Metrics, a_page_never_shows_some_old_and_some_new_series) {
  Metrics metrics;
  constexpr MetricName kPods{"enclayer_test_pods", MetricType::kGauge, "pod", "test", "By pod."};
  std::atomic<bool> stop = false;
  metrics.replace(kPods, {{{{"pod", "a"}}, 0}, {{{"pod", "b"}}, 0}});
  std::thread writer([&] {
    for (int i = 1; !stop; ++i) {
      double value = i % 10;
      metrics.replace(kPods, {{{{"pod", "a"}}, value}, {{{"pod", "b"}}, value}});
    }
  });
  for (int i = 0; i < 200; ++i) {
    std::string text = metrics.text();
    std::size_t a = text.find("{pod=\"a\"} "), b = text.find("{pod=\"b\"} ");
    ASSERT_NE(a, std::string::npos);
    ASSERT_NE(b, std::string::npos);
    EXPECT_EQ(text.substr(a + 10, 1), text.substr(b + 10, 1)) << text;
  }
  stop = true;
  writer.join();
}

// The page's rows as the header has them: nothing may be on the one and not in the other.
std::vector<std::string> rows_of_header() {
  std::vector<std::string> rows;
  for (const MetricName& metric : metric::kAll) {
    const char* types[] = {"counter", "gauge", "histogram"};
    rows.push_back(std::string("| `") + metric.name + "` | " + types[static_cast<int>(metric.type)] + " | " +
                   metric.labels + (*metric.labels ? " | " : "| ") + metric.help + " | " + metric.daemon + " |");
  }
  return rows;
}

TEST(MetricNames, the_page_lists_the_metrics_of_the_header_and_no_others) {
  std::istringstream page(read_text(ENCLAYER_SOURCE_DIR "/docs/metrics.md", 65536).value());
  std::vector<std::string> rows;
  for (std::string line; std::getline(page, line);)
    if (line.starts_with("| `enclayer_")) rows.push_back(line);
  EXPECT_EQ(rows, rows_of_header());
}

TEST(MetricNames, are_all_in_the_array_and_well_formed) {
  std::string header = read_text(ENCLAYER_SOURCE_DIR "/src/base/metric_names.h", 65536).value();
  std::size_t defined = 0;
  for (std::size_t at = 0; (at = header.find("constexpr MetricName k", at)) != std::string::npos; ++at)
    defined += header.compare(at, 26, "constexpr MetricName kAll[") != 0;
  EXPECT_EQ(defined, std::size(metric::kAll));
  std::set<std::string> names;
  for (const MetricName& metric : metric::kAll) {
    std::string name = metric.name;
    EXPECT_TRUE(names.insert(name).second) << name;
    EXPECT_EQ(name.find_first_not_of("abcdefghijklmnopqrstuvwxyz_"), std::string::npos) << name;
    EXPECT_EQ(name.ends_with("_total"), metric.type == MetricType::kCounter) << name;
    EXPECT_EQ(std::string(metric.help).find_first_of("|\n"), std::string::npos) << name;
  }
}

TEST(Errors, every_kind_has_a_word_and_a_non_zero_exit_code) {
  for (int kind = 0; kind <= static_cast<int>(ErrorKind::kInternal); ++kind) {
    EXPECT_NE(at_border(static_cast<ErrorKind>(kind)).exit_code, 0);
    EXPECT_FALSE(to_string(static_cast<ErrorKind>(kind)).empty());
  }
  EXPECT_EQ(exit_code(errno_error(ENOENT, "cannot open x")), 3);
}

TEST(Printable, text_from_outside_is_cut_and_cleaned) {
  EXPECT_EQ(printable("a b~", 10), "a b~");
  EXPECT_EQ(printable("a\n\x1b\xc3\xa9\x7f", 10), "a?????");
  EXPECT_EQ(printable("abcdef", 3), "abc");
  EXPECT_EQ(printable("", 3), "");
  EXPECT_EQ(for_terminal("a\tb\n\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"),
            "a\tb\n\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80");
  EXPECT_EQ(for_terminal("\x1b]0;x\x07\r\x7f"), "?]0;x???");
  EXPECT_EQ(for_terminal("\xc2\x9b[2J \x9b \xff \xe2\x82"), "??[2J ? ? ??");
  EXPECT_EQ(for_terminal("\xe0\x80\x9b \xed\xa0\x80 \xf0\x80\x80\x9b \xf4\x90\x80\x80"), "??? ??? ???? ????");
  EXPECT_EQ(for_terminal("\xe0\xa0\x80\xed\x9f\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"),
            "\xe0\xa0\x80\xed\x9f\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf");
}

}  // namespace
}  // namespace enclayer::base
