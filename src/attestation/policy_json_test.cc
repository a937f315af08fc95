// SPDX-License-Identifier: Apache-2.0
// The policy file: what is read, what is refused and how, and that policy.schema.json says the same.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <regex>

#include "attestation/policy_keys.h"
#include "enclayer/policy.h"

namespace enclayer {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

const std::string kHash(64, 'a');
const std::string kData(128, '1');
const std::string kTdHash(96, 'c');
const std::string kBits = "0x0000000010000000";

// The keys that are lists of what a TD reports, with a value of each.
const std::map<std::string, std::string>& td_lists() {
  static const std::map<std::string, std::string> kLists = {
      {"mr_td", kTdHash},         {"rtmr0", kTdHash},        {"rtmr1", kTdHash},       {"rtmr2", kTdHash},
      {"rtmr3", kTdHash},         {"mr_config_id", kTdHash}, {"mr_owner", kTdHash},    {"mr_owner_config", kTdHash},
      {"mr_service_td", kTdHash}, {"mr_seam", kTdHash},      {"td_attributes", kBits}, {"xfam", kBits}};
  return kLists;
}

// {"version": 1, KEY: VALUE}, value as JSON text.
std::string with(const std::string& key, const std::string& value) {
  return R"({"version": 1, ")" + key + "\": " + value + "}";
}

std::string in_quotes(const std::string& text) { return '"' + text + '"'; }
std::string numbers(std::size_t count) {
  std::string out;
  for (std::size_t i = 0; i < count; ++i) out += (i == 0 ? "" : ", ") + std::to_string(i);
  return "[" + out + "]";
}

// Enough of JSON Schema for policy.schema.json; a keyword that is not known here ends the test.
bool valid(const json& schema, const json& value, const json& root) {
  if (schema.contains("$ref")) return valid(root["$defs"][schema["$ref"].get<std::string>().substr(8)], value, root);
  static const std::map<std::string, std::function<bool(const json&, const json&)>> kTypes = {
      {"object", [](auto&, auto& v) { return v.is_object(); }},
      {"array", [](auto&, auto& v) { return v.is_array(); }},
      {"string", [](auto&, auto& v) { return v.is_string(); }},
      {"boolean", [](auto&, auto& v) { return v.is_boolean(); }},
      {"integer", [](auto&, auto& v) { return v.is_number_integer(); }},
  };
  auto characters = [](const std::string& text) {
    return std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; });
  };
  for (const auto& [keyword, rule] : schema.items()) {
    if (keyword == "type") {
      if (!kTypes.at(rule)(rule, value)) return false;
    } else if (keyword == "const") {
      if (value != rule || value.is_number_float()) return false;
    } else if (keyword == "enum") {
      if (std::find(rule.begin(), rule.end(), value) == rule.end()) return false;
    } else if (keyword == "minimum") {
      if (value < rule) return false;
    } else if (keyword == "maximum") {
      if (value > rule) return false;
    } else if (keyword == "maxLength") {
      if (characters(value.get<std::string>()) > rule.get<long>()) return false;
    } else if (keyword == "pattern") {
      if (!std::regex_search(value.get<std::string>(), std::regex(rule.get<std::string>()))) return false;
    } else if (keyword == "minItems") {
      if (value.size() < rule.get<std::size_t>()) return false;
    } else if (keyword == "maxItems") {
      if (value.size() > rule.get<std::size_t>()) return false;
    } else if (keyword == "uniqueItems") {
      for (std::size_t i = 0; i < value.size(); ++i)
        if (std::find(value.begin(), value.begin() + i, value[i]) != value.begin() + i) return false;
    } else if (keyword == "items") {
      for (const json& element : value)
        if (!valid(rule, element, root)) return false;
    } else if (keyword == "required") {
      for (const json& key : rule)
        if (!value.contains(key.get<std::string>())) return false;
    } else if (keyword == "properties") {
      for (const auto& [key, element] : value.items())
        if (rule.contains(key) ? !valid(rule[key], element, root) : !schema.value("additionalProperties", true))
          return false;
    } else if (keyword == "oneOf") {
      if (std::count_if(rule.begin(), rule.end(), [&](const json& one) { return valid(one, value, root); }) != 1)
        return false;
    } else if (keyword != "additionalProperties" && keyword != "description" && keyword != "title" &&
               keyword != "$schema" && keyword != "$id" && keyword != "$defs") {
      ADD_FAILURE() << "the schema has a keyword that this test does not know: " << keyword;
    }
  }
  return true;
}

bool schema_accepts(const std::string& text) {
  static const json kSchema = json::parse(policy_schema());
  // `type` has to be judged first; nlohmann sorts the keywords, so the ones before it may meet another type and throw.
  try {
    return valid(kSchema, json::parse(text), kSchema);
  } catch (const json::exception&) {
    return false;
  }
}

const std::vector<std::string>& good() {
  static const std::vector<std::string> kGood = [] {
    std::vector<std::string> out = {
        R"({"version": 1})",
        with("$schema", in_quotes("policy.schema.json")),
        with("description", in_quotes("f\u00fcr uns")),
        with("description", in_quotes(std::string(1024, 'x'))),
        with("mr_enclave", "[" + in_quotes(kHash) + "]"),
        with("mr_enclave", "[" + in_quotes(kHash) + ", " + in_quotes(std::string(64, 'B')) + "]"),
        with("mr_signer", "[" + in_quotes(kHash) + "]"),
        with("isv_prod_id", "[0, 65535]"),
        with("isv_prod_id", numbers(256)),
        with("min_isv_svn", "0"),
        with("min_isv_svn", "65535"),
        with("report_data", R"({"exact": ")" + kData + "\"}"),
        with("report_data", R"({"prefix": "00"})"),
        with("report_data", R"({"prefix": ")" + kData + "\"}"),
        with("report_data", R"({"value": ")" + kData + R"(", "mask": ")" + kData + "\"}"),
        with("allow_debug", "true"),
        with("allow_debug", "false"),
        with("allow_simulated", "true"),
        with("accepted_tcb_statuses", R"(["UpToDate", "SWHardeningNeeded", "ConfigurationNeeded",
           "ConfigurationAndSWHardeningNeeded", "OutOfDate", "OutOfDateConfigurationNeeded"])"),
        with("accepted_advisory_ids", "[]"),
        with("accepted_advisory_ids", R"(["INTEL-SA-00615", "INTEL-DOC-10054"])"),
        with("min_tcb_evaluation_data_number", "4294967295"),
        with("accepted_tcb_statuses", R"(["TDRelaunchAdvised", "TDRelaunchAdvisedConfigurationNeeded"])"),
        with("fmspc", R"(["00a067110000", "00A067110000"])"),
        with("ppid", "[" + in_quotes(kHash.substr(32)) + "]"),
        with("platform_instance_id", "[" + in_quotes(kHash.substr(32)) + "]"),
        with("sgx_type", R"(["Standard", "Scalable", "ScalableWithIntegrity"])"),
        with("allow_dynamic_platform", "false"),
        with("allow_cached_keys", "false"),
        with("allow_smt", "true"),
        with("min_tcb_date", in_quotes("2024-03-13T00:00:00Z")),
        with("tcb_grace_days", "30"),
        with("max_collateral_age_days", "0"),
        with("rejected_advisory_ids", R"(["INTEL-SA-00615"])"),
    };
    for (const auto& [key, value] : td_lists()) out.push_back(with(key, "[" + in_quotes(value) + "]"));
    out.push_back(with("xfam", R"(["0x00000000000602e7", "0x00000000000602E7"])"));
    return out;
  }();
  return kGood;
}

const std::vector<std::string>& bad() {
  static const std::vector<std::string> kBad = [] {
    std::vector<std::string> out = {
        "{}",
        R"({"version": 0})",
        R"({"version": 2})",
        R"({"version": "1"})",
        R"({"version": 1.0})",
        R"({"version": true})",
        with("$schema", "1"),
        with("ppid", "[" + in_quotes(kHash) + "]"),
        with("sgx_type", R"(["scalable"])"),
        with("sgx_type", "[]"),
        with("allow_smt", "0"),
        with("min_tcb_date", in_quotes("2024-03-13")),
        with("min_tcb_date", "20240313"),
        with("tcb_grace_days", "65536"),
        with("tcb_grace_days", "-1"),
        with("max_collateral_age_days", in_quotes("30")),
        with("rejected_advisory_ids", "[]"),
        with("description", "[]"),
        with("description", in_quotes(std::string(1025, 'x'))),
        with("mrenclave", "[" + in_quotes(kHash) + "]"),
        with("MR_ENCLAVE", "[" + in_quotes(kHash) + "]"),
        with("mr_enclave", in_quotes(kHash)),
        with("mr_enclave", "[]"),
        with("mr_enclave", "null"),
        with("mr_enclave", "{}"),
        with("mr_enclave", "[" + in_quotes(kHash + "aa") + "]"),
        with("mr_enclave", "[" + in_quotes(kHash.substr(2)) + "]"),
        with("mr_enclave", "[" + in_quotes("0x" + kHash.substr(2)) + "]"),
        with("mr_enclave", "[" + in_quotes(kHash) + ", " + in_quotes(kHash) + "]"),
        with("mr_enclave", "[1]"),
        with("mr_signer", "[[]]"),
        with("isv_prod_id", "0"),
        with("isv_prod_id", "[65536]"),
        with("isv_prod_id", "[-1]"),
        with("isv_prod_id", "[\"1\"]"),
        with("isv_prod_id", "[1.5]"),
        with("isv_prod_id", numbers(257)),
        with("min_isv_svn", "65536"),
        with("min_isv_svn", "-1"),
        with("min_isv_svn", "18446744073709551616"),
        with("min_isv_svn", "[1]"),
        with("report_data", in_quotes(kData)),
        with("report_data", "{}"),
        with("report_data", R"({"exact": "00"})"),
        with("report_data", R"({"prefix": ""})"),
        with("report_data", R"({"prefix": "0"})"),
        with("report_data", R"({"prefix": ")" + kData + "00\"}"),
        with("report_data", R"({"prefix": 7})"),
        with("report_data", R"({"value": ")" + kData + "\"}"),
        with("report_data", R"({"mask": ")" + kData + "\"}"),
        with("report_data", R"({"value": "00", "mask": ")" + kData + "\"}"),
        with("report_data", R"({"value": ")" + kData + R"(", "mask": "ff"})"),
        with("report_data", R"({"exact": ")" + kData + R"(", "prefix": "00"})"),
        with("report_data", R"({"exact": ")" + kData + R"(", "other": "00"})"),
        with("allow_debug", "1"),
        with("allow_debug", in_quotes("true")),
        with("allow_simulated", "null"),
        with("accepted_tcb_statuses", "[]"),
        with("accepted_tcb_statuses", in_quotes("UpToDate")),
        with("accepted_tcb_statuses", R"(["uptodate"])"),
        with("accepted_tcb_statuses", R"(["Revoked"])"),
        with("accepted_tcb_statuses", R"([0])"),
        with("accepted_tcb_statuses", R"(["UpToDate", "UpToDate"])"),
        with("accepted_advisory_ids", in_quotes("INTEL-SA-00615")),
        with("accepted_advisory_ids", R"(["INTEL-SA-615"])"),
        with("accepted_advisory_ids", R"(["INTEL-SA-006150"])"),
        with("accepted_advisory_ids", R"(["INTEL-SA-0061x"])"),
        with("accepted_advisory_ids", R"(["INTEL-S-00615"])"),
        with("accepted_advisory_ids", R"(["INTEL-SSSSSSSSS-00615"])"),
        with("accepted_advisory_ids", R"(["INTEL-sa-00615"])"),
        with("accepted_advisory_ids", R"(["intel-SA-00615"])"),
        with("accepted_advisory_ids", R"(["INTEL-"])"),
        with("accepted_advisory_ids", R"(["CVE-2020-00615"])"),
        with("accepted_advisory_ids", "[7]"),
        with("min_tcb_evaluation_data_number", "4294967296"),
        with("min_tcb_evaluation_data_number", "null"),
        with("fmspc", in_quotes("00a067110000")),
        with("fmspc", R"(["00a06711000"])"),
        with("fmspc", R"(["00a0671100000"])"),
        with("fmspc", R"(["00a06711000g"])"),
        with("rtmr4", "[" + in_quotes(kTdHash) + "]"),
        with("mr_td", "[" + in_quotes(kHash) + "]"),
        with("xfam", "[393959]"),
        with("xfam", R"(["000602e7"])"),
        with("td_attributes", R"(["0X0000000010000000"])"),
        with("td_attributes", R"(["0x000000001000000g"])"),
    };
    for (const auto& [key, value] : td_lists()) {
      out.push_back(with(key, "[]"));
      out.push_back(with(key, in_quotes(value)));
      out.push_back(with(key, "[" + in_quotes(value) + ", " + in_quotes(value) + "]"));
      out.push_back(with(key, "[" + in_quotes(value + "0") + "]"));
      out.push_back(with(key, "[" + in_quotes(value.substr(1)) + "]"));
    }
    return out;
  }();
  return kBad;
}

TEST(PolicyFile, what_is_good_is_read_and_the_schema_agrees) {
  for (const std::string& text : good()) {
    auto policy = parse_policy_json(text);
    EXPECT_TRUE(policy) << text << "\n" << policy.error().message();
    EXPECT_TRUE(schema_accepts(text)) << text;
  }
}

TEST(PolicyFile, what_is_bad_is_refused_and_the_schema_agrees) {
  for (const std::string& text : bad()) {
    auto policy = parse_policy_json(text);
    ASSERT_FALSE(policy) << text;
    EXPECT_EQ(policy.error().kind(), ErrorKind::kMalformed);
    EXPECT_THAT(policy.error().message(), AllOf(HasSubstr("policy: "), HasSubstr("allowed: "))) << text;
    EXPECT_FALSE(schema_accepts(text)) << text;
  }
}

TEST(PolicyFile, schema_and_parser_know_the_same_keys) {
  std::vector<std::string> in_schema, known;
  json schema = json::parse(policy_schema());
  for (const auto& property : schema["properties"].items()) {
    const std::string key = property.key();
    in_schema.push_back(key);
    EXPECT_TRUE(property.value().contains("description")) << key;
    auto names_it = [&](const std::string& text) { return json::parse(text).contains(key); };
    EXPECT_TRUE(std::any_of(good().begin(), good().end(), names_it)) << key << " is tried by no test";
  }
  for (std::string_view key : attestation::policy_keys()) known.emplace_back(key);
  EXPECT_THAT(known, testing::UnorderedElementsAreArray(in_schema));
}

TEST(PolicyFile, every_field_is_read_into_its_place) {
  EXPECT_EQ(parse_policy_json(R"({"version": 1})").value(), Policy{}) << "a file that asks for nothing is the default";
  Policy policy = parse_policy_json(R"({
    "$schema": "policy.schema.json", "version": 1, "description": "all of it",
    "mr_enclave": ["0100000000000000000000000000000000000000000000000000000000000002"],
    "mr_signer": ["0300000000000000000000000000000000000000000000000000000000000004",
                  "0500000000000000000000000000000000000000000000000000000000000006"],
    "isv_prod_id": [7, 8], "min_isv_svn": 9,
    "report_data": {"prefix": "0aFf"},
    "allow_debug": true, "allow_simulated": true,
    "accepted_tcb_statuses": ["OutOfDate", "SWHardeningNeeded"],
    "accepted_advisory_ids": ["INTEL-SA-00615"],
    "min_tcb_evaluation_data_number": 17,
    "fmspc": ["00a067110000"]
  })")
                      .value();
  auto hash = [](std::uint8_t first, std::uint8_t last) {
    ByteArray<32> out{};
    out.front() = first;
    out.back() = last;
    return out;
  };
  EXPECT_THAT(policy.mr_enclave, ElementsAre(hash(1, 2)));
  EXPECT_THAT(policy.mr_signer, ElementsAre(hash(3, 4), hash(5, 6)));
  EXPECT_THAT(policy.isv_prod_id, ElementsAre(7, 8));
  EXPECT_EQ(policy.min_isv_svn, 9);
  EXPECT_EQ(policy.report_data, ReportDataRule::prefix(Bytes{0x0a, 0xff}).value());
  EXPECT_TRUE(policy.allow_debug);
  EXPECT_TRUE(policy.allow_simulated);
  EXPECT_THAT(policy.accepted_tcb, ElementsAre(TcbStatus::kOutOfDate, TcbStatus::kSwHardeningNeeded))
      << "UpToDate is not named";
  EXPECT_THAT(policy.accepted_advisories, testing::Optional(ElementsAre("INTEL-SA-00615")));
  EXPECT_EQ(policy.min_tcb_evaluation_number, 17U);
  EXPECT_THAT(policy.fmspc, ElementsAre(ByteArray<6>{0, 0xa0, 0x67, 0x11, 0, 0}));

  EXPECT_THAT(parse_policy_json(with("accepted_advisory_ids", "[]"))->accepted_advisories,
              testing::Optional(testing::IsEmpty()));
  ReportDataRule exact = ReportDataRule::exact([] {
    ByteArray<64> ones;
    ones.fill(0x11);
    return ones;
  }());
  EXPECT_EQ(parse_policy_json(with("report_data", R"({"exact": ")" + kData + "\"}"))->report_data, exact);
  EXPECT_EQ(
      parse_policy_json(with("report_data", R"({"value": ")" + kData + R"(", "mask": ")" + kData + "\"}"))->report_data,
      (ReportDataRule{exact.value, exact.value}));
}

std::string message(const std::string& text) {
  auto policy = parse_policy_json(text);
  return policy ? "was read" : policy.error().message();
}

TEST(PolicyFile, what_a_td_reports_is_read_into_its_place) {
  auto hash = [](std::uint8_t first) {
    ByteArray<48> out{};
    out.front() = first;
    return out;
  };
  auto listed = [](std::uint8_t first) { return "[\"0" + std::to_string(first) + std::string(94, '0') + "\"]"; };
  std::string text = R"({"version": 1, "td_attributes": ["0x0000000010000001"], "xfam": ["0x00000000000602e7"])";
  int first = 0;
  for (const char* key : {"mr_td", "rtmr0", "rtmr1", "rtmr2", "rtmr3", "mr_config_id", "mr_owner", "mr_owner_config",
                          "mr_service_td", "mr_seam"})
    text += ", \"" + std::string(key) + "\": " + listed(static_cast<std::uint8_t>(first++));
  Policy policy = parse_policy_json(text + "}").value();
  EXPECT_THAT(policy.td_attributes, ElementsAre(0x10000001U));
  EXPECT_THAT(policy.xfam, ElementsAre(0x602e7U));
  EXPECT_THAT(policy.mr_td, ElementsAre(hash(0)));
  for (std::uint8_t i = 0; i < 4; ++i) EXPECT_THAT(policy.rtmr[i], ElementsAre(hash(static_cast<std::uint8_t>(1 + i))));
  EXPECT_THAT(policy.mr_config_id, ElementsAre(hash(5)));
  EXPECT_THAT(policy.mr_owner, ElementsAre(hash(6)));
  EXPECT_THAT(policy.mr_owner_config, ElementsAre(hash(7)));
  EXPECT_THAT(policy.mr_service_td, ElementsAre(hash(8)));
  EXPECT_THAT(policy.mr_seam, ElementsAre(hash(9)));
}

TEST(PolicyFile, error_names_the_key_the_value_and_what_is_allowed) {
  EXPECT_EQ(message(with("accepted_tcb_statuses", R"(["UpToDate", "UpToDat"])")),
            "policy: \"accepted_tcb_statuses[1]\" is \"UpToDat\"; allowed: UpToDate, SWHardeningNeeded, "
            "ConfigurationNeeded, ConfigurationAndSWHardeningNeeded, OutOfDate, OutOfDateConfigurationNeeded, "
            "TDRelaunchAdvised, TDRelaunchAdvisedConfigurationNeeded");
  EXPECT_EQ(message(with("report_data", R"({"prefix": 7})")),
            "policy: \"report_data.prefix\" is 7; allowed: 2 to 128 hexadecimal digits, two a byte");
  EXPECT_EQ(message(with("fmspc", R"(["00"])")), "policy: \"fmspc[0]\" is \"00\"; allowed: 12 hexadecimal digits");
  EXPECT_EQ(message(with("min_isv_svn", "70000")),
            "policy: \"min_isv_svn\" is 70000; allowed: a whole number from 0 to 65535");
  EXPECT_EQ(message(with("isv_prod_id", "[1, 1]")), "policy: \"isv_prod_id[1]\" is 1; allowed: each value once");
  EXPECT_THAT(message(with("mrenclave", "[]")),
              AllOf(HasSubstr("\"mrenclave\" is not a key that is known; allowed: "), HasSubstr(", mr_enclave, ")));
  EXPECT_EQ(message("{}"), "policy: \"version\" is missing; allowed: 1");
}

TEST(PolicyFile, error_shows_no_more_of_a_value_than_a_person_reads_and_nothing_unprintable) {
  std::string text = message(with("allow_debug", in_quotes(std::string(10000, 'x') + "\\u0007")));
  EXPECT_LT(text.size(), 200U);
  EXPECT_THAT(text, HasSubstr("xxx...; allowed: true or false"));
  text = message("{\"version\": 1, \"\xc3\xbc\\u001b[2J" + std::string(10000, 'x') + "\": 1}");
  EXPECT_LT(text.size(), 1000U);
  EXPECT_TRUE(std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; })) << text;
}

TEST(PolicyFile, duplicate_keys_depth_size_and_junk_are_refused) {
  EXPECT_THAT(message(R"({"version": 1, "allow_debug": false, "allow_debug": true})"),
              AllOf(HasSubstr("twice"), HasSubstr("allow_debug")));
  EXPECT_THAT(message(with("report_data", R"({"prefix": "00", "prefix": "01"})")), HasSubstr("twice"));
  EXPECT_THAT(message(std::string(1000, '[')), HasSubstr("deeper"));
  EXPECT_THAT(message(with("mr_enclave", std::string(1000, '[') + std::string(1000, ']'))), HasSubstr("deeper"));
  std::string large = R"({"version": 1})";
  large.resize(Policy::kMaxJsonSize, ' ');
  EXPECT_EQ(message(large), "was read");
  EXPECT_EQ(message(large + " "), "policy: it has 65537 bytes, at most 65536 are read");
  for (const char* junk : {"", "null", "[]", "1", "\"x\"", "{", "{\"version\": 1", "{\"version\": 1} {}",
                           "{version: 1}", "{\"version\": 1,}", "{\"version\": 1 /* one */}"})
    EXPECT_THAT(message(junk), HasSubstr("policy: ")) << junk;
  EXPECT_NE(message(std::string("{\"version\": 1}\0", 15)), "was read");
  EXPECT_THAT(message(with("description", "\"\xff\"")), HasSubstr("not JSON"));
}

TEST(PolicyFile, longest_lists_are_read) {
  std::string hashes;
  for (std::size_t i = 0; i < Policy::kMaxListed; ++i) {
    std::string hash = std::to_string(1000 + i) + std::string(60, '0');
    hashes += (i == 0 ? "" : ", ") + in_quotes(hash);
  }
  auto policy = parse_policy_json(with("mr_enclave", "[" + hashes + "]"));
  ASSERT_TRUE(policy) << policy.error().message();
  EXPECT_EQ(policy->mr_enclave.size(), Policy::kMaxListed);
  EXPECT_NE(message(with("mr_enclave", "[" + hashes + ", " + in_quotes(kHash) + "]")), "was read");
}

}  // namespace
}  // namespace enclayer
