// SPDX-License-Identifier: Apache-2.0
#include "attest/callers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "fake/http_service.h"
#include "fake/temp_folder.h"

namespace enclayer::attest {
namespace {

using nlohmann::json;
using testing::HasSubstr;

class CallersTest : public testing::Test {
 protected:
  CallersTest() {
    folder_.write("token", "ours");
    folder_.write("ca.crt", tls_.authority);
  }
  Callers callers(std::vector<std::string> subjects, std::vector<std::string> accounts) const {
    return Callers({.subjects = std::move(subjects),
                    .accounts = std::move(accounts),
                    .audience = "secrets",
                    .api_server = api_.url(),
                    .account = folder_.path()});
  }
  // An API server that knows the token "backup's", for the audience that it is told.
  json review(const json& spec) const {
    if (spec.at("token") != "backups") return {{"authenticated", false}};
    json status = {{"authenticated", true}, {"user", {{"username", "system:serviceaccount:bank:backup"}}}};
    if (knows_audiences_) status["audiences"] = spec.at("audiences");
    return status;
  }

  fake::TempFolder folder_;
  bool knows_audiences_ = true;
  int status_ = 201;
  const fake::TlsIdentity tls_ = fake::make_tls_identity();
  std::function<void()> meanwhile_ = [] {};
  fake::HttpService api_{[this](const fake::HttpRequest& request) {
                           meanwhile_();
                           const json asked = json::parse(request.body);
                           return fake::http_answer(status_, json{{"status", review(asked.at("spec"))}}.dump());
                         },
                         tls_};
};

TEST_F(CallersTest, nobody_may_ask_unless_named) {
  const Callers none = callers({}, {});
  EXPECT_FALSE(none.anybody());
  EXPECT_EQ(none.caller_of({.client = "CN=backup"}).error().code(), 403u);
  EXPECT_EQ(none.caller_of({.authorization = "Bearer backups"}).error().code(), 401u);
  EXPECT_EQ(none.caller_of({}).error().code(), 401u);
  EXPECT_TRUE(api_.requests().empty());
}

TEST_F(CallersTest, certificate_is_known_by_its_whole_subject) {
  const Callers one = callers({"CN=backup,O=bank"}, {});
  EXPECT_EQ(one.caller_of({.client = "CN=backup,O=bank"}).value(), "CN=backup,O=bank");
  for (const char* other : {"CN=backup", "CN=backup,O=bank,C=X", "O=bank", "cn=backup,o=bank"})
    EXPECT_EQ(one.caller_of({.client = other}).error().code(), 403u) << other;
}

TEST_F(CallersTest, account_is_whom_the_api_server_names_for_our_audience) {
  const Callers one = callers({}, {"system:serviceaccount:bank:backup"});
  EXPECT_EQ(one.caller_of({.authorization = "Bearer backups"}).value(), "system:serviceaccount:bank:backup");
  EXPECT_EQ(one.caller_of({.authorization = "Bearer stolen"}).error().code(), 401u);
  EXPECT_EQ(one.caller_of({.authorization = "Basic backups"}).error().code(), 401u);
  EXPECT_EQ(one.caller_of({.authorization = "Bearer x\ty"}).error().code(), 401u);
  EXPECT_EQ(
      callers({}, {"system:serviceaccount:bank:other"}).caller_of({.authorization = "Bearer backups"}).error().code(),
      403u);
  knows_audiences_ = false;  // it ignored what it was asked
  EXPECT_EQ(one.caller_of({.authorization = "Bearer backups"}).error().code(), 401u);
}

TEST_F(CallersTest, api_server_is_asked_about_one_caller_at_a_time) {
  const Callers one = callers({}, {"system:serviceaccount:bank:backup"});
  Result<std::string> second = Error(ErrorKind::kInternal, "not asked");
  meanwhile_ = [&] { second = one.caller_of({.authorization = "Bearer backups"}); };
  EXPECT_TRUE(one.caller_of({.authorization = "Bearer backups"}));
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind(), ErrorKind::kUnavailable);
  EXPECT_EQ(api_.requests().size(), 1u);
}

TEST_F(CallersTest, api_server_that_does_not_say_lets_nobody_in) {
  status_ = 403;
  auto answer = callers({}, {"system:serviceaccount:bank:backup"}).caller_of({.authorization = "Bearer backups"});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind(), ErrorKind::kUnavailable);
  EXPECT_THAT(answer.error().message(), HasSubstr("403"));
}

}  // namespace
}  // namespace enclayer::attest
