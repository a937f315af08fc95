// SPDX-License-Identifier: Apache-2.0
#include "attest/release_policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace enclayer::attest {
namespace {

using nlohmann::json;
using testing::HasSubstr;

constexpr char kIssuer[] = "https://attest.example";
json policy_of(const json& conditions) {
  json authority = conditions;
  authority["authority"] = kIssuer;
  return {{"version", "1.0.0"}, {"anyOf", {authority}}};
}
bool opens(const json& policy, json claims) {
  if (!claims.contains("iss")) claims["iss"] = kIssuer;
  auto parsed = ReleasePolicy::parse(policy.dump());
  EXPECT_TRUE(parsed) << parsed.error().message();
  return parsed && parsed->refusal(claims.dump()).empty();
}
bool holds(const json& condition, const json& claims) { return opens(policy_of({{"allOf", {condition}}}), claims); }
std::string why_not(const std::string& text) {
  auto parsed = ReleasePolicy::parse(text);
  return parsed ? "(parsed)" : parsed.error().message();
}

TEST(ReleasePolicy, opens_for_claims_that_meet_all_conditions) {
  const json policy = policy_of({{"allOf",
                                  {{{"claim", "x-ms-sgx-mrsigner"}, {"equals", "aa"}},
                                   {{"claim", "x-ms-sgx-svn"}, {"greaterOrEquals", 4}},
                                   {{"claim", "x-ms-sgx-is-debuggable"}, {"equals", false}}}}});
  const json good = {{"x-ms-sgx-mrsigner", "aa"}, {"x-ms-sgx-svn", 4}, {"x-ms-sgx-is-debuggable", false}};
  EXPECT_TRUE(opens(policy, good));
  for (const auto& [name, value] : {std::pair<const char*, json>{"x-ms-sgx-mrsigner", "AA"},
                                    {"x-ms-sgx-svn", 3},
                                    {"x-ms-sgx-is-debuggable", true}}) {
    json other = good, without = good;
    other[name] = value;
    without.erase(name);
    EXPECT_FALSE(opens(policy, other)) << name;
    EXPECT_FALSE(opens(policy, without)) << name;
  }
}

TEST(ReleasePolicy, counts_tokens_of_its_authorities_alone) {
  const json policy = policy_of({{"allOf", {{{"claim", "a"}, {"equals", 1}}}}});
  for (const json& issuer : {json("https://attest.example/"), json("HTTPS://attest.example"), json(), json(1)})
    EXPECT_FALSE(opens(policy, {{"a", 1}, {"iss", issuer}})) << issuer;
  EXPECT_THAT(ReleasePolicy::parse(policy.dump())->refusal(R"({"a":1})"), HasSubstr("no authority"));
  json two = policy;
  two["anyOf"].push_back({{"authority", "https://other.example"}, {"allOf", {{{"claim", "b"}, {"equals", 1}}}}});
  EXPECT_TRUE(opens(two, {{"b", 1}, {"iss", "https://other.example"}}));
  EXPECT_FALSE(opens(two, {{"a", 1}, {"iss", "https://other.example"}})) << "each authority has its own conditions";
}

TEST(ReleasePolicy, compares_as_its_operators_say) {
  struct Case {
    const char* name;
    json value, holds_for, not_for;
  };
  for (const Case& c : {Case{"equals", 4, {4}, {5, "4", true, 4.0, json(), json::array({4}), json::object()}},
                        {"equals", true, {true}, {false, 1, "true"}},
                        {"equals", "x", {"x"}, {"X", "x ", json::array({"x"})}},
                        {"notEquals", 4, {5, "4", true}, {4, 4.5, json::array({4}), json::object(), json()}},
                        {"less", 4, {3, -1}, {4, 5, "3", true, 3.5}},
                        {"lessOrEquals", 4, {4, 3}, {5}},
                        {"greater", 4, {5}, {4, 3, "5", 18446744073709551615u}},
                        {"greaterOrEquals", 4, {4, 5}, {3}},
                        {"exists", true, {4, "", false, json::array()}, {}}}) {
    const json condition = {{"claim", "c"}, {c.name, c.value}};
    for (const json& claim : c.holds_for) EXPECT_TRUE(holds(condition, {{"c", claim}})) << condition << claim;
    for (const json& claim : c.not_for) EXPECT_FALSE(holds(condition, {{"c", claim}})) << condition << claim;
    EXPECT_FALSE(holds(condition, {{"d", c.value}})) << "missing: " << condition;
  }
  EXPECT_TRUE(holds({{"claim", "c"}, {"exists", false}}, {{"d", 1}}));
  EXPECT_FALSE(holds({{"claim", "c"}, {"exists", false}}, {{"c", 1}}));
}

TEST(ReleasePolicy, finds_members_of_objects_by_dots_and_nothing_in_lists) {
  const json claims = {{"a", {{"b", {{"c", 1}}}, {"list", {1}}}}, {"a.b", 2}};
  EXPECT_TRUE(holds({{"claim", "a.b.c"}, {"equals", 1}}, claims));
  EXPECT_FALSE(holds({{"claim", "a.b"}, {"equals", 2}}, claims)) << "a dot never stands in a name";
  EXPECT_FALSE(holds({{"claim", "a.b.c.d"}, {"exists", true}}, claims));
  EXPECT_FALSE(holds({{"claim", "a.list.0"}, {"exists", true}}, claims));
}

TEST(ReleasePolicy, nests_conditions) {
  const json policy =
      policy_of({{"anyOf",
                  {{{"allOf", {{{"claim", "a"}, {"equals", 1}}, {{"claim", "b"}, {"equals", 1}}}}},
                   {{"allOf", {{{"claim", "c"}, {"equals", 1}}, {{"anyOf", {{{"claim", "d"}, {"equals", 1}}}}}}}}}}});
  EXPECT_TRUE(opens(policy, {{"a", 1}, {"b", 1}}));
  EXPECT_TRUE(opens(policy, {{"c", 1}, {"d", 1}}));
  EXPECT_FALSE(opens(policy, {{"a", 1}, {"d", 1}}));
  auto deep = [](int levels) {
    std::string text = R"({"claim":"a","equals":1})";
    for (int i = 0; i < levels; ++i) text = R"({"allOf":[)" + text + "]}";
    text.insert(1, R"("authority":"i",)");
    return R"({"version":"1.0.0","anyOf":[)" + text + "]}";
  };
  EXPECT_EQ(why_not(deep(ReleasePolicy::kMaxNesting)), "(parsed)");
  EXPECT_THAT(why_not(deep(ReleasePolicy::kMaxNesting + 1)), HasSubstr("nests deeper"));
  EXPECT_NE(why_not(deep(20'000)), "(parsed)");
}

TEST(ReleasePolicy, with_an_empty_any_of_opens_never) {
  EXPECT_FALSE(opens({{"version", "1.0.0"}, {"anyOf", json::array()}}, {{"a", 1}}));
  EXPECT_FALSE(opens(policy_of({{"anyOf", json::array()}}), {{"a", 1}}));
}

TEST(ReleasePolicy, that_breaks_the_grammar_is_refused_and_the_message_says_where) {
  const std::string head = R"({"version":"1.0.0","anyOf":[{"authority":"i",)", tail = "}]}";
  struct Case {
    std::string text;
    const char* says;
  };
  for (const Case& c :
       {Case{"[]", "release policy: "},
        {R"({"anyOf":[]})", "\"version\" is not \"1.0.0\""},
        {R"({"version":"1.0","anyOf":[]})", "\"version\" is not"},
        {R"({"version":"1.0.0"})", "\"anyOf\" is no list"},
        {R"({"version":"1.0.0","anyof":[]})", "has \"anyof\", which is not known"},
        {R"({"version":"1.0.0","anyOf":[],"anyOf":[]})", "twice"},
        {R"({"version":"1.0.0","anyOf":[{"allOf":[{"claim":"a","equals":1}]}]})", "anyOf[0]: \"authority\" is no text"},
        {head + R"("allOf":[])" + tail, "anyOf[0]: an empty \"allOf\" would hold always"},
        {head + R"("allOf":[{"claim":"a","equals":1}],"anyOf":[])" + tail, "has not one of"},
        {head + R"("allOf":[{"claim":"a"}])" + tail, "anyOf[0].allOf[0] is no \"claim\" with one operator"},
        {head + R"("allOf":[{"claim":"a","equals":1,"less":3}])" + tail, "with one operator"},
        {head + R"("allOf":[{"claim":"a","like":"x"}])" + tail, "has \"like\", which is not known"},
        {head + R"("allOf":[{"claim":"a","equals":[1]}])" + tail, "compares with a string, an integer or a boolean"},
        {head + R"("allOf":[{"claim":"a","equals":1.5}])" + tail, "compares with"},
        {head + R"("allOf":[{"claim":"a","less":"b"}])" + tail, "compares with an integer"},
        {head + R"("allOf":[{"claim":"a","exists":"yes"}])" + tail, "\"exists\" is true or false"},
        {head + R"("allOf":[{"claim":"a..b","equals":1}])" + tail, "no name"},
        {head + R"("allOf":[{"claim":7,"equals":1}])" + tail, "no name"},
        {head + R"("allOf":[{"claim":"x","equals":1},{"equals":1}])" + tail, "anyOf[0].allOf[1] has \"equals\""},
        {head + R"("allOf":{"claim":"a","equals":1})" + tail, "is no list"},
        {head + R"("allOf":["a"])" + tail, "anyOf[0].allOf[0] is no object"}})
    EXPECT_THAT(why_not(c.text), HasSubstr(c.says)) << c.text;
  EXPECT_NE(why_not(std::string(ReleasePolicy::kMaxSize, ' ') + R"({"version":"1.0.0","anyOf":[]})"), "(parsed)");
}

TEST(ReleasePolicy, refuses_claims_that_could_be_read_in_two_ways) {
  auto policy = ReleasePolicy::parse(policy_of({{"allOf", {{{"claim", "a"}, {"equals", 1}}}}}).dump()).value();
  EXPECT_THAT(policy.refusal(R"({"iss":"https://attest.example","a":1,"a":2})"),
              HasSubstr("no JSON object within bounds"));
  EXPECT_NE(policy.refusal(R"([1])"), "");
  EXPECT_NE(policy.refusal(""), "");
}

}  // namespace
}  // namespace enclayer::attest
