// SPDX-License-Identifier: Apache-2.0
#include "attest/key_release.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "attest/jwe.h"
#include "base/bytes.h"
#include "fake/temp_folder.h"

namespace enclayer::attest {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;

void write(const fs::path& path, std::string_view text) {
  ASSERT_TRUE(base::write_file_atomic(path, base::as_bytes(text), 0600));
}

class SecretFolderTest : public testing::Test {
 protected:
  std::string read(std::string_view name) {
    auto found = SecretFolder::open(folder())->read(name, 64);
    return found ? std::string(base::as_text(*found)) : std::string(to_string(found.error().kind()));
  }
  fs::path folder() {
    fs::create_directories(tree_.path() / "secrets");
    return tree_.path() / "secrets";
  }
  fake::TempFolder tree_;
};

TEST_F(SecretFolderTest, gives_files_as_kubelet_mounts_them_and_as_it_updates_them) {
  for (const char* version : {"..2026_11_29", "..2026_11_30"}) {
    fs::create_directories(folder() / version);
    write(folder() / version / "password", version);
  }
  fs::create_directory_symlink("..2026_11_29", folder() / "..data");
  fs::create_symlink("..data/password", folder() / "password");
  EXPECT_EQ(read("password"), "..2026_11_29");
  fs::remove(folder() / "..data");
  fs::create_directory_symlink("..2026_11_30", folder() / "..data");
  EXPECT_EQ(read("password"), "..2026_11_30");
}

TEST_F(SecretFolderTest, takes_no_name_that_is_a_path) {
  write(tree_.path() / "outside", "no");
  for (const char* name :
       {"", ".", "..", "../outside", "/etc/passwd", "a/b", ".hidden", "..data", "a\nb", "a b", "\xc3\xa4"})
    EXPECT_EQ(read(name), "invalid-argument") << name;
  EXPECT_EQ(read(std::string(SecretFolder::kMaxName + 1, 'a')), "invalid-argument");
  EXPECT_EQ(read("missing"), "not-found");
}

TEST_F(SecretFolderTest, follows_no_link_that_leads_out) {
  write(tree_.path() / "outside", "no");
  fs::create_symlink("../outside", folder() / "relative");
  fs::create_symlink(tree_.path() / "outside", folder() / "absolute");
  fs::create_directory_symlink("..", folder() / "..data");
  fs::create_symlink("..data/outside", folder() / "by-folder");
  fs::create_symlink("/proc/self/environ", folder() / "proc");
  for (const char* name : {"relative", "absolute", "by-folder", "proc"})
    EXPECT_EQ(read(name), "permission-denied") << name;
}

TEST_F(SecretFolderTest, takes_plain_files_of_a_bounded_size_alone) {
  write(folder() / "most", std::string(64, 'a'));
  write(folder() / "more", std::string(65, 'a'));
  write(folder() / "empty", "");
  fs::create_directory(folder() / "folder");
  ASSERT_EQ(::mkfifo((folder() / "pipe").c_str(), 0600), 0);
  EXPECT_EQ(read("most"), std::string(64, 'a'));
  EXPECT_EQ(read("more"), "malformed");
  EXPECT_EQ(read("empty"), "malformed");
  EXPECT_EQ(read("folder"), "permission-denied");
  EXPECT_EQ(read("pipe"), "permission-denied") << "and nobody was waited for";
}

constexpr char kPolicy[] =
    R"({"version":"1.0.0","anyOf":[{"authority":"https://attest.example","allOf":[{"claim":"x-ms-sgx-mrsigner","equals":"aa"}]}]})";
constexpr char kClaims[] = R"({"iss":"https://attest.example","x-ms-sgx-mrsigner":"aa"})";

class KeyReleaseTest : public testing::Test {
 protected:
  KeyReleaseTest() {
    for (const char* name : {"secrets", "policies"}) fs::create_directory(tree_.path() / name);
    write(tree_.path() / "secrets" / "db-password", "correct horse");
    write(tree_.path() / "policies" / "db-password.json", kPolicy);
  }
  Result<std::string> release(std::string_view name, std::string_view claims, std::string_view runtime_data) {
    KeyRelease door(SecretFolder::open(tree_.path() / "secrets").value(),
                    SecretFolder::open(tree_.path() / "policies").value(),
                    [this](const ReleaseAudit& audit) { audits_.push_back(audit); });
    return door.release({name, claims, runtime_data, "9f00"});
  }
  std::string refusal(std::string_view name, std::string_view claims) {
    auto found = release(name, claims, runtime_data_);
    return found ? "(released)" : found.error().message();
  }

  fake::TempFolder tree_;
  const DecryptionKey key_ = DecryptionKey::generate(DecryptionKey::Kind::kP256).value();
  const std::string runtime_data_ = R"({"keys":[)" + key_.jwk() + R"(],"session":"nobody's business"})";
  std::vector<ReleaseAudit> audits_;
};

TEST_F(KeyReleaseTest, wraps_the_secret_to_the_key_in_the_evidence) {
  auto jwe = release("db-password", kClaims, runtime_data_);
  ASSERT_TRUE(jwe) << jwe.error().message();
  EXPECT_EQ(base::as_text(key_.decrypt(*jwe).value()), "correct horse");
}

TEST_F(KeyReleaseTest, tells_who_is_refused_nothing_and_the_audit_why) {
  write(tree_.path() / "secrets" / "no-policy", "s");
  write(tree_.path() / "policies" / "no-secret.json", kPolicy);
  write(tree_.path() / "secrets" / "broken", "s");
  write(tree_.path() / "policies" / "broken.json", "{}");
  const std::string same = refusal("db-password", R"({"iss":"https://attest.example","x-ms-sgx-mrsigner":"bb"})");
  EXPECT_EQ(same, "no secret of this name is released to this evidence");
  EXPECT_THAT(audits_.back().reason, HasSubstr("conditions are not met"));
  EXPECT_EQ(refusal("unknown", kClaims), same);
  EXPECT_EQ(refusal("no-policy", kClaims), same);
  EXPECT_THAT(audits_.back().reason, HasSubstr("no-policy.json"));
  EXPECT_EQ(refusal("no-secret", kClaims), same);
  EXPECT_EQ(refusal("broken", kClaims), same);
  EXPECT_THAT(audits_.back().reason, HasSubstr("\"version\""));
  EXPECT_EQ(audits_.size(), 5u);
  for (const ReleaseAudit& audit : audits_) EXPECT_FALSE(audit.released);
}

TEST_F(KeyReleaseTest, opens_what_is_sealed_and_says_to_no_one_else_that_it_cannot) {
  std::vector<std::string> opened;
  Error failure(ErrorKind::kUnavailable, "Vault is sealed");
  bool well = true;
  KeyRelease door(
      SecretFolder::open(tree_.path() / "secrets").value(), SecretFolder::open(tree_.path() / "policies").value(),
      [this](const ReleaseAudit& audit) { audits_.push_back(audit); },
      [&](std::string_view name, ByteView stored) -> Result<Bytes> {
        opened.push_back(std::string(name) + ": " + std::string(base::as_text(stored)));
        if (!well) return failure;
        const ByteView secret = base::as_bytes("open sesame");
        return Bytes(secret.begin(), secret.end());
      },
      32);
  auto jwe = door.release({"db-password", kClaims, runtime_data_, "9f00"});
  ASSERT_TRUE(jwe) << jwe.error().message();
  EXPECT_EQ(base::as_text(key_.decrypt(*jwe).value()), "open sesame");
  EXPECT_THAT(opened, testing::ElementsAre("db-password: correct horse"));

  well = false;
  auto later = door.release({"db-password", kClaims, runtime_data_, "9f00"});
  ASSERT_FALSE(later);
  EXPECT_EQ(later.error().kind(), ErrorKind::kUnavailable);
  EXPECT_THAT(later.error().message(), Not(HasSubstr("Vault")));
  EXPECT_EQ(audits_.back().reason, "Vault is sealed");
  failure = Error(ErrorKind::kMalformed, "Vault does not decrypt it");
  auto never = door.release({"db-password", kClaims, runtime_data_, "9f00"});
  ASSERT_FALSE(never);
  EXPECT_EQ(never.error().kind(), ErrorKind::kPermissionDenied);

  opened.clear();
  EXPECT_EQ(door.release({"db-password", R"({"iss":"https://attest.example"})", runtime_data_, "9f00"}).error().kind(),
            ErrorKind::kPermissionDenied);
  write(tree_.path() / "secrets" / "db-password", std::string(33, 'a'));
  EXPECT_EQ(door.release({"db-password", kClaims, runtime_data_, "9f00"}).error().kind(), ErrorKind::kPermissionDenied);
  EXPECT_TRUE(opened.empty());
}

TEST_F(KeyReleaseTest, says_in_one_line_which_policy_gave_what_to_which_key) {
  ASSERT_TRUE(release("db-password", kClaims, runtime_data_));
  ASSERT_EQ(audits_.size(), 1u);
  const ReleaseAudit& audit = audits_[0];
  EXPECT_TRUE(audit.released);
  EXPECT_EQ(audit.secret, "db-password");
  EXPECT_EQ(audit.quote_sha256, "9f00");
  EXPECT_EQ(audit.policy_sha256.size(), 64u);
  EXPECT_EQ(audit.wrapped_to, key_.public_key().thumbprint());
  EXPECT_EQ(audit.reason, "");
}

TEST_F(KeyReleaseTest, never_shows_runtime_data_or_a_secret_in_the_audit) {
  (void)release("db-password", kClaims, runtime_data_);
  (void)release("db-password", "{}", runtime_data_);
  (void)release("db-password", kClaims, R"({"keys":[{"kty":"RSA","use":"enc","n":"nobody's business"}]})");
  (void)release("db-password", kClaims, R"({"keys":[{"kty":"RSA","use":"enc","alg":"nobody's business"}]})");
  (void)release("db-password", kClaims, "{\"nobody's business\x01\"}");
  ASSERT_EQ(audits_.size(), 5u);
  for (const ReleaseAudit& a : audits_)
    for (const std::string& field : {a.secret, a.reason, a.policy_sha256, a.quote_sha256, a.wrapped_to}) {
      EXPECT_THAT(field, Not(HasSubstr("business")));
      EXPECT_THAT(field, Not(HasSubstr("horse")));
    }
}

TEST_F(KeyReleaseTest, refuses_evidence_without_a_key_that_can_be_wrapped_to) {
  for (const char* data :
       {"{}", R"({"keys":[]})", R"({"keys":[{"kty":"RSA","use":"enc","alg":"RSA1_5","n":"AQAB","e":"AQAB"}]})"}) {
    auto found = release("db-password", kClaims, data);
    ASSERT_FALSE(found) << data;
    EXPECT_EQ(found.error().kind(), ErrorKind::kInvalidArgument) << data;
  }
}

TEST_F(KeyReleaseTest, takes_no_name_that_is_a_path) {
  auto found = release("../policies/db-password.json", kClaims, runtime_data_);
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().kind(), ErrorKind::kInvalidArgument);
  EXPECT_TRUE(audits_.empty());
}

}  // namespace
}  // namespace enclayer::attest
