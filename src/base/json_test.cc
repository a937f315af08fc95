// SPDX-License-Identifier: Apache-2.0
#include "base/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <random>

namespace enclayer::base {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

std::string why(std::string_view text) {
  auto document = JsonDocument::parse(text);
  return document ? "" : document.error().message();
}

TEST(Json, values_are_read_by_type_and_the_error_names_the_key) {
  auto document = JsonDocument::parse(R"({"a":"x","n":7,"o":{"k":1},"os":[{},{}],"ts":["p","q"],"neg":-1,"f":1.0})");
  ASSERT_TRUE(document);
  JsonValue root = document->root();
  EXPECT_EQ(*root.text("a"), "x");
  EXPECT_EQ(*root.number("n", 7), 7U);
  EXPECT_EQ(*root.object("o")->number("k", 9), 1U);
  EXPECT_EQ(root.objects("os")->size(), 2U);
  EXPECT_EQ(*root.texts("ts"), (std::vector<std::string>{"p", "q"}));
  EXPECT_TRUE(root.has("a"));
  EXPECT_FALSE(root.has("b"));
  EXPECT_THAT(root.text("b").error().message(), HasSubstr("\"b\" is missing"));
  EXPECT_THAT(root.text("n").error().message(), HasSubstr("\"n\""));
  EXPECT_FALSE(root.number("n", 6));
  EXPECT_FALSE(root.number("neg", 9));
  EXPECT_FALSE(root.number("f", 9));
  EXPECT_FALSE(root.number("a", 9));
  EXPECT_FALSE(root.object("os"));
  EXPECT_FALSE(root.objects("ts"));
  EXPECT_FALSE(root.texts("os"));
  EXPECT_THAT(root.members().error().message(), HasSubstr("\"a\" is of type string, not object"));
  auto members = JsonDocument::parse(R"({"p1":{"n":7},"p0":{}})");
  auto named = members->root().members();
  ASSERT_TRUE(named);
  ASSERT_EQ(named->size(), 2U);
  EXPECT_EQ((*named)[0].first, "p1");
  EXPECT_EQ(*(*named)[0].second.number("n", 7), 7U);
}

TEST(Json, key_that_is_there_twice_is_refused_at_any_depth_but_not_in_two_objects) {
  EXPECT_THAT(why(R"({"a":1,"a":1})"), HasSubstr("twice"));
  EXPECT_THAT(why(R"({"x":[{"y":{"a":1,"b":2,"a":3}}]})"), HasSubstr("twice"));
  EXPECT_THAT(why(R"({"a":1,"\u0061":2})"), HasSubstr("twice"));
  EXPECT_EQ(why(R"({"a":{"a":1},"b":[{"a":1},{"a":2}]})"), "");
}

TEST(Json, depth_and_size_are_bounded) {
  auto nested = [](std::size_t depth) { return "{\"a\":" + std::string(depth, '[') + std::string(depth, ']') + "}"; };
  EXPECT_EQ(why(nested(JsonDocument::kMaxDepth - 1)), "");
  EXPECT_THAT(why(nested(JsonDocument::kMaxDepth)), HasSubstr("deeper"));
  EXPECT_THAT(why(nested(300'000)), HasSubstr("deeper"));
  EXPECT_THAT(why("{\"a\":\"" + std::string(JsonDocument::kMaxSize, 'x') + "\"}"), HasSubstr("at most"));
}

TEST(Json, number_of_values_is_bounded_and_the_bound_can_be_said) {
  auto with = [](std::size_t values) {  // the object and the array count too
    std::string text = R"({"a":[0)";
    for (std::size_t i = 3; i < values; ++i) text += ",0";
    return text + "]}";
  };
  EXPECT_EQ(why(with(JsonDocument::kMaxValues)), "");
  EXPECT_THAT(why(with(JsonDocument::kMaxValues + 1)), HasSubstr("more than 4096 values"));
  EXPECT_TRUE(JsonDocument::parse(with(10), 10));
  EXPECT_FALSE(JsonDocument::parse(with(11), 10));
}

TEST(Json, anything_but_one_object_is_refused) {
  for (const char* text :
       {"", " ", "[]", "1", "null", "\"x\"", "{", "{}{}", "{} x", "{\"a\":}", "{\"a\":\"\xff\"}", "{'a':1}"})
    EXPECT_NE(why(text), "") << text;
  EXPECT_EQ(why(" {} \n"), "");
  EXPECT_THAT(why("{"), StartsWith("not JSON: parse error at line 1, column 2: "));
}

TEST(Json, nul_ends_nothing_wherever_it_stands) {
  using namespace std::string_view_literals;
  for (std::string_view text : {"{}\0"sv, "{}\0junk"sv, "\0{}"sv, "{\0}"sv, "{\"a\":\"x\0y\"}"sv, "{}\n\0{}"sv})
    EXPECT_THAT(why(text), HasSubstr("NUL")) << text.size();
  EXPECT_EQ(why(R"({"a":"x\u0000y"})"), "");
}

// What nlohmann's tree has, ours has in the same place.
void expect_same(JsonValue ours, const nlohmann::json& theirs) {
  if (theirs.is_object() || theirs.is_array()) {
    auto entries = ours.entries();
    ASSERT_EQ(entries.size(), theirs.size());
    std::map<std::string, JsonValue> by_key;
    std::size_t number = 0;
    for (const auto& [key, value] : entries) by_key.emplace(theirs.is_object() ? key : std::to_string(number++), value);
    for (const auto& [key, value] : theirs.items()) {
      ASSERT_TRUE(by_key.contains(key)) << key;
      expect_same(by_key.at(key), value);
    }
    return;
  }
  EXPECT_EQ(ours.text(), theirs.is_string() ? theirs.get<std::string>() : "");
  EXPECT_EQ(ours.number(), theirs.is_number_unsigned() ? theirs.get<std::uint64_t>() : 0);
  EXPECT_EQ(ours.truth(), theirs.is_boolean() && theirs.get<bool>());
}

TEST(Json, is_read_as_nlohmann_reads_it_alone_whatever_is_changed) {
  const std::string seed =
      R"({"a":{"svn":12,"n":0,"list":[1,{"x":"y"},[]],"e":{}} , "t":"a\"b\\c\n/\/\u00e4 \ud83d\ude00 )"
      "\xc3\xa4"
      R"(","f":false,"u":null,"b":true,"r":-1.5e3,"z":18446744073709551615,"k":9999999999999999999,"d":1234567890123456789})";
  const std::string plain =
      R"({"a":{"svn":12,"n":0,"list":[1,{"x":"y"},[]],"e":{}} , "t":"a\"b\\c\n/\/","f":false,"b":true})";
  constexpr std::string_view kBytes =
      "\"\\{}[]:,0123456789.-+eEtfnu /\n\t\x7f\x1f\xc3\xa4\xff"
      "ax";
  std::mt19937 random(20'261'129);
  int read = 0, refused = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::string text = i % 2 == 0 ? seed : plain;
    for (auto changes = random() % 4; changes-- > 0;) {
      std::size_t at = random() % text.size();
      char byte = kBytes[random() % kBytes.size()];
      switch (random() % 3) {
        case 0: text[at] = byte; break;
        case 1: text.insert(at, 1, byte); break;
        default: text.erase(at, 1);
      }
    }
    auto theirs = nlohmann::json::parse(text, nullptr, false);
    auto ours = JsonDocument::parse(text);
    SCOPED_TRACE(text);
    if (ours) {
      ASSERT_FALSE(theirs.is_discarded());
      expect_same(ours->root(), theirs);
      ++read;
    } else {
      // Ours alone refuses a key that is there twice.
      ASSERT_TRUE(theirs.is_discarded() || ours.error().message().find("twice") != std::string::npos);
      ++refused;
    }
    if (testing::Test::HasFailure()) return;
  }
  EXPECT_GT(read, 3'000);
  EXPECT_GT(refused, 3'000);
}

TEST(Json, whitespace_goes_from_between_the_tokens_only) {
  EXPECT_EQ(without_whitespace("{ \"a b\" :\t[ 1,\r\n2 ] }"), R"({"a b":[1,2]})");
  EXPECT_EQ(without_whitespace(R"({"a \" b": "c \\" , "d":" "})"), R"({"a \" b":"c \\","d":" "})");
}

TEST(Json, what_may_be_missing_is_read_without_complaint) {
  auto document = JsonDocument::parse(R"({"a":{"b":"x"},"n":7,"neg":-1,"t":true,"l":["p",{"k":"q"}]})");
  ASSERT_TRUE(document);
  JsonValue root = document->root();
  EXPECT_EQ(root["a"]["b"].text(), "x");
  EXPECT_EQ(root["n"].number(), 7U);
  EXPECT_TRUE(root["t"].truth());
  ASSERT_EQ(root["l"].entries().size(), 2U);
  EXPECT_EQ(root["l"].entries()[0].second.text(), "p");
  EXPECT_EQ(root["l"].entries()[1].second["k"].text(), "q");
  EXPECT_EQ(root["a"].entries()[0].first, "b");
  for (JsonValue nothing : {root["none"], root["none"]["deeper"], root["a"]["b"]["c"], root["l"][""], root["neg"]}) {
    EXPECT_EQ(nothing.text(), "");
    EXPECT_EQ(nothing.number(), 0U);
    EXPECT_FALSE(nothing.truth());
    EXPECT_TRUE(nothing.entries().empty());
  }
}

TEST(Json, limits_are_those_that_the_caller_names) {
  const std::string deep = R"({"a":{"b":{"c":1}}})";
  EXPECT_TRUE(JsonDocument::parse(deep, {.size = 100, .depth = 3, .values = 4}));
  EXPECT_FALSE(JsonDocument::parse(deep, {.size = 100, .depth = 2, .values = 4}));
  EXPECT_FALSE(JsonDocument::parse(deep, {.size = 100, .depth = 3, .values = 3}));
  EXPECT_FALSE(JsonDocument::parse(deep, {.size = 18, .depth = 3, .values = 4}));
}

}  // namespace
}  // namespace enclayer::base
