// SPDX-License-Identifier: Apache-2.0
#include "sim/platform.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <map>
#include <thread>

#include "base/bytes.h"
#include "base/file.h"
#include "fake/temp_folder.h"

namespace enclayer::sim {
namespace {

namespace fs = std::filesystem;
using std::chrono::days;
using std::chrono::seconds;

const Time kNow = parse_time("2026-11-21T10:00:00Z").value();

mode_t mode(const fs::path& path) {
  struct stat found {};
  EXPECT_EQ(::lstat(path.c_str(), &found), 0) << path;
  return found.st_mode & 07777;
}

// Every file below a folder, with its content.
std::map<std::string, std::string> content(const fs::path& folder) {
  std::map<std::string, std::string> out;
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    if (entry.is_regular_file())
      out[fs::relative(entry.path(), folder)] = base::read_text(entry.path(), 1 << 20).value();
  return out;
}

class SimPlatformTest : public testing::Test {
 protected:
  fs::path dir() const { return folder_.path() / "state"; }
  fs::path secret(const char* name) const { return dir() / "private" / name; }
  void write(const fs::path& path, std::string_view text) {
    ASSERT_TRUE(base::write_file_atomic(path, base::as_bytes(text), 0600));
  }
  // The error of opening; and nothing may have changed by it.
  Error refusal() {
    auto before = content(dir());
    auto opened = Platform::open(dir(), kNow);
    EXPECT_FALSE(opened) << "opened";
    EXPECT_EQ(content(dir()), before) << "a damaged state folder was touched";
    return opened ? Error(ErrorKind::kInternal, "") : opened.error();
  }

  fake::TempFolder folder_;
};

TEST_F(SimPlatformTest, first_start_makes_private_and_public_files_with_their_modes) {
  ASSERT_TRUE(Platform::open(dir(), kNow));
  EXPECT_EQ(mode(dir()), 0755u);
  EXPECT_EQ(mode(dir() / "private"), 0700u);
  EXPECT_EQ(mode(dir() / "public"), 0755u);
  EXPECT_EQ(content(dir() / "private").size(), 9u);
  for (const auto& entry : fs::directory_iterator(dir() / "private")) EXPECT_EQ(mode(entry.path()), 0600u);
  EXPECT_EQ(mode(public_root_path(dir())), 0644u);
  EXPECT_EQ(mode(public_collateral_path(dir())), 0644u);
  EXPECT_EQ(std::distance(fs::directory_iterator(dir()), {}), 3)
      << "something besides private, public and lock was left";
}

TEST_F(SimPlatformTest, next_start_has_the_same_keys_and_changes_no_file) {
  auto first = Platform::open(dir(), kNow).value();
  auto before = content(dir());
  auto second = Platform::open(dir(), kNow + days(1)).value();
  EXPECT_EQ(content(dir()), before);
  EXPECT_EQ(first.attestation_key().public_key(), second.attestation_key().public_key());
  EXPECT_EQ(first.ca().pck_chain(), second.ca().pck_chain());
}

TEST_F(SimPlatformTest, folder_that_was_there_keeps_its_mode) {
  ASSERT_TRUE(base::make_folder(dir(), 0711));
  ASSERT_TRUE(Platform::open(dir(), kNow));
  EXPECT_EQ(mode(dir()), 0711u);
}

TEST_F(SimPlatformTest, parallel_starts_get_the_same_keys) {
  std::vector<std::thread> starts;
  std::vector<std::string> chains(8);
  for (std::string& chain : chains)
    starts.emplace_back([&chain, this] { chain = Platform::open(dir(), kNow)->ca().pck_chain(); });
  for (std::thread& start : starts) start.join();
  for (const std::string& chain : chains) EXPECT_EQ(chain, chains[0]);
}

TEST_F(SimPlatformTest, what_a_crash_left_behind_is_cleared_away) {
  ASSERT_TRUE(base::make_folder(dir() / "private.new.abcdef", 0700));
  write(dir() / "private.new.abcdef" / "root.key", "half a key");
  ASSERT_TRUE(Platform::open(dir(), kNow));
  EXPECT_FALSE(fs::exists(dir() / "private.new.abcdef"));
}

TEST_F(SimPlatformTest, collateral_is_issued_again_at_half_of_its_life) {
  auto platform = Platform::open(dir(), kNow).value();
  auto before = content(dir());
  EXPECT_FALSE(platform.renew(kNow + days(14)).value());
  EXPECT_EQ(content(dir()), before);

  EXPECT_TRUE(platform.renew(kNow + days(15)).value());
  auto after = content(dir());
  EXPECT_NE(after["public/collateral.json"], before["public/collateral.json"]) << "nothing was issued";
  before["public/collateral.json"] = after["public/collateral.json"];
  EXPECT_EQ(after, before) << "more than the collateral changed";
  EXPECT_FALSE(platform.renew(kNow + days(16)).value());
}

TEST_F(SimPlatformTest, start_with_old_missing_or_broken_collateral_issues_it_again) {
  ASSERT_TRUE(Platform::open(dir(), kNow));
  auto issued = [&] {
    auto json = base::read_text(public_collateral_path(dir()), 1 << 20).value();
    return parse_collateral_json(json)->tcb_info.substr(0, 60);
  };
  std::string first = issued();
  ASSERT_TRUE(Platform::open(dir(), kNow + days(100)));
  std::string second = issued();
  EXPECT_NE(second, first);
  fs::remove(public_root_path(dir()));
  ASSERT_TRUE(Platform::open(dir(), kNow + days(100) + seconds(1)));
  EXPECT_TRUE(fs::exists(public_root_path(dir())));
  std::string third = issued();
  EXPECT_NE(third, second);
  write(public_collateral_path(dir()), "{");
  ASSERT_TRUE(Platform::open(dir(), kNow + days(100) + seconds(2)));
  EXPECT_NE(issued(), third);
  // The clock went back: what was issued in the future would be refused by everybody.
  ASSERT_TRUE(Platform::open(dir(), kNow));
  EXPECT_EQ(issued(), first);
}

TEST_F(SimPlatformTest, key_that_is_cut_off_is_reported_and_left) {
  ASSERT_TRUE(Platform::open(dir(), kNow));
  for (const char* name : {"root.key", "pck-ca.key", "tcb-signing.key", "pck.key", "attestation.key"}) {
    std::string whole = base::read_text(secret(name), 1 << 20).value();
    write(secret(name), whole.substr(0, 100));
    Error error = refusal();
    EXPECT_EQ(error.kind(), ErrorKind::kMalformed);
    EXPECT_NE(error.message().find(secret(name).string() + ": not a private key in PEM form"), std::string::npos)
        << error.message();
    EXPECT_NE(error.message().find("mv " + (dir() / "private").string()), std::string::npos) << "no remedy";
    write(secret(name), whole);
  }
  EXPECT_TRUE(Platform::open(dir(), kNow));
}

TEST_F(SimPlatformTest, certificate_of_another_key_or_authority_is_reported_and_left) {
  ASSERT_TRUE(Platform::open(dir(), kNow));
  fake::TempFolder elsewhere;
  ASSERT_TRUE(Platform::open(elsewhere.path() / "state", kNow));
  fs::path other = elsewhere.path() / "state" / "private";

  std::string mine = base::read_text(secret("pck.crt"), 1 << 20).value();
  fs::copy_file(other / "pck.crt", secret("pck.crt"), fs::copy_options::overwrite_existing);
  EXPECT_NE(refusal().message().find("pck.crt: the certificate is for another key"), std::string::npos);

  fs::copy_file(other / "pck.key", secret("pck.key"), fs::copy_options::overwrite_existing);
  EXPECT_NE(refusal().message().find("pck.crt: the certificate was not signed by the authority"), std::string::npos);

  write(secret("pck.crt"), mine.substr(0, 300));
  EXPECT_NE(refusal().message().find("pck.crt: not a certificate in PEM form"), std::string::npos);
}

TEST_F(SimPlatformTest, missing_key_is_reported_and_not_made_anew) {
  ASSERT_TRUE(Platform::open(dir(), kNow));
  fs::remove(secret("attestation.key"));
  EXPECT_NE(refusal().message().find("attestation.key: it is missing"), std::string::npos);
}

TEST_F(SimPlatformTest, keys_that_others_can_read_are_reported_with_the_remedy) {
  ASSERT_TRUE(Platform::open(dir(), kNow));
  ASSERT_EQ(::chmod(secret("root.key").c_str(), 0644), 0);
  Error error = refusal();
  EXPECT_EQ(error.kind(), ErrorKind::kPermissionDenied);
  EXPECT_NE(error.message().find("mode 0644"), std::string::npos) << error.message();
  EXPECT_NE(error.message().find("chmod 0600 " + secret("root.key").string()), std::string::npos) << error.message();
  ASSERT_EQ(::chmod(secret("root.key").c_str(), 0600), 0);
  ASSERT_EQ(::chmod((dir() / "private").c_str(), 0750), 0);
  EXPECT_NE(refusal().message().find("chmod 0700"), std::string::npos);
}

TEST_F(SimPlatformTest, links_and_folders_in_place_of_keys_are_not_followed) {
  ASSERT_TRUE(Platform::open(dir(), kNow));
  fs::rename(secret("pck.key"), dir() / "elsewhere.key");
  fs::create_symlink(dir() / "elsewhere.key", secret("pck.key"));
  EXPECT_NE(refusal().message().find("pck.key is not a plain file"), std::string::npos);
}

TEST_F(SimPlatformTest, certificates_past_their_life_are_reported) {
  ASSERT_TRUE(Platform::open(dir(), kNow));
  auto later = Platform::open(dir(), kNow + days(21 * 365));
  ASSERT_FALSE(later);
  EXPECT_NE(later.error().message().find("has expired"), std::string::npos);
}

}  // namespace
}  // namespace enclayer::sim
