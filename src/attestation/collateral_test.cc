// SPDX-License-Identifier: Apache-2.0
#include "enclayer/collateral.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "fake/quote_case.h"

namespace enclayer {
namespace {

using nlohmann::json;
using testing::HasSubstr;

std::string real_text() {
  return base::read_text(fake::quote_case("A_phala_sgx_processor").folder / "collateral.json", 1 << 20).value();
}

TEST(Collateral, json_goes_round_byte_for_byte) {
  for (const std::string& name : fake::quote_case_names()) {
    Collateral collateral = fake::quote_case(name).collateral;
    EXPECT_EQ(parse_collateral_json(to_json(collateral)).value(), collateral) << name;
  }
}

TEST(Collateral, layout_is_nine_strings_with_hexadecimal_crls_and_signatures) {
  json ours = json::parse(to_json(fake::quote_case("A_phala_sgx_processor").collateral));
  EXPECT_EQ(ours, json::parse(real_text()));
}

TEST(Collateral, string_that_is_missing_or_of_another_type_is_named) {
  const json real = json::parse(real_text());
  ASSERT_EQ(real.size(), 9U);
  for (const auto& [key, value] : real.items()) {
    json missing = real, number = real;
    missing.erase(key);
    number[key] = 1;
    for (const json& bad : {missing, number}) {
      auto parsed = parse_collateral_json(bad.dump());
      ASSERT_FALSE(parsed) << key;
      EXPECT_EQ(parsed.error().kind(), ErrorKind::kMalformed);
      EXPECT_THAT(parsed.error().message(), HasSubstr("\"" + key + "\""));
    }
  }
}

TEST(Collateral, bad_hexadecimal_digits_double_keys_and_size_are_refused) {
  json bad = json::parse(real_text());
  bad["pck_crl"] = "0g";
  EXPECT_THAT(parse_collateral_json(bad.dump()).error().message(), HasSubstr("pck_crl"));
  std::string twice = real_text();
  twice.insert(1, "\"tcb_info\": \"{}\", ");
  EXPECT_THAT(parse_collateral_json(twice).error().message(), HasSubstr("twice"));
  EXPECT_FALSE(parse_collateral_json(std::string(Collateral::kMaxJsonSize + 1, ' ')));
  EXPECT_FALSE(parse_collateral_json(""));
  EXPECT_FALSE(parse_collateral_json(std::string(100'000, '{')));
}

TEST(Collateral, further_keys_are_ignored) {
  json more = json::parse(real_text());
  more["pck_certificate_chain"] = nullptr;
  EXPECT_TRUE(parse_collateral_json(more.dump()));
}

}  // namespace
}  // namespace enclayer
