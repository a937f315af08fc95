// SPDX-License-Identifier: Apache-2.0
#include "collateral/cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <thread>

#include "base/bytes.h"
#include "base/file.h"
#include "fake/quote_case.h"
#include "fake/sim_collateral.h"
#include "fake/temp_folder.h"

namespace enclayer::collateral {
namespace {

namespace fs = std::filesystem;
using std::chrono::days;
using std::chrono::hours;
using testing::HasSubstr;

constexpr char kUrl[] = "https://pccs.example/sgx/certification/v4";
const Time kFetched = parse_time("2025-08-20T00:00:00Z").value();

Entry entry_of(const std::string& name, const std::string& url = kUrl, Time fetched = kFetched) {
  return make_entry(url, fetched, fake::quote_case(name).collateral).value();
}
Entry platform_entry() { return entry_of("C_automata_sgx_platform"); }
Entry processor_entry() { return entry_of("A_phala_sgx_processor"); }

// The one entry file of a folder.
fs::path file_in(const fs::path& folder) {
  for (const std::string& name : base::Root(folder).list(""))
    if (name.ends_with(".json")) return folder / name;
  return {};
}
std::string read(const fs::path& path) { return base::read_text(path, 1 << 20).value(); }
void write(const fs::path& path, const std::string& text) {
  ASSERT_TRUE(base::write_file_atomic(path, base::as_bytes(text), 0600));
}

TEST(CacheEntry, is_one_line_that_reads_as_the_same_entry) {
  for (const Entry& entry : {platform_entry(), processor_entry()}) {
    std::string line = to_line(entry);
    EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1);
    auto again = entry_from_line(line);
    ASSERT_TRUE(again) << again.error().message();
    EXPECT_EQ(*again, entry);
    EXPECT_TRUE(entry_from_line(line.substr(0, line.size() - 1)));
  }
}

TEST(CacheEntry, with_any_changed_bit_is_not_believed) {
  const std::string line = to_line(platform_entry());
  const Entry entry = platform_entry();
  for (std::size_t at = 0; at + 1 < line.size(); at += 97)
    for (int bit : {0, 5}) {
      std::string changed = line;
      changed[at] = static_cast<char>(changed[at] ^ (1 << bit));
      auto read = entry_from_line(changed);
      // Whitespace between tokens is nobody's loss.
      EXPECT_TRUE(!read || *read == entry) << "byte " << at << ", bit " << bit;
    }
}

TEST(CacheEntry, cut_off_anywhere_is_not_believed) {
  const std::string line = to_line(platform_entry());
  for (std::size_t size = 0; size + 1 < line.size(); size += 61)
    EXPECT_EQ(entry_from_line(line.substr(0, size)).error().kind(), ErrorKind::kMalformed) << size;
}

TEST(CacheEntry, that_says_to_be_of_another_platform_is_refused_though_its_checksum_is_right) {
  // What a program that knows how checksums are made could write.
  Entry lie = platform_entry();
  lie.contents.platform.ca = PckCa::kProcessor;
  auto read = entry_from_line(to_line(lie));
  ASSERT_FALSE(read);
  EXPECT_THAT(read.error().message(), HasSubstr("its collateral is of FMSPC 00606a000000, platform CA"));
}

TEST(CacheEntry, with_a_url_that_a_terminal_would_obey_is_refused) {
  for (const char* url : {"", "https://pccs.example/\x1b[2J", "https://pccs.example/ x", "https://pccs.\xc3\xa4"}) {
    Entry entry = platform_entry();
    entry.url = url;
    auto read = entry_from_line(to_line(entry));
    ASSERT_FALSE(read) << url;
    EXPECT_THAT(read.error().message(), testing::Not(HasSubstr("\x1b")));
  }
}

TEST(Age, is_fresh_for_a_day_then_due_and_expired_after_its_last_second) {
  Entry entry = platform_entry();
  Time until = entry.contents.validity.until;
  EXPECT_EQ(age_of(entry, kFetched), Age::kFresh);
  EXPECT_EQ(age_of(entry, kFetched + kFreshFor - std::chrono::seconds(1)), Age::kFresh);
  EXPECT_EQ(age_of(entry, kFetched + kFreshFor), Age::kDue);
  EXPECT_EQ(age_of(entry, until), Age::kDue);
  EXPECT_EQ(age_of(entry, until + std::chrono::seconds(1)), Age::kExpired);
}

TEST(Age, is_due_a_day_before_expiry_however_young) {
  Entry entry = platform_entry();
  entry.fetched = entry.contents.validity.until - hours(25);
  EXPECT_EQ(age_of(entry, entry.fetched), Age::kFresh);
  EXPECT_EQ(age_of(entry, entry.fetched + hours(1)), Age::kDue);
}

TEST(Age, of_what_was_fetched_in_the_future_or_is_not_valid_yet_is_never_fresh) {
  Entry entry = platform_entry();
  EXPECT_EQ(age_of(entry, kFetched - std::chrono::seconds(1)), Age::kDue);
  EXPECT_EQ(age_of(entry, entry.contents.validity.from - std::chrono::seconds(1)), Age::kExpired);
}

TEST(Cache, finds_what_was_kept_by_platform_and_url) {
  fake::TempFolder temporary;
  Cache cache(temporary.path() / "a" / "b");
  Entry entry = platform_entry(), elsewhere = entry_of("C_automata_sgx_platform", "https://other.example/v4");
  const PlatformKind platform = entry.contents.platform;
  EXPECT_EQ(cache.find(platform, kUrl).value(), std::nullopt);
  EXPECT_FALSE(fs::exists(cache.folder())) << "looking makes nothing";
  EXPECT_TRUE(cache.keep(entry).value());
  EXPECT_TRUE(cache.keep(elsewhere).value());
  EXPECT_TRUE(cache.keep(processor_entry()).value());
  EXPECT_EQ(cache.find(platform, kUrl).value(), entry);
  EXPECT_EQ(cache.find(platform, elsewhere.url).value(), elsewhere);
  EXPECT_EQ(cache.find({platform.fmspc, PckCa::kProcessor}, kUrl).value(), std::nullopt);
  EXPECT_EQ(cache.list().value().size(), 3U);
  struct stat folder {};
  ASSERT_EQ(::stat(cache.folder().c_str(), &folder), 0);
  EXPECT_EQ(folder.st_mode & 0777, 0700U);
}

TEST(Cache, keeps_collateral_for_tds_beside_that_for_enclaves_of_the_same_platform) {
  fake::TempFolder temporary;
  Cache cache(temporary.path());
  Entry tdx = entry_of("T4_phala_tdx_v4", kUrl);
  EXPECT_TRUE(cache.keep(tdx).value());
  PlatformKind platform = tdx.contents.platform;
  EXPECT_EQ(cache.find(platform, kUrl).value(), tdx);
  platform.tee = Tee::kSgx;
  EXPECT_EQ(cache.find(platform, kUrl).value(), std::nullopt);
  EXPECT_THAT(to_line(tdx), HasSubstr(R"("tee":"tdx")"));
  EXPECT_THAT(to_line(platform_entry()), testing::Not(HasSubstr("\"tee\""))) << "as it always was";
  EXPECT_EQ(entries_from_bundle(to_bundle({tdx, platform_entry()}).value()).value(),
            (std::vector<Entry>{tdx, platform_entry()}));
}

TEST(Cache, leaves_the_mode_of_a_folder_that_was_there) {
  fake::TempFolder temporary;
  ASSERT_TRUE(base::make_folder(temporary.path() / "mine", 0755));
  ASSERT_TRUE(Cache(temporary.path() / "mine").keep(platform_entry()));
  struct stat folder {};
  ASSERT_EQ(::stat((temporary.path() / "mine").c_str(), &folder), 0);
  EXPECT_EQ(folder.st_mode & 0777, 0755U);
}

TEST(Cache, damaged_file_is_malformed_and_replaced_by_the_next_that_is_kept) {
  for (const char* content : {"", "{", "{}", "\xff\xff", "[1]"}) {
    fake::TempFolder temporary;
    Cache cache(temporary.path());
    Entry entry = platform_entry();
    ASSERT_TRUE(cache.keep(entry));
    fs::path file = file_in(temporary.path());
    write(file, content);
    auto damaged = cache.find(entry.contents.platform, kUrl);
    ASSERT_FALSE(damaged) << content;
    EXPECT_EQ(damaged.error().kind(), ErrorKind::kMalformed);
    EXPECT_THAT(damaged.error().message(), HasSubstr(file.string()));
    EXPECT_FALSE(cache.list().value().at(0).entry);
    EXPECT_TRUE(cache.keep(entry).value());
    EXPECT_EQ(cache.find(entry.contents.platform, kUrl).value(), entry);
  }
}

TEST(Cache, file_under_the_name_of_another_entry_is_not_believed) {
  fake::TempFolder temporary;
  Cache cache(temporary.path());
  Entry entry = platform_entry();
  ASSERT_TRUE(cache.keep(entry));
  write(file_in(temporary.path()), to_line(processor_entry()));
  EXPECT_EQ(cache.find(entry.contents.platform, kUrl).error().kind(), ErrorKind::kMalformed);
  write(file_in(temporary.path()), to_line(entry_of("C_automata_sgx_platform", "https://other.example/v4")));
  EXPECT_EQ(cache.find(entry.contents.platform, kUrl).error().kind(), ErrorKind::kMalformed);
}

TEST(Cache, never_goes_back_to_what_was_issued_earlier) {
  fake::TempFolder temporary;
  Cache cache(temporary.path());
  // C_eval17 and C_eval18 are of the same platform, from two months before.
  Entry newer = platform_entry(), older = entry_of("C_eval17", kUrl, kFetched + days(5));
  ASSERT_EQ(newer.contents.platform, older.contents.platform);
  EXPECT_TRUE(cache.keep(older).value());
  EXPECT_TRUE(cache.keep(newer).value());
  EXPECT_FALSE(cache.keep(older).value());
  EXPECT_EQ(cache.find(newer.contents.platform, kUrl).value(), newer);
  // The same collateral, fetched again: its age begins anew.
  Entry again = newer;
  again.fetched += hours(30);
  EXPECT_TRUE(cache.keep(again).value());
  EXPECT_FALSE(cache.keep(newer).value());
  EXPECT_EQ(cache.find(newer.contents.platform, kUrl).value(), again);
}

TEST(Cache, what_a_killed_writer_left_is_neither_read_nor_kept_for_ever) {
  fake::TempFolder temporary;
  Cache cache(temporary.path());
  Entry entry = platform_entry();
  ASSERT_TRUE(cache.keep(entry));
  fs::path file = file_in(temporary.path()), left = file.string() + ".Xa1b2c";
  write(left, read(file).substr(0, 1000));
  write(temporary.path() / "notes.txt", "not ours");
  EXPECT_EQ(cache.find(entry.contents.platform, kUrl).value(), entry);
  EXPECT_EQ(cache.list().value().size(), 1U);
  ASSERT_TRUE(cache.keep(entry));
  EXPECT_FALSE(fs::exists(left));
  EXPECT_TRUE(fs::exists(temporary.path() / "notes.txt"));
}

TEST(Cache, many_writers_and_readers_at_once_see_whole_entries_only) {
  fake::TempFolder temporary;
  Entry first = platform_entry();
  ASSERT_TRUE(Cache(temporary.path()).keep(first));
  std::vector<std::thread> threads;
  for (int writer = 0; writer < 4; ++writer)
    threads.emplace_back([&, writer] {
      Cache cache(temporary.path());
      for (int i = 0; i < 10; ++i) {
        Entry entry = first;
        entry.fetched += std::chrono::seconds(10 * i + writer);
        EXPECT_TRUE(cache.keep(entry));
        auto found = cache.find(first.contents.platform, kUrl);
        EXPECT_TRUE(found && *found) << (found ? "gone" : found.error().message());
        if (found && *found) {
          EXPECT_GE((*found)->fetched, entry.fetched) << "a later one is never lost";
        }
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(Cache(temporary.path()).find(first.contents.platform, kUrl).value()->fetched,
            first.fetched + std::chrono::seconds(93));
  EXPECT_EQ(base::Root(temporary.path()).list("").size(), 2U) << "the entry and the lock";
}

TEST(Cache, that_cannot_be_written_says_so) {
  fake::TempFolder temporary;
  write(temporary.path() / "file", "x");
  auto kept = Cache(temporary.path() / "file").keep(platform_entry());
  ASSERT_FALSE(kept);
  EXPECT_THAT(kept.error().message(), HasSubstr((temporary.path() / "file").string()));
}

TEST(Bundle, carries_entries_and_none) {
  std::vector<Entry> entries = {platform_entry(), processor_entry()};
  EXPECT_EQ(entries_from_bundle(to_bundle(entries).value()).value(), entries);
  EXPECT_TRUE(entries_from_bundle(to_bundle({}).value()).value().empty());
}

TEST(Bundle, that_is_not_whole_gives_nothing) {
  const std::string bundle = to_bundle({platform_entry(), processor_entry()}).value();
  std::size_t second = bundle.find('\n') + 1, third = bundle.find('\n', second) + 1;
  auto message = [](const std::string& text) {
    auto entries = entries_from_bundle(text);
    EXPECT_FALSE(entries);
    return entries ? "" : entries.error().message();
  };
  EXPECT_THAT(message(""), HasSubstr("no collateral bundle"));
  EXPECT_THAT(message("{}\n"), HasSubstr("no collateral bundle"));
  EXPECT_THAT(message(to_line(platform_entry())), HasSubstr("no collateral bundle"));
  EXPECT_THAT(message(bundle.substr(0, second)), HasSubstr("speaks of 2 entries, 0 are there"));
  EXPECT_THAT(message(bundle.substr(0, third)), HasSubstr("speaks of 2 entries, 1 are there"));
  EXPECT_THAT(message(bundle.substr(0, bundle.size() - 1)), HasSubstr("speaks of 2 entries, 1 are there"));
  EXPECT_THAT(message(bundle + "\n"), HasSubstr("goes on after its 2 entries"));
  std::string damaged = bundle;
  damaged[third + 300] ^= 1;
  EXPECT_THAT(message(damaged), HasSubstr("line 3"));
  EXPECT_THAT(message("{\"format\":\"enclayer collateral bundle\",\"version\":1,\"entries\":1025}\n"),
              HasSubstr("more than 1024"));
  auto later = entries_from_bundle("{\"format\":\"enclayer collateral bundle\",\"version\":2}\n");
  ASSERT_FALSE(later);
  EXPECT_EQ(later.error().kind(), ErrorKind::kUnsupported);
  EXPECT_THAT(later.error().message(), HasSubstr("version 2"));
}

TEST(Bundle, beyond_its_limits_is_neither_written_nor_read) {
  EXPECT_EQ(to_bundle(std::vector<Entry>(kMaxBundleEntries + 1, platform_entry())).error().kind(),
            ErrorKind::kExhausted);
  EXPECT_EQ(entries_from_bundle(std::string(kMaxBundleSize + 1, '\n')).error().kind(), ErrorKind::kMalformed);
}

}  // namespace
}  // namespace enclayer::collateral
