// SPDX-License-Identifier: Apache-2.0
// `enclayer sim case`, the real binary: what it writes is what `enclayer verify` judges as it says.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/file.h"
#include "fake/process.h"
#include "fake/temp_folder.h"

namespace enclayer {
namespace {

namespace fs = std::filesystem;
using fake::Finished;
using nlohmann::json;
using testing::HasSubstr;
using testing::StartsWith;

constexpr char kAt[] = "2026-11-21T10:00:00Z";

Finished enclayer_cli(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), ENCLAYER_BIN_DIR "/enclayer");
  return fake::run(arguments);
}

Finished sim_case(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {"sim", "case"});
  return enclayer_cli(arguments);
}

std::string text_of(const fs::path& file) { return base::read_text(file, 1 << 20).value(); }

Finished verify(const fs::path& folder, const std::string& at, std::vector<std::string> more = {}) {
  std::vector<std::string> arguments = {"verify",
                                        "--quote",
                                        folder / "quote.bin",
                                        "--collateral",
                                        folder / "collateral.json",
                                        "--root-ca",
                                        folder / "root.pem",
                                        "--at",
                                        at,
                                        "--output",
                                        "json"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return enclayer_cli(arguments);
}

TEST(SimCaseCommand, verify_says_of_every_case_what_it_is_expected_to_say) {
  fake::TempFolder folder;
  Finished written = sim_case({"--all", "--out-dir", folder.path(), "--at", kAt, "--output", "json"});
  ASSERT_EQ(written.exit_code, 0) << written.err;
  json cases = json::parse(written.out);
  ASSERT_GT(cases.size(), 100U);
  for (const json& which : cases) {
    SCOPED_TRACE(which["case"]);
    fs::path there = folder.path() / which["case"].get<std::string>();
    EXPECT_EQ(which["folder"], there.string());
    json expected = json::parse(text_of(there / "expected.json"));
    EXPECT_EQ(expected["at"], kAt);
    Finished finished = verify(there, kAt);
    json said = json::parse(finished.out);
    EXPECT_EQ(finished.exit_code, expected["verdict"] == "trusted" ? 0 : 2);
    for (const char* key :
         {"verdict", "reason", "simulated", "tcb_status", "advisory_ids", "tcb_evaluation_data_number"})
      EXPECT_EQ(said[key], expected[key]) << key;
    EXPECT_EQ(said["root"], "custom");
    if (expected["accept"] == false || expected["verdict"] == "trusted") continue;
    EXPECT_EQ(verify(there, kAt, {"--accept-tcb", expected["tcb_status"]}).exit_code, 0);
  }
}

TEST(SimCaseCommand, one_case_is_written_into_the_folder_and_is_of_now) {
  fake::TempFolder folder;
  fs::path there = folder.path() / "new" / "case";
  Finished finished = sim_case({"pck-revoked", "--out-dir", there});
  ASSERT_EQ(finished.exit_code, 0) << finished.err;
  EXPECT_EQ(finished.out, there.string() + ": untrusted, SGX_PCK_REVOKED\n");
  EXPECT_EQ(std::distance(fs::directory_iterator(there), {}), 5);
  json expected = json::parse(text_of(there / "expected.json"));
  EXPECT_EQ(expected["case"], "pck-revoked");
  Finished now = enclayer_cli({"verify", "--quote", there / "quote.bin", "--collateral", there / "collateral.json",
                               "--root-ca", there / "root.pem", "--output", "json"});
  EXPECT_EQ(json::parse(now.out)["reason"], "SGX_PCK_REVOKED") << "made for now, judged now";
  std::string readme = text_of(there / "README");
  EXPECT_THAT(readme, StartsWith("SIMULATED"));
  EXPECT_THAT(readme, HasSubstr("--at " + expected["at"].get<std::string>()));
  EXPECT_EQ(std::count(readme.begin(), readme.end(), '\n'), 1);
  for (const char* name : {"quote.bin", "root.pem"})
    EXPECT_THAT(base::as_text(base::read_file(there / name, 1 << 20).value()), HasSubstr("-----BEGIN CERTIFICATE"));
}

TEST(SimCaseCommand, folder_that_is_there_keeps_its_mode_and_its_other_files) {
  fake::TempFolder folder;
  ASSERT_TRUE(base::make_folder(folder.path() / "mine", 0711));
  ASSERT_TRUE(base::write_file_atomic(folder.path() / "mine" / "note", {}, 0600));
  for (int i = 0; i < 2; ++i) EXPECT_EQ(sim_case({"up-to-date", "--out-dir", folder.path() / "mine"}).exit_code, 0);
  struct stat found {};
  ASSERT_EQ(::stat((folder.path() / "mine").c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 07777, 0711U);
  EXPECT_TRUE(fs::exists(folder.path() / "mine" / "note"));
}

TEST(SimCaseCommand, list_names_every_case_once_for_people_and_for_programs) {
  Finished text = sim_case({"--list"});
  Finished programs = sim_case({"--list", "--output", "json"});
  EXPECT_EQ(text.exit_code, 0);
  EXPECT_EQ(programs.exit_code, 0);
  json cases = json::parse(programs.out);
  EXPECT_EQ(static_cast<std::size_t>(std::count(text.out.begin(), text.out.end(), '\n')), cases.size());
  for (const json& which : cases) {
    EXPECT_THAT(text.out, HasSubstr(which["case"].get<std::string>() + " "));
    EXPECT_THAT(text.out, HasSubstr(" " + which["what"].get<std::string>() + "\n"));
    EXPECT_FALSE(which.contains("at"));
  }
  EXPECT_EQ(cases[0]["case"], "up-to-date");
  EXPECT_EQ(cases[0]["verdict"], "trusted");
}

TEST(SimCaseCommand, misuse_ends_with_1_and_writes_nothing) {
  fake::TempFolder folder;
  std::string out = folder.path() / "out";
  for (const auto& arguments :
       std::vector<std::vector<std::string>>{{},
                                             {"pck-revoked"},
                                             {"--all"},
                                             {"--out-dir", out},
                                             {"nonsense", "--out-dir", out},
                                             {"pck-revoked", "more", "--out-dir", out},
                                             {"pck-revoked", "--all", "--out-dir", out},
                                             {"pck-revoked", "--list"},
                                             {"--list", "--all"},
                                             {"--list", "--out-dir", out},
                                             {"--all", "--out-dir", out, "--at", "today"},
                                             {"--all", "--out-dir", out, "--at", "1999-12-31T23:59:59Z"},
                                             {"--all", "--out-dir", out, "--at", "9900-01-01T00:00:00Z"},
                                             {"--list", "--output", "xml"}}) {
    Finished finished = sim_case(arguments);
    EXPECT_EQ(finished.exit_code, 1) << testing::PrintToString(arguments);
    EXPECT_EQ(finished.out, "");
    EXPECT_FALSE(fs::exists(out));
  }
  EXPECT_THAT(sim_case({"nonsense", "--out-dir", out}).err, HasSubstr("enclayer sim case --list"));
}

TEST(SimCaseCommand, folder_that_cannot_be_written_is_named_and_ends_with_3) {
  fake::TempFolder folder;
  fs::path file = folder.path() / "file";
  ASSERT_TRUE(base::write_file_atomic(file, {}, 0600));
  Finished finished = sim_case({"up-to-date", "--out-dir", file / "below"});
  EXPECT_EQ(finished.exit_code, 3);
  EXPECT_THAT(finished.err, HasSubstr(file.string()));
  EXPECT_EQ(finished.out, "");
}

}  // namespace
}  // namespace enclayer
