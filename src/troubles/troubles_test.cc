// SPDX-License-Identifier: Apache-2.0
#include "troubles/troubles.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "base/bytes.h"
#include "base/file.h"
#include "fake/temp_folder.h"

namespace enclayer::troubles {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const Time kNoon = *parse_time("2026-01-31T12:00:00Z");
const Pod kPod{"bank", "ledger-0", "7c2e0d2c-3f5a-4a0e-9c55-0a1b2c3d4e5f"};

// The file that a board keeps, and when it was written last, as far as the board knows: its clock is the test's.
class BoardTest : public testing::Test {
 protected:
  void look(Board& board, const Kind& kind, std::string_view wrong, Time now, const std::vector<Pod>& pods = {}) {
    board.say(kind, wrong, now, [&] { return pods; });
    board.keep(now);
    std::error_code error;
    if (!fs::exists(file(), error)) return;
    const timespec times[2] = {{now.time_since_epoch().count(), 0}, {now.time_since_epoch().count(), 0}};
    struct stat found {};
    ASSERT_EQ(::stat(file().c_str(), &found), 0);
    if (found.st_ino == seen_) return;  // it was not written
    seen_ = found.st_ino;
    ++writes_;
    ASSERT_EQ(::utimensat(AT_FDCWD, file().c_str(), times, 0), 0);
  }
  std::vector<Trouble> said(Time now) {
    auto text = text_of(folder_.path(), now);
    if (!text || text->empty()) return {};
    auto troubles = parse_troubles(*text);
    EXPECT_TRUE(troubles) << *text;
    return troubles ? *troubles : std::vector<Trouble>();
  }
  fs::path file() const { return folder_.path() / kFile; }

  fake::TempFolder folder_;
  int writes_ = 0;
  ino_t seen_ = 0;
};

TEST_F(BoardTest, says_what_lasts_and_not_what_passes) {
  Board board(folder_.path(), kNoon);
  look(board, kEpcLost, "", kNoon);
  EXPECT_FALSE(fs::exists(file())) << "nothing was ever wrong";
  look(board, kEpcLost, "gone", kNoon + 1s);
  look(board, kEpcLost, "gone", kNoon + 9s);
  look(board, kEpcLost, "", kNoon + 10s);
  look(board, kEpcLost, "gone", kNoon + 11s);
  EXPECT_THAT(said(kNoon + 11s), IsEmpty());
  look(board, kEpcLost, "gone", kNoon + 21s, {kPod});
  EXPECT_THAT(said(kNoon + 21s), ElementsAre(Trouble{kEpcLost, "gone", kNoon + 11s, kNoon + 21s, 1, false, {kPod}}));
  EXPECT_EQ(writes_, 1);
}

TEST_F(BoardTest, counts_once_in_ten_minutes_that_it_lasts_and_takes_the_words_of_then) {
  Board board(folder_.path(), kNoon);
  for (auto now = 0s; now <= 1300s; now += 10s) look(board, kCannotQuote, now < 1000s ? "one" : "two", kNoon + now);
  EXPECT_THAT(said(kNoon + 1300s), ElementsAre(Trouble{kCannotQuote, "two", kNoon, kNoon + 1210s, 3}));
  EXPECT_LE(writes_, 23) << "three times counted, and once a minute confirmed";
}

TEST_F(BoardTest, says_that_it_is_over_for_ten_minutes) {
  Board board(folder_.path(), kNoon);
  look(board, kQuotesLost, "x", kNoon);
  look(board, kQuotesLost, "x", kNoon + 10s);
  look(board, kQuotesLost, "", kNoon + 20s);
  EXPECT_FALSE(said(kNoon + 20s).at(0).over) << "not yet";
  look(board, kQuotesLost, "", kNoon + 30s);
  EXPECT_THAT(said(kNoon + 30s), ElementsAre(Trouble{kQuotesLost, "x", kNoon, kNoon + 30s, 1, true}));
  look(board, kQuotesLost, "", kNoon + 629s);
  EXPECT_TRUE(said(kNoon + 629s).at(0).over);
  look(board, kQuotesLost, "", kNoon + 630s);
  EXPECT_THAT(said(kNoon + 630s), IsEmpty());
  EXPECT_TRUE(fs::exists(file()));
}

TEST_F(BoardTest, what_comes_back_is_the_same_trouble_and_a_flood_of_changes_is_a_few) {
  Board board(folder_.path(), kNoon);
  for (int second = 0; second < 600; ++second)
    look(board, kQuotesLost, second / 15 % 2 == 0 ? "x" : "", kNoon + std::chrono::seconds(second));
  auto troubles = said(kNoon + 599s);
  ASSERT_EQ(troubles.size(), 1u);
  EXPECT_EQ(troubles[0].first, kNoon);
  EXPECT_EQ(troubles[0].count, 20u);
  for (int second = 600; second < 1200; ++second)
    look(board, kQuotesLost, second % 2 == 0 ? "x" : "", kNoon + std::chrono::seconds(second));
  EXPECT_THAT(said(kNoon + 1200s), testing::SizeIs(testing::Le(1u)));
  EXPECT_LE(writes_, 52) << "what changes each second is never said";
}

TEST_F(BoardTest, writer_that_is_started_again_goes_on_where_the_one_before_was) {
  {
    Board before(folder_.path(), kNoon);
    for (const auto at : {0s, 10s}) {
      look(before, kEpcLost, "gone", kNoon + at);
      look(before, kNotRegistered, "no", kNoon + at);
    }
  }
  Board board(folder_.path(), kNoon + 60s);
  board.keep(kNoon + 60s);
  EXPECT_EQ(said(kNoon + 60s).size(), 2u) << "nobody has looked yet";
  look(board, kEpcLost, "", kNoon + 60s);
  look(board, kNotRegistered, "no", kNoon + 60s);
  look(board, kEpcLost, "", kNoon + 70s);
  EXPECT_THAT(said(kNoon + 70s), ElementsAre(Trouble{kEpcLost, "gone", kNoon, kNoon + 70s, 1, true},
                                             Trouble{kNotRegistered, "no", kNoon, kNoon + 10s, 1}));
}

TEST_F(BoardTest, what_is_old_says_nothing) {
  {
    Board before(folder_.path(), kNoon);
    for (const auto at : {0s, 10s}) look(before, kEpcLost, "gone", kNoon + at);
  }
  EXPECT_EQ(said(kNoon + 310s).size(), 1u);
  EXPECT_THAT(said(kNoon + 311s), IsEmpty());
  Board board(folder_.path(), kNoon + 1000s);
  look(board, kEpcLost, "gone", kNoon + 1000s);
  look(board, kEpcLost, "gone", kNoon + 1010s);
  EXPECT_EQ(said(kNoon + 1010s).at(0).first, kNoon + 1000s);
}

TEST_F(BoardTest, pods_that_cannot_be_are_left_out_and_the_others_are_not_too_many) {
  std::vector<Pod> pods(20, kPod);
  pods[0].name = "Not/a/pod";
  pods[1].uid = "";
  Board board(folder_.path(), kNoon);
  for (const auto at : {0s, 10s}) look(board, kEpcLost, "gone", kNoon + at, pods);
  auto troubles = said(kNoon + 10s);
  ASSERT_EQ(troubles.size(), 1u);
  EXPECT_EQ(troubles[0].pods.size(), kMostPods);
  EXPECT_EQ(troubles[0].pods[0].uid, "");
}

TEST_F(BoardTest, damage_has_no_end) {
  Board board(folder_.path(), kNoon);
  for (const auto at : {0s, 10s}) look(board, kEpcDamaged, "2 pages", kNoon + at);
  EXPECT_EQ(said(kNoon + 10s).size(), 1u);
  for (const auto at : {20s, 30s}) look(board, kEpcDamaged, "", kNoon + at);
  EXPECT_THAT(said(kNoon + 30s), IsEmpty());
}

TEST_F(BoardTest, clock_that_is_set_back_does_no_harm) {
  Board board(folder_.path(), kNoon);
  for (const auto at : {0s, 10s}) look(board, kEpcLost, "gone", kNoon + at);
  for (const auto at : {-3600s, -3590s}) look(board, kEpcLost, "", kNoon + at);
  auto troubles = said(kNoon - 3590s);
  ASSERT_EQ(troubles.size(), 1u);
  EXPECT_TRUE(troubles[0].over);
  EXPECT_GE(troubles[0].last, troubles[0].first);
}

TEST_F(BoardTest, folder_that_cannot_be_is_no_trouble) {
  std::ofstream plain(folder_.path() / "plain");
  Board board(folder_.path() / "plain" / "below", kNoon);
  for (const auto at : {0s, 10s, 20s}) {
    board.say(kEpcLost, "gone", kNoon + at);
    board.keep(kNoon + at);
  }
  EXPECT_EQ(text_of(folder_.path() / "plain" / "below", kNoon)->size(), 0u);
}

TEST(Troubles, are_written_within_bounds_and_read_as_they_were_written) {
  std::vector<Trouble> all;
  for (const Kind& kind : kKinds)
    all.push_back({kind, std::string(5000, 'x') + "\x1b[2J\n", kNoon, kNoon + 1h, 7, false,
                   std::vector<Pod>(40, {std::string(63, 'n'), std::string(253, 'p'), std::string(64, 'u')})});
  const std::string text = to_json(all);
  EXPECT_LT(text.size(), kMostFile);
  auto read = parse_troubles(text);
  ASSERT_TRUE(read) << read.error().message();
  ASSERT_EQ(read->size(), kKinds.size());
  EXPECT_EQ(read->back().says, std::string(kMostSays, 'x'));
  EXPECT_EQ(read->back().pods.size(), kMostPods);
  EXPECT_EQ(*parse_troubles(to_json(*read)), *read);
}

TEST(Troubles, are_refused_where_anything_about_them_is_not_ours) {
  const std::string good =
      R"({"troubles":[{"reason":"EpcLost","says":"gone","first":"2026-01-31T12:00:00Z","last":"2026-01-31T12:00:00Z",)"
      R"("count":1,"over":false,"pods":[{"namespace":"n","name":"p","uid":"u"}]}]})";
  ASSERT_TRUE(parse_troubles(good));
  auto with = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    return text.replace(text.find(from), from.size(), to);
  };
  const std::string entry = good.substr(13, good.size() - 15);
  for (const std::string& bad :
       {std::string(), std::string("[]"), std::string("{}"), with("EpcLost", "NodeNotReady"), with("gone", ""),
        with("gone", "a\\u001b[2J"), with("gone", "a\\nb"), with("gone", "\xc3\xa4"),
        with("gone", std::string(701, 'x')), with("12:00:00Z\",\"last", "12:00:01Z\",\"last"),
        with("\"count\":1", "\"count\":0"), with("\"count\":1", "\"count\":1000001"),
        with("\"count\":1", "\"count\":-1"), with("\"n\"", "\"../n\""), with("\"p\"", "\"P\""),
        with("\"uid\":\"u\"", "\"uid\":\"u/x\""), with("\"p\"", "7"),
        with("\"EpcLost\"", "\"EpcDamaged\"").replace(good.find("false") + 3, 5, "true"),
        "{\"troubles\":[" + entry + "," + entry + "]}"}) {
    auto refused = parse_troubles(bad);
    ASSERT_FALSE(refused) << bad;
    EXPECT_EQ(refused.error().kind(), ErrorKind::kMalformed) << bad;
  }
}

TEST(Troubles, are_read_from_plain_files_of_bounded_size_only) {
  fake::TempFolder folder;
  const fs::path file = folder.path() / kFile;
  const Time now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  EXPECT_THAT(*text_of(folder.path(), now), IsEmpty());
  ASSERT_EQ(::mkfifo(file.c_str(), 0644), 0);
  EXPECT_THAT(text_of(folder.path(), now).error().message(), HasSubstr("no plain file"));
  fs::remove(file);
  fs::create_symlink("/etc/hostname", file);
  EXPECT_THAT(text_of(folder.path(), now).error().message(), HasSubstr("no plain file"));
  fs::remove(file);
  fs::create_directory(file);
  EXPECT_EQ(text_of(folder.path(), now).error().kind(), ErrorKind::kMalformed);
  fs::remove(file);
  ASSERT_TRUE(base::write_file_atomic(file, base::as_bytes(std::string(kMostFile + 1, 'x')), 0644));
  EXPECT_EQ(text_of(folder.path(), now).error().kind(), ErrorKind::kMalformed);
  ASSERT_TRUE(base::write_file_atomic(file, base::as_bytes(std::string(kMostFile, 'x')), 0644));
  EXPECT_EQ(text_of(folder.path(), now)->size(), kMostFile);
}

}  // namespace
}  // namespace enclayer::troubles
