// SPDX-License-Identifier: Apache-2.0
#include "addon/dashboard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/base64.h"
#include "base/hex.h"

namespace enclayer::addon {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;
using namespace std::chrono_literals;

Usage of_one_node(std::optional<double> quotes, std::optional<double> wait) {
  Usage out;
  NodeUse& node = out.nodes.emplace_back();
  node.name = "node-a";
  node.quotes = quotes;
  node.wait = wait;
  return out;
}

TEST(Dashboard, the_page_is_small_and_names_no_other_place) {
  const std::string_view page = dashboard_page();
  EXPECT_LE(page.size(), kMostPage);
  EXPECT_GT(page.size(), 10'000U);
  EXPECT_TRUE(page.ends_with("</html>\n"));
  for (const char* elsewhere :
       {"https:", "//cdn", "src=", "url(", "@import", "innerHTML", "insertAdjacentHTML", "onclick=", "onload="})
    EXPECT_THAT(page, Not(HasSubstr(elsewhere)));
}

TEST(Dashboard, its_policy_lets_its_own_script_and_style_be_and_nothing_else) {
  const std::string policy = content_security_policy("<style>abc</style><script></script>");
  // FIPS 180-2, B.1; and the digest of nothing.
  const auto abc = base::from_hex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_THAT(policy, HasSubstr("style-src 'sha256-" + base::to_base64(*abc) + "';"));
  EXPECT_THAT(policy, HasSubstr("script-src 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=';"));
  EXPECT_THAT(policy, testing::StartsWith("default-src 'none'; "));
  EXPECT_THAT(policy, HasSubstr("connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"));
}

TEST(Dashboard, a_doctor_that_finds_nothing_leaves_what_the_one_before_found) {
  const Moment begin{};
  Examination known;
  put(known, 4, "", "enclayer doctor: the API server does not answer\n", begin);
  EXPECT_EQ(known.trouble, "enclayer doctor: the API server does not answer");
  EXPECT_EQ(known.links, "null");
  EXPECT_FALSE(known.when);
  put(known, 2, R"({"links": [{"link": "SGX", "standing": "wrong"}]})", "warning", begin + 1s);
  EXPECT_EQ(known.links, R"([{"link":"SGX","standing":"wrong"}])");
  EXPECT_EQ(known.trouble, "");
  EXPECT_EQ(known.when, begin + 1s);
  for (const auto& [code, out] : {std::pair{0, "{\"links\": ["}, {2, "[]"}, {1, "{\"links\": []}"}, {-1, ""}}) {
    put(known, code, out, "", begin + 9s);
    EXPECT_EQ(known.trouble, "enclayer doctor ended with exit code " + std::to_string(code)) << out;
    EXPECT_EQ(known.when, begin + 1s);
    EXPECT_THAT(known.links, HasSubstr("SGX"));
  }
}

TEST(Dashboard, history_is_of_half_an_hour_whatever_comes) {
  History history;
  Moment now{};
  for (int i = 0; i < 1000; ++i) history.put(of_one_node(i, 0.5), now += History::kStep);
  json told = json::parse(history.to_json(now));
  ASSERT_EQ(told.size(), 180U);
  EXPECT_EQ(told[0]["age_seconds"], 1790);
  EXPECT_EQ(told[0]["quotes_per_minute"], 820);
  EXPECT_EQ(
      told[179],
      (json{
          {"age_seconds", 0}, {"quotes_per_minute", 999}, {"refused_per_minute", nullptr}, {"wait_p99_seconds", 0.5}}));
  // Whoever looks more often, or slept meanwhile, keeps no more.
  for (int i = 0; i < 1000; ++i) history.put(of_one_node({}, {}), now += 1s);
  EXPECT_EQ(json::parse(history.to_json(now)).size(), 180U);
  history.put(of_one_node(7, {}), now += 2h);
  told = json::parse(history.to_json(now + 3s));
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0]["age_seconds"], 3);
}

TEST(Dashboard, a_state_is_what_top_says_what_doctor_said_and_what_was) {
  const Moment now = Moment{} + 100s;
  Usage usage = of_one_node(60, {});
  usage.nodes[0].pods.push_back({});
  usage.nodes[0].pods[0].name = "<img src=x onerror=alert(1)>\x80";
  usage.notes = {"a note"};
  usage.age = 7s;
  Examination doctor;
  History history;
  json state = json::parse(state_json(usage, doctor, history, now));
  EXPECT_EQ(state["doctor"], (json{{"links", nullptr}, {"age_seconds", nullptr}, {"trouble", ""}}));
  EXPECT_EQ(state["history"], json::array());
  put(doctor, 0, R"({"links": []})", "", now - 12s);
  put(doctor, 3, "", "no\xff right", now);
  history.put(usage, now - 10s);
  state = json::parse(state_json(usage, doctor, history, now));
  EXPECT_EQ(state["usage"], json::parse(to_json(usage)));
  EXPECT_EQ(state["usage"]["age_seconds"], 7);
  EXPECT_EQ(state["usage"]["nodes"][0]["pods"][0]["name"], "<img src=x onerror=alert(1)>\xef\xbf\xbd");
  EXPECT_EQ(state["doctor"],
            (json{{"links", json::array()}, {"age_seconds", 12}, {"trouble", "no\xef\xbf\xbd right"}}));
  EXPECT_EQ(state["history"][0]["age_seconds"], 10);
}

}  // namespace
}  // namespace enclayer::addon
