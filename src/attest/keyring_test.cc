// SPDX-License-Identifier: Apache-2.0
#include "attest/keyring.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <mutex>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/file.h"
#include "fake/http_service.h"
#include "fake/temp_folder.h"

namespace enclayer::attest {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using testing::HasSubstr;

const Time kNow = parse_time("2026-11-29T12:00:00Z").value();

// An API server that has one Secret and one ConfigMap, and takes merge patches of them as a real one does.
class KeyringTest : public testing::Test {
 protected:
  KeyringTest() {
    account_.write("token", "ours");
    account_.write("ca.crt", tls_.authority);
  }

  Result<std::unique_ptr<Keyring>> replica(const std::string& name, Time now = kNow) {
    const auto folder = folder_.path() / name;
    Keyring::Options options{.signing = {.folder = folder}};
    options.certificate = ServerCertificate::open(folder, {"attest.bank.svc"}).value();
    options.secret.emplace(KeySecret::Options{{api_.url(), account_.path()}, "bank", "keys", folder});
    options.authority_map = "authority";
    return Keyring::open(std::move(options), now);
  }

  json& secret() { return objects_["/api/v1/namespaces/bank/secrets/keys"]; }
  json& config_map() { return objects_["/api/v1/namespaces/bank/configmaps/authority"]; }
  std::string file(const std::string& replica, const std::string& name) const {
    return base::read_text(folder_.path() / replica / name, 1 << 20).value();
  }

  fake::HttpAnswer answer(const fake::HttpRequest& request) {
    const std::lock_guard lock(mutex_);
    if (status_ != 200) return fake::http_answer(status_, "{}");
    const auto found = objects_.find(request.target);
    if (found == objects_.end()) return fake::http_answer(404, "{}");
    json& object = found->second;
    if (request.method == "PATCH") {
      before_patch_();
      const json patch = json::parse(request.body);
      const json version = patch.value("/metadata/resourceVersion"_json_pointer, object["metadata"]["resourceVersion"]);
      if (version != object["metadata"]["resourceVersion"]) return fake::http_answer(409, "{}");
      object.merge_patch(patch);
      object["metadata"]["resourceVersion"] = std::to_string(++version_);
      ++patches_;
    }
    return fake::http_answer(200, object.dump());
  }

  fake::TempFolder folder_, account_;
  std::mutex mutex_;
  int status_ = 200, version_ = 1, patches_ = 0;
  std::function<void()> before_patch_ = [] {};
  std::map<std::string, json> objects_ = {
      {"/api/v1/namespaces/bank/secrets/keys", {{"metadata", {{"name", "keys"}, {"resourceVersion", "1"}}}}},
      {"/api/v1/namespaces/bank/configmaps/authority", {{"metadata", {{"resourceVersion", "1"}}}}}};
  const fake::TlsIdentity tls_ = fake::make_tls_identity();
  fake::HttpService api_{[this](const fake::HttpRequest& request) { return answer(request); }, tls_};
};

TEST_F(KeyringTest, replicas_have_the_keys_of_the_first_one) {
  auto one = replica("one"), two = replica("two");
  ASSERT_TRUE(one) << one.error().message();
  ASSERT_TRUE(two) << two.error().message();
  EXPECT_EQ((*one)->signing().jwks(kNow), (*two)->signing().jwks(kNow));
  EXPECT_EQ((*one)->signing().nonce_key(), (*two)->signing().nonce_key());
  for (const char* name : {"tls.crt", "tls.key", "ca.crt", "nonce.key"})
    EXPECT_EQ(file("one", name), file("two", name));
  EXPECT_EQ(config_map().at("data"), (json{{"ca.crt", file("one", "ca.crt")}}));
  EXPECT_EQ(patches_, 2);  // the keys, and the authority
  EXPECT_EQ(secret().at("data").size(), 7u);
}

TEST_F(KeyringTest, replica_that_was_slower_takes_over_what_the_other_one_made) {
  before_patch_ = [this, first = true]() mutable {  // as if another one had written meanwhile
    if (!std::exchange(first, false)) return;
    secret()["data"]["nonce.key"] = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    secret()["metadata"]["resourceVersion"] = "other";
  };
  auto one = replica("one");
  ASSERT_TRUE(one) << one.error().message();
  EXPECT_EQ((*one)->signing().nonce_key(), (ByteArray<32>{}));
  auto two = replica("two");
  EXPECT_EQ((*one)->signing().jwks(kNow), (*two)->signing().jwks(kNow));
}

TEST_F(KeyringTest, keys_are_rotated_on_demand_and_the_new_one_is_published_by_all_before_it_signs) {
  auto one = replica("one").value(), two = replica("two").value();
  const auto old = one->signing().signing(Algorithm::kEs256, kNow)->id();
  secret()["metadata"]["annotations"][KeySecret::kRotateAt] = "2026-11-29T13:00:00Z";
  const Time early = kNow + 59min, due = kNow + 1h;
  ASSERT_TRUE(one->renew(early));
  EXPECT_EQ(one->signing().jwks(early), two->signing().jwks(early));
  ASSERT_TRUE(one->renew(due));
  ASSERT_TRUE(two->renew(due));
  EXPECT_EQ(json::parse(one->signing().jwks(due)).at("keys").size(), 4u);
  EXPECT_EQ(one->signing().jwks(due), two->signing().jwks(due));
  EXPECT_EQ(one->signing().signing(Algorithm::kEs256, due)->id(), old);
  const Time later = due + SigningKeys::kPublishedFirst;
  ASSERT_TRUE(one->renew(later));
  ASSERT_TRUE(two->renew(later));
  EXPECT_NE(one->signing().signing(Algorithm::kEs256, later)->id(), old);
  EXPECT_EQ(json::parse(one->signing().jwks(later)).at("keys").size(), 4u);  // once, and not each minute
  const Time dead = later + 1h;
  ASSERT_TRUE(two->renew(dead));
  EXPECT_EQ(json::parse(two->signing().jwks(dead)).at("keys").size(), 2u);
  EXPECT_EQ(secret().at("data").size(), 7u);
}

TEST_F(KeyringTest, emptied_secret_revokes_all_keys_at_once) {
  auto one = replica("one").value(), two = replica("two").value();
  const auto old = one->signing().jwks(kNow);
  secret()["data"] = nullptr;
  const Time later = kNow + Keyring::kLookEvery;
  ASSERT_TRUE(one->renew(later));
  ASSERT_TRUE(two->renew(later));
  EXPECT_NE(one->signing().jwks(later), old);
  EXPECT_EQ(one->signing().jwks(later), two->signing().jwks(later));
  EXPECT_EQ(one->signing().nonce_key(), two->signing().nonce_key());
}

TEST_F(KeyringTest, api_server_that_is_away_takes_no_key_away) {
  auto one = replica("one").value();
  const std::string keys = one->signing().jwks(kNow);
  status_ = 403;
  const Time later = kNow + Keyring::kLookEvery;
  EXPECT_TRUE(one->renew(later - 1s));  // it is not asked each time
  const auto refused = one->renew(later);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kPermissionDenied);
  EXPECT_THAT(refused.error().message(), HasSubstr("Secret bank/keys"));
  EXPECT_FALSE(one->renew(later + 1s));  // until all is well
  EXPECT_EQ(one->signing().jwks(later), keys);
  status_ = 200;
  EXPECT_TRUE(one->renew(later + 2s));
  EXPECT_EQ(one->signing().jwks(later), keys);
  objects_.clear();
  EXPECT_THAT(replica("two").error().message(), HasSubstr("it is not there"));
}

TEST_F(KeyringTest, what_is_no_file_of_ours_is_neither_written_nor_removed) {
  secret()["data"] = {{"README", "aGVsbG8="}, {".hidden.pem", "aGVsbG8="}, {"..crt", "aGVsbG8="}};
  auto one = replica("one");
  ASSERT_TRUE(one) << one.error().message();
  EXPECT_EQ(secret().at("data").at("README"), "aGVsbG8=");
  EXPECT_FALSE(std::filesystem::exists(folder_.path() / "one" / "README"));
  secret()["data"]["tls.crt"] = "no, base64!";
  EXPECT_THAT(replica("two").error().message(), HasSubstr("Secret bank/keys: tls.crt is no base64"));
  secret()["metadata"]["annotations"][KeySecret::kRotateAt] = "soon";
  secret()["data"].erase("tls.crt");
  EXPECT_THAT(replica("two").error().message(), HasSubstr("enclayer.io/rotate-at soon is no time"));
}

}  // namespace
}  // namespace enclayer::attest
