// SPDX-License-Identifier: Apache-2.0
#include "slots/slots.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/file.h"
#include "fake/temp_folder.h"

namespace enclayer::slots {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

struct stat status_of(const fs::path& path) {
  struct stat found {};
  EXPECT_EQ(::lstat(path.c_str(), &found), 0) << path;
  return found;
}

TEST(MakeSlot, is_a_folder_that_the_helpers_group_may_write_to_below_one_that_is_roots_alone) {
  fake::TempFolder folder;
  fs::path parent = folder.path() / "run" / "quotes";
  ASSERT_TRUE(make_slot(parent, "p0"));
  EXPECT_EQ(status_of(parent).st_mode & 07777, 0755u);
  EXPECT_EQ(status_of(parent / "p0").st_mode & 07777, 0775u);
  EXPECT_EQ(status_of(parent / "p0").st_gid, ::geteuid() == 0 ? kHelperGroup : ::getegid());
}

TEST(MakeSlot, mends_a_folder_that_is_there_and_keeps_it_because_containers_hold_on_to_it) {
  fake::TempFolder folder;
  ASSERT_TRUE(make_slot(folder.path(), "p0"));
  auto before = status_of(folder.path() / "p0");
  ASSERT_EQ(::chmod((folder.path() / "p0").c_str(), 0700), 0);
  ASSERT_TRUE(make_slot(folder.path(), "p0"));
  auto after = status_of(folder.path() / "p0");
  EXPECT_EQ(after.st_ino, before.st_ino);
  EXPECT_EQ(after.st_mode & 07777, 0775u);
}

TEST(MakeSlot, takes_the_right_to_replace_a_slot_from_everybody_but_the_parents_owner) {
  fake::TempFolder folder;
  ASSERT_EQ(::chmod(folder.path().c_str(), 0777), 0);
  ASSERT_TRUE(make_slot(folder.path(), "p0"));
  EXPECT_EQ(status_of(folder.path()).st_mode & 07777, 0755u);
}

TEST(MakeSlot, refuses_a_link_or_a_file_in_its_place_and_names_that_lead_elsewhere) {
  fake::TempFolder folder, elsewhere;
  fs::create_directory_symlink(elsewhere.path(), folder.path() / "p0");
  ASSERT_TRUE(base::write_file_atomic(folder.path() / "p1", {}, 0644));
  for (const char* name : {"p0", "p1"}) {
    auto refused = make_slot(folder.path(), name);
    ASSERT_FALSE(refused) << name;
    EXPECT_EQ(refused.error().kind(), ErrorKind::kConflict);
    EXPECT_THAT(refused.error().message(), HasSubstr((folder.path() / name).string() + " is there and is no folder"));
  }
  for (const char* name : {"", ".", "..", "a/b", ".hidden", "a b"})
    EXPECT_EQ(make_slot(folder.path(), name).error().kind(), ErrorKind::kInvalidArgument) << name;
}

TEST(Holders, are_read_as_they_were_written) {
  fake::TempFolder folder;
  Holders holders{{"p0", {7, "bank", "ledger-0", "app", 64}}, {"p1", {3, "", "", "", 0}}};
  ASSERT_TRUE(write_holders(folder.path() / kHoldersFile, holders));
  EXPECT_EQ(read_holders(folder.path() / kHoldersFile).value(), holders);
  EXPECT_EQ(status_of(folder.path() / kHoldersFile).st_mode & 07777, 0644u);
}

TEST(Holders, have_names_that_the_reader_takes_or_none_at_all) {
  for (const char* name : {"web", "web-0.prod", "a"}) EXPECT_TRUE(is_holder_name(name)) << name;
  for (const std::string& name : std::vector<std::string>{"", ".", "a b", "a\n", std::string(254, 'a')})
    EXPECT_FALSE(is_holder_name(name)) << name;
}

TEST(Holders, of_a_newer_plugin_may_say_more) {
  auto holders = parse_holders(R"({"version": 2, "slots": {"p0": {"generation": 1, "colour": {"deep": {"er": 1}}}}})");
  ASSERT_TRUE(holders) << holders.error().message();
  EXPECT_EQ(holders->at("p0").generation, 1u);
}

TEST(Holders, that_are_half_huge_or_lying_are_malformed) {
  const std::string long_name(300, 'a');
  for (const std::string& json : std::vector<std::string>{
           "", "{", "[]", "{}", R"({"slots": 1})", R"({"slots": {"p0": 1}})",
           R"({"slots": {"../p0": {"generation": 1}}})", R"({"slots": {"p0": {"generation": -1}}})",
           R"({"slots": {"p0": {"generation": 1, "pod": "a\nb"}}})",
           R"({"slots": {"p0": {"generation": 1, "pod": ")" + long_name + R"("}}})",
           R"({"slots": {"p0": {"generation": 1, "pod": "web", "namespace": "shop"}}})",
           R"({"slots": {"p0": {"epcMiB": 1.5}}})", R"({"slots": {"p0": {"generation": 1}, "p0": {"generation": 2}}})",
           R"({"slots": {}} {})", R"({"slots": {"p0": {"generation": 99999999999999999999}}})",
           std::string(300'000, '['), std::string(kMostHoldersFile + 1, ' ')}) {
    auto holders = parse_holders(json);
    ASSERT_FALSE(holders) << json.substr(0, 100);
    EXPECT_EQ(holders.error().kind(), ErrorKind::kMalformed);
  }
  std::string many = R"({"slots": {)";
  for (std::size_t i = 0; i <= kMostSlots; ++i)
    many += (i == 0 ? "\"s" : ",\"s") + std::to_string(i) + R"(":{"generation":1})";
  EXPECT_THAT(parse_holders(many + "}}").error().message(), HasSubstr("more than 1024"));
  std::string more = R"({"slots": {}, "more": [0)";
  for (std::size_t i = 0; i < 16 * kMostSlots; ++i) more += ",0";
  EXPECT_THAT(parse_holders(more + "]}").error().message(), HasSubstr("more than 16384 values"));
}

}  // namespace
}  // namespace enclayer::slots
