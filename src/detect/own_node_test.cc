// SPDX-License-Identifier: Apache-2.0
// The labels of a node, kept against an API server that has its moods.
#include "detect/own_node.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/bytes.h"
#include "base/file.h"
#include "fake/api_server.h"

namespace enclayer::detect {
namespace {

using fake::http_answer;
using fake::HttpAnswer;
using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::HasSubstr;

const Labels kWanted = {{"enclayer.io/sgx", "true"},
                        {"enclayer.io/epc-mib", "8192"},
                        {"enclayer.io/sgx-driver", "in-kernel"},
                        {"enclayer.io/platform", "hardware"}};
const Labels kSimulated = {{"enclayer.io/sgx", "true"},
                           {"enclayer.io/epc-mib", "8192"},
                           {"enclayer.io/sgx-driver", "sim"},
                           {"enclayer.io/platform", "sim"}};

class OwnNodeTest : public testing::Test {
 protected:
  OwnNodeTest() {
    options_.limits = api_limits();
    options_.pause = [this](milliseconds time) { pauses_.push_back(time); };
  }
  ~OwnNodeTest() override { EXPECT_EQ(api_.broken(), ""); }
  Result<Labelled> label(const Labels& wanted = kWanted, const std::string& name = "n1") {
    return label_node({api_.url(), api_.account()}, name, wanted, options_);
  }
  void expect_labels(Labels more) {
    more["kubernetes.io/os"] = "linux";
    EXPECT_EQ(api_.labels(), more);
  }

  fake::ApiServer api_;
  http::Options options_;
  std::vector<milliseconds> pauses_;
};

TEST_F(OwnNodeTest, labels_are_set_once_and_then_only_looked_at) {
  auto first = label();
  ASSERT_TRUE(first) << first.error().message();
  EXPECT_EQ(first->set.size(), 4u);
  EXPECT_TRUE(first->removed.empty());
  expect_labels(kWanted);
  auto second = label();
  ASSERT_TRUE(second);
  EXPECT_TRUE(second->set.empty());
  EXPECT_THAT(api_.methods(), ElementsAre("GET", "PATCH", "GET"));
}

TEST_F(OwnNodeTest, labels_are_removed_where_sgx_cannot_be_used_and_the_users_stay) {
  ASSERT_TRUE(label());
  api_.set("enclayer.io/sim", "true");
  auto done = label({});
  ASSERT_TRUE(done) << done.error().message();
  EXPECT_EQ(done->removed.size(), 4u);
  expect_labels({{"enclayer.io/sim", "true"}});
}

TEST_F(OwnNodeTest, a_runtime_that_may_pass_cdi_over_is_labelled_until_it_is_another) {
  Labels with_cdi = kWanted;
  with_cdi["enclayer.io/cdi"] = "false";
  api_.set_runtime("containerd://1.7.27");
  ASSERT_TRUE(label());
  expect_labels(with_cdi);
  api_.set_runtime("containerd://2.0.4");
  auto done = label();
  ASSERT_TRUE(done);
  EXPECT_THAT(done->removed, ElementsAre("enclayer.io/cdi"));
  expect_labels(kWanted);
  api_.set_runtime("containerd://1.7.27");
  ASSERT_TRUE(label({}));
  expect_labels({});
}

TEST_F(OwnNodeTest, what_somebody_removed_or_changed_is_put_right) {
  ASSERT_TRUE(label());
  api_.set("enclayer.io/sgx", std::nullopt);
  api_.set("enclayer.io/epc-mib", "1");
  auto done = label();
  ASSERT_TRUE(done);
  EXPECT_THAT(done->set, testing::UnorderedElementsAre("enclayer.io/sgx", "enclayer.io/epc-mib"));
  expect_labels(kWanted);
}

TEST_F(OwnNodeTest, simulation_labels_only_nodes_that_carry_the_users_label) {
  for (const char* value : {"", "false", "True"}) {
    if (*value != '\0') api_.set("enclayer.io/sim", value);
    auto done = label(kSimulated);
    ASSERT_TRUE(done) << done.error().message();
    EXPECT_TRUE(done->taken_out);
    EXPECT_FALSE(api_.labels().contains("enclayer.io/sgx"));
  }
  api_.set("enclayer.io/sim", "true");
  auto done = label(kSimulated);
  ASSERT_TRUE(done) << done.error().message();
  EXPECT_FALSE(done->taken_out);
  Labels expected = kSimulated;
  expected["enclayer.io/sim"] = "true";
  expect_labels(expected);
  api_.set("enclayer.io/sim", std::nullopt);
  EXPECT_TRUE(label(kSimulated)->taken_out);
  expect_labels({});
}

TEST_F(OwnNodeTest, refused_token_is_read_again) {
  api_.renew_token("second");
  api_.next([&](const fake::HttpRequest& request) {
    EXPECT_THAT(request.head, HasSubstr("Bearer first\r\n"));
    api_.write_token();
    return std::nullopt;  // 401
  });
  auto done = label();
  ASSERT_TRUE(done) << done.error().message();
  EXPECT_THAT(api_.methods(), ElementsAre("GET", "GET", "PATCH"));
}

TEST_F(OwnNodeTest, token_that_stays_refused_is_tried_twice_and_never_shown) {
  api_.renew_token("second");
  auto refused = label();
  ASSERT_FALSE(refused);
  EXPECT_THAT(api_.methods(), ElementsAre("GET", "GET"));
  EXPECT_THAT(refused.error().message(), HasSubstr("status 401 (\"Unauthorized\"); the ServiceAccount's token"));
  EXPECT_THAT(refused.error().message(), testing::Not(HasSubstr("first")));
}

TEST_F(OwnNodeTest, api_server_that_wants_fewer_requests_is_given_the_time_that_it_asks_for) {
  api_.next(http_answer(429, "", "Retry-After: 3\r\n"));
  api_.next(http_answer(503, ""));
  ASSERT_TRUE(label());
  ASSERT_EQ(pauses_.size(), 2u);
  EXPECT_GE(pauses_[0], std::chrono::seconds(3));
  expect_labels(kWanted);
}

TEST_F(OwnNodeTest, node_that_changed_meanwhile_is_read_again) {
  api_.next([](const fake::HttpRequest&) { return std::nullopt; });
  api_.next([&](const fake::HttpRequest&) -> std::optional<HttpAnswer> {
    api_.set("somebody.example/else", "x");
    return std::nullopt;
  });
  auto done = label();
  ASSERT_TRUE(done) << done.error().message();
  EXPECT_THAT(api_.methods(), ElementsAre("GET", "PATCH", "GET", "PATCH"));
  Labels expected = kWanted;
  expected["somebody.example/else"] = "x";
  expect_labels(expected);
}

TEST_F(OwnNodeTest, node_that_never_keeps_still_is_given_up) {
  for (int i = 0; i < 6; ++i)
    api_.next([&, i](const fake::HttpRequest&) -> std::optional<HttpAnswer> {
      if (i % 2 == 1) api_.set("somebody.example/else", std::to_string(i));
      return std::nullopt;
    });
  auto refused = label();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kConflict);
  EXPECT_EQ(api_.methods().size(), 6u);
}

TEST_F(OwnNodeTest, labels_that_are_taken_and_not_kept_are_an_error) {
  api_.next([](const fake::HttpRequest&) { return std::nullopt; });
  api_.next(http_answer(200, R"({"metadata":{"name":"n1","uid":"u-1","resourceVersion":"2","labels":{}}})"));
  auto refused = label();
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message(), HasSubstr("does a webhook change them"));
}

TEST_F(OwnNodeTest, refusal_is_told_in_the_words_of_the_policy) {
  api_.next([](const fake::HttpRequest&) { return std::nullopt; });
  api_.next(http_answer(403, R"({"kind":"Status","message":"nodes \"n1\" is forbidden: its own node only"})"));
  auto refused = label();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kUnavailable);
  EXPECT_THAT(refused.error().message(), HasSubstr("PATCH https://"));
  EXPECT_THAT(refused.error().message(), HasSubstr("403 (\"nodes \"n1\" is forbidden: its own node only\"); the"));
}

TEST_F(OwnNodeTest, huge_answer_is_not_read) {
  api_.next(http_answer(200, std::string((1 << 20) + 1, ' ')));
  auto refused = label();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kMalformed);
  EXPECT_THAT(refused.error().message(), HasSubstr("longer than the 1048576 bytes"));
}

TEST_F(OwnNodeTest, answer_that_is_no_node_is_malformed_and_says_whose_it_is) {
  api_.next(http_answer(200, "<html>"));
  auto refused = label();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kMalformed);
  EXPECT_THAT(refused.error().message(), HasSubstr("GET " + api_.url() + "/api/v1/nodes/n1: "));
}

TEST_F(OwnNodeTest, silent_api_server_is_given_up_in_time) {
  options_.limits.request = milliseconds(50);
  options_.limits.tries = 2;
  api_.next({"", HttpAnswer::Then::kHang});
  api_.next({"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx", HttpAnswer::Then::kHang});
  auto refused = label();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kTimedOut);
}

TEST_F(OwnNodeTest, certificate_of_another_authority_is_refused_and_the_token_not_sent) {
  ASSERT_TRUE(
      base::write_file_atomic(api_.account() / "ca.crt", base::as_bytes(fake::make_tls_identity().authority), 0600));
  auto refused = label();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kUnavailable);
  EXPECT_TRUE(api_.methods().empty());
}

TEST_F(OwnNodeTest, account_that_is_not_as_the_kubelet_makes_it_is_refused_with_the_file) {
  for (const char* token : {"", "\n", "two words", "line\nand: header", "\x7f"}) {
    ASSERT_TRUE(base::write_file_atomic(api_.account() / "token", base::as_bytes(std::string_view(token)), 0600));
    EXPECT_THAT(label().error().message(), HasSubstr("token holds no token")) << token;
  }
  std::filesystem::remove(api_.account() / "token");
  EXPECT_EQ(label().error().kind(), ErrorKind::kNotFound);
  ASSERT_TRUE(base::write_file_atomic(api_.account() / "ca.crt", {}, 0600));
  EXPECT_THAT(label().error().message(), HasSubstr("ca.crt is empty"));
  EXPECT_TRUE(api_.methods().empty());
}

TEST_F(OwnNodeTest, what_is_no_name_of_a_node_never_gets_into_a_url) {
  for (const std::string& name : {std::string(), std::string("n1/status"), std::string("N1"), std::string("n1?x"),
                                  std::string("../x"), std::string("-n"), std::string(254, 'a')}) {
    auto refused = label(kWanted, name);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind(), ErrorKind::kInvalidArgument) << name;
  }
  EXPECT_TRUE(api_.methods().empty());
  EXPECT_EQ(label(kWanted, "n2").error().kind(), ErrorKind::kNotFound);
}

TEST(ApiServerOfPod, is_where_the_kubelet_says) {
  EXPECT_EQ(http::api_server_of_pod("10.96.0.1", "443", "/a")->url, "https://10.96.0.1:443");
  EXPECT_EQ(http::api_server_of_pod("fd00::1", "6443", "/a")->url, "https://[fd00::1]:6443");
  EXPECT_EQ(http::api_server_of_pod("", "443", "/a").error().kind(), ErrorKind::kUnavailable);
  EXPECT_THAT(http::api_server_of_pod("", "", "/a").error().message(), HasSubstr("no pod"));
  EXPECT_EQ(http::api_server_of_pod("10.96.0.1", "x", "/a").error().kind(), ErrorKind::kInvalidArgument);
}

}  // namespace
}  // namespace enclayer::detect
