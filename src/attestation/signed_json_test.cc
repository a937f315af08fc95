// SPDX-License-Identifier: Apache-2.0
// TCB Info and QE Identity: what Intel signs as JSON.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <nlohmann/json.hpp>

#include "attestation/qe_identity.h"
#include "attestation/tcb_info.h"
#include "attestation/tcb_status.h"
#include "base/bytes.h"
#include "base/hex.h"
#include "enclayer/quote.h"
#include "fake/quote_case.h"

namespace enclayer::attestation {
namespace {

using nlohmann::json;
using testing::HasSubstr;

json real_tcb_info() { return json::parse(fake::quote_case("A_phala_sgx_processor").collateral.tcb_info); }
json real_qe_identity() { return json::parse(fake::quote_case("A_phala_sgx_processor").collateral.qe_identity); }

PlatformTcb platform_a() { return {{11, 11, 2, 2, 255, 1}, 13}; }

Result<TcbInfo> tcb_info_with(const std::function<void(json&)>& change) {
  json changed = real_tcb_info();
  change(changed);
  return parse_tcb_info(changed.dump());
}
Result<QeIdentity> identity_with(const std::function<void(json&)>& change) {
  json changed = real_qe_identity();
  change(changed);
  return parse_qe_identity(changed.dump());
}

TEST(TcbInfo, version_3_is_read) {
  auto info = parse_tcb_info(real_tcb_info().dump());
  ASSERT_TRUE(info) << info.error().message();
  EXPECT_EQ(info->id, "SGX");
  EXPECT_EQ(base::to_hex(info->fmspc), "00a067110000");
  EXPECT_EQ(info->evaluation_number, 17U);
  EXPECT_EQ(info->levels.size(), 11U);
  EXPECT_EQ(format_time(info->validity.from), "2025-06-19T10:56:11Z");
  EXPECT_EQ(format_time(info->validity.until), "2025-07-19T10:56:11Z");
}

TEST(TcbInfo, version_2_says_the_same_in_other_words) {
  json info = real_tcb_info();
  info["version"] = 2;
  info.erase("id");
  for (json& level : info["tcbLevels"]) {
    json tcb = {{"pcesvn", level["tcb"]["pcesvn"]}};
    int number = 0;
    for (const json& component : level["tcb"]["sgxtcbcomponents"]) {
      std::string digits = std::to_string(++number);
      tcb["sgxtcbcomp" + std::string(2 - digits.size(), '0') + digits + "svn"] = component["svn"];
    }
    level["tcb"] = tcb;
  }
  auto two = parse_tcb_info(info.dump());
  auto three = parse_tcb_info(real_tcb_info().dump());
  ASSERT_TRUE(two) << two.error().message();
  ASSERT_EQ(two->levels.size(), three->levels.size());
  for (std::size_t i = 0; i < two->levels.size(); ++i) EXPECT_EQ(two->levels[i].tcb, three->levels[i].tcb);
}

TEST(TcbInfo, hexadecimal_digits_may_have_both_cases) {
  auto lower = tcb_info_with([](json& j) { j["fmspc"] = "00a067110000"; });
  EXPECT_EQ(lower->fmspc, parse_tcb_info(real_tcb_info().dump())->fmspc);
}

TEST(TcbInfo, level_is_the_best_one_that_the_platform_reaches_whatever_their_order) {
  auto info = parse_tcb_info(real_tcb_info().dump());
  EXPECT_EQ(info->level_of(platform_a())->status, "ConfigurationAndSWHardeningNeeded");
  PlatformTcb better = platform_a();
  better.components[6] = 12;
  EXPECT_EQ(info->level_of(better)->status, "SWHardeningNeeded");
  PlatformTcb older = platform_a();
  older.pce_svn = 12;
  EXPECT_EQ(info->level_of(older)->status, "OutOfDateConfigurationNeeded");
  EXPECT_EQ(info->level_of(PlatformTcb{}), nullptr);

  auto reversed = tcb_info_with([](json& j) { std::reverse(j["tcbLevels"].begin(), j["tcbLevels"].end()); });
  EXPECT_EQ(reversed->level_of(platform_a())->status, "ConfigurationAndSWHardeningNeeded");
}

TEST(TcbInfo, two_levels_with_the_same_numbers_are_refused_wherever_they_stand) {
  auto twice = tcb_info_with([](json& j) {
    json again = j["tcbLevels"][0];
    again["tcbStatus"] = "Revoked";
    j["tcbLevels"].push_back(again);
  });
  ASSERT_FALSE(twice);
  EXPECT_THAT(twice.error().message(), HasSubstr("same numbers"));
}

TEST(TcbInfo, unknown_status_is_kept_as_it_is_spelled) {
  auto info = tcb_info_with([](json& j) { j["tcbLevels"][1]["tcbStatus"] = "UpToDateish"; });
  ASSERT_TRUE(info);
  EXPECT_EQ(info->level_of(platform_a())->status, "UpToDateish");
  EXPECT_FALSE(tcb_status_from("UpToDateish"));
}

TEST(TcbInfo, each_missing_field_is_named) {
  for (const char* key : {"id", "version", "issueDate", "nextUpdate", "fmspc", "pceId", "tcbType",
                          "tcbEvaluationDataNumber", "tcbLevels"}) {
    auto info = tcb_info_with([&](json& j) { j.erase(key); });
    ASSERT_FALSE(info) << key;
    EXPECT_THAT(info.error().message(), HasSubstr(std::string("\"") + key + "\""));
  }
  for (const char* key : {"tcb", "tcbDate", "tcbStatus"})
    EXPECT_FALSE(tcb_info_with([&](json& j) { j["tcbLevels"][3].erase(key); })) << key;
  EXPECT_TRUE(tcb_info_with([](json& j) { j["tcbLevels"][3].erase("advisoryIDs"); })) << "advisories are optional";
}

TEST(TcbInfo, values_out_of_range_are_refused) {
  EXPECT_EQ(tcb_info_with([](json& j) { j["version"] = 4; }).error().kind(), ErrorKind::kUnsupported);
  EXPECT_EQ(tcb_info_with([](json& j) { j["tcbType"] = 1; }).error().kind(), ErrorKind::kUnsupported);
  EXPECT_FALSE(tcb_info_with([](json& j) { j["id"] = "QE"; }));
  EXPECT_FALSE(tcb_info_with([](json& j) { j["fmspc"] = "00A0671100"; }));
  EXPECT_FALSE(tcb_info_with([](json& j) { j["fmspc"] = "00A06711000G"; }));
  EXPECT_FALSE(tcb_info_with([](json& j) { j["pceId"] = 0; }));
  EXPECT_FALSE(tcb_info_with([](json& j) { j["tcbLevels"] = json::array(); }));
  EXPECT_FALSE(tcb_info_with([](json& j) { j["tcbLevels"][0]["tcb"]["pcesvn"] = 65536; }));
  EXPECT_FALSE(tcb_info_with([](json& j) { j["tcbLevels"][0]["tcb"]["sgxtcbcomponents"][0]["svn"] = 256; }));
  EXPECT_FALSE(tcb_info_with([](json& j) { j["tcbLevels"][0]["tcb"]["sgxtcbcomponents"][0]["svn"] = -1; }));
  EXPECT_FALSE(tcb_info_with([](json& j) { j["tcbLevels"][0]["tcb"]["sgxtcbcomponents"].erase(15); }));
  EXPECT_FALSE(tcb_info_with([](json& j) { j["tcbLevels"][0]["tcb"]["sgxtcbcomponents"].push_back({{"svn", 0}}); }));
  EXPECT_FALSE(tcb_info_with([](json& j) { j["tcbLevels"][0]["advisoryIDs"] = "INTEL-SA-00001"; }));
}

TEST(TcbInfo, dates_have_exactly_one_form) {
  for (const char* date :
       {"2025-06-19", "2025-06-19T10:56:11", "2025-06-19T10:56:11.0Z", "2025-06-19T10:56:11+00:00",
        "2025-06-19 10:56:11Z", "2025-02-30T10:56:11Z", "2025-06-19T24:00:00Z", "", " 2025-06-19T10:56:11Z"}) {
    EXPECT_FALSE(tcb_info_with([&](json& j) { j["issueDate"] = date; })) << date;
    EXPECT_FALSE(identity_with([&](json& j) { j["nextUpdate"] = date; })) << date;
    EXPECT_FALSE(tcb_info_with([&](json& j) { j["tcbLevels"][0]["tcbDate"] = date; })) << date;
  }
}

ReportBody qe_report() { return parse_quote(fake::quote_case("A_phala_sgx_processor").quote)->qe_report(); }

// ---- TCB Info for TDX ----

json real_tdx_info() { return json::parse(fake::quote_case("T4_phala_tdx_v4").collateral.tcb_info); }

Result<TcbInfo> tdx_info_with(const std::function<void(json&)>& change) {
  json info = real_tdx_info();
  change(info);
  return parse_tcb_info(info.dump());
}

TEST(TcbInfoForTdx, modules_and_their_levels_are_read) {
  TcbInfo info = parse_tcb_info(real_tdx_info().dump()).value();
  EXPECT_EQ(info.id, "TDX");
  EXPECT_EQ(info.tdx_module.attributes_mask, ~std::uint64_t{0});
  ASSERT_TRUE(info.tdx_module_identities);
  ASSERT_NE(info.module_of(1), nullptr);
  EXPECT_EQ(info.module_of(1)->levels.front().isv_svn, 4);
  ASSERT_NE(info.module_of(3), nullptr);
  EXPECT_EQ(info.module_of(3)->levels.front().isv_svn, 3);
  for (int major : {0, 2, 0x10, 0xff}) EXPECT_EQ(info.module_of(static_cast<std::uint8_t>(major)), nullptr) << major;
}

TEST(TcbInfoForTdx, major_version_is_two_hexadecimal_digits_in_both_cases) {
  auto named = [](const char* id) {
    return tdx_info_with([&](json& j) { j["tdxModuleIdentities"][0]["id"] = id; }).value();
  };
  EXPECT_NE(named("TDX_1A").module_of(0x1a), nullptr);
  EXPECT_NE(named("tdx_1a").module_of(0x1a), nullptr);
  EXPECT_EQ(named("TDX_26").module_of(0x1a), nullptr) << "not decimal";
  EXPECT_EQ(named("TDX_3").module_of(3), nullptr);
}

TEST(TcbInfoForTdx, level_needs_the_tdx_components_too_and_the_modules_numbers_only_of_major_version_0) {
  TcbInfo info = parse_tcb_info(real_tdx_info().dump()).value();
  PlatformTcb best;
  best.components.fill(0xff);
  best.pce_svn = 0xffff;
  EXPECT_EQ(info.level_of(best, TdxTcb{{5, 0, 2}}), &info.levels[0]);
  EXPECT_EQ(info.level_of(best, TdxTcb{{4, 0, 2}}), nullptr);
  EXPECT_EQ(info.level_of(best, TdxTcb{{0, 1, 2}}), &info.levels[0]);
  EXPECT_EQ(info.level_of(best, TdxTcb{{5, 1, 1}}), nullptr);
  EXPECT_EQ(info.level_of(PlatformTcb{}, TdxTcb{{5, 0, 2}}), nullptr);
  TcbInfo sgx = parse_tcb_info(real_tcb_info().dump()).value();
  EXPECT_EQ(sgx.level_of(best, TdxTcb{{5, 0, 2}}), nullptr) << "levels of SGX say nothing of a TD";
}

TEST(TcbInfoForTdx, levels_that_differ_in_tdx_components_alone_are_two) {
  auto info = tdx_info_with([](json& j) {
    json newer = j["tcbLevels"][0];
    newer["tcb"]["tdxtcbcomponents"][15]["svn"] = 1;
    j["tcbLevels"].push_back(newer);
  });
  ASSERT_TRUE(info) << info.error().message();
  EXPECT_EQ(info->levels.front().tdx->svn[15], 1) << "the better one first";
}

TEST(TcbInfoForTdx, what_contradicts_itself_or_is_missing_is_malformed) {
  const std::map<std::string, std::function<void(json&)>> changes = {
      {"tdxModule", [](json& j) { j.erase("tdxModule"); }},
      {"mrsigner", [](json& j) { j["tdxModule"]["mrsigner"] = "00"; }},
      {"attributesMask", [](json& j) { j["tdxModule"].erase("attributesMask"); }},
      {"two identities",
       [](json& j) {
         j["tdxModuleIdentities"].push_back(j["tdxModuleIdentities"][0]);
         j["tdxModuleIdentities"].back()["id"] = "tdx_03";
       }},
      {"no TCB level", [](json& j) { j["tdxModuleIdentities"][0]["tcbLevels"] = json::array(); }},
      {"ISVSVN 3",
       [](json& j) {
         json& levels = j["tdxModuleIdentities"][0]["tcbLevels"];
         levels.push_back(levels[0]);
       }},
      {"not 16", [](json& j) { j["tcbLevels"][0]["tcb"]["tdxtcbcomponents"].erase(3); }},
      {"same numbers", [](json& j) { j["tcbLevels"].push_back(j["tcbLevels"][0]); }},
      {"tdxtcbcomponents", [](json& j) { j["tcbLevels"][1]["tcb"].erase("tdxtcbcomponents"); }},
      {"sgxtcbcomp01svn", [](json& j) { j["version"] = 2; }},
  };
  for (const auto& [said, change] : changes) {
    auto info = tdx_info_with(change);
    ASSERT_FALSE(info) << said;
    EXPECT_EQ(info.error().kind(), ErrorKind::kMalformed) << said;
    EXPECT_THAT(info.error().message(), HasSubstr(said));
  }
  EXPECT_TRUE(tdx_info_with([](json& j) { j.erase("tdxModuleIdentities"); })) << "it may know no newer module";
}

TEST(QeIdentity, intels_quoting_enclave_is_recognised_and_no_other) {
  auto identity = parse_qe_identity(real_qe_identity().dump());
  ASSERT_TRUE(identity) << identity.error().message();
  EXPECT_EQ(identity->mismatch(qe_report()), "");
  auto mismatch = [&](const std::function<void(ReportBody&)>& change) {
    ReportBody changed = qe_report();
    change(changed);
    return identity->mismatch(changed);
  };
  EXPECT_THAT(mismatch([](ReportBody& r) { r.mr_signer[0] ^= 1; }), HasSubstr("MRSIGNER"));
  EXPECT_THAT(mismatch([](ReportBody& r) { r.isv_prod_id = 2; }), HasSubstr("ISVPRODID is 2, QE Identity wants 1"));
  EXPECT_THAT(mismatch([](ReportBody& r) { r.misc_select = 1; }), HasSubstr("MISCSELECT"));
  EXPECT_THAT(mismatch([](ReportBody& r) { r.attributes.flags |= Attributes::kDebug; }), HasSubstr("DEBUG"));
  EXPECT_THAT(mismatch([](ReportBody& r) { r.attributes.flags ^= Attributes::kProvisionKey; }),
              HasSubstr("ATTRIBUTES"));
  EXPECT_EQ(mismatch([](ReportBody& r) { r.attributes.flags ^= Attributes::kMode64; }), "") << "masked out";
  EXPECT_EQ(mismatch([](ReportBody& r) { r.attributes.xfrm = 0xe7; }), "") << "masked out";
}

TEST(QeIdentity, masks_are_bytes_in_the_order_of_memory) {
  auto identity = identity_with([](json& j) {
    j["miscselect"] = "01000000";
    j["miscselectMask"] = "0F000000";
  });
  ReportBody report = qe_report();
  report.misc_select = 0xfffffff1;
  EXPECT_EQ(identity->mismatch(report), "");
  report.misc_select = 0x01000000;
  EXPECT_NE(identity->mismatch(report), "");
}

TEST(QeIdentity, level_is_the_best_one_that_the_isvsvn_reaches) {
  auto identity = identity_with([](json& j) { std::reverse(j["tcbLevels"].begin(), j["tcbLevels"].end()); });
  EXPECT_EQ(level_of(identity->levels, 10)->isv_svn, 8);
  EXPECT_EQ(level_of(identity->levels, 8)->status, "UpToDate");
  EXPECT_EQ(level_of(identity->levels, 7)->isv_svn, 6);
  EXPECT_EQ(level_of(identity->levels, 7)->status, "OutOfDate");
  EXPECT_EQ(level_of(identity->levels, 0), nullptr);
}

TEST(QeIdentity, what_is_missing_twice_or_out_of_range_is_refused) {
  for (const char* key : {"id", "version", "issueDate", "nextUpdate", "tcbEvaluationDataNumber", "miscselect",
                          "miscselectMask", "attributes", "attributesMask", "mrsigner", "isvprodid", "tcbLevels"})
    EXPECT_FALSE(identity_with([&](json& j) { j.erase(key); })) << key;
  EXPECT_EQ(identity_with([](json& j) { j["version"] = 1; }).error().kind(), ErrorKind::kUnsupported);
  EXPECT_FALSE(identity_with([](json& j) { j["id"] = "SGX"; }));
  EXPECT_FALSE(identity_with([](json& j) { j["mrsigner"] = "00"; }));
  EXPECT_FALSE(identity_with([](json& j) { j["isvprodid"] = 65536; }));
  EXPECT_FALSE(identity_with([](json& j) { j["tcbLevels"][1]["tcb"]["isvsvn"] = 8; })) << "8 is there already";
  EXPECT_FALSE(identity_with([](json& j) { j["tcbLevels"][0]["tcb"].erase("isvsvn"); }));
}

TEST(TcbStatus, platform_and_qe_converge_as_in_intels_library) {
  using S = TcbStatus;
  for (S platform :
       {S::kUpToDate, S::kSwHardeningNeeded, S::kConfigurationNeeded, S::kConfigurationAndSwHardeningNeeded,
        S::kOutOfDate, S::kOutOfDateConfigurationNeeded, S::kRevoked}) {
    EXPECT_EQ(converge(platform, S::kUpToDate), platform);
    EXPECT_EQ(converge(platform, S::kRevoked), S::kRevoked);
  }
  EXPECT_EQ(converge(S::kUpToDate, S::kOutOfDate), S::kOutOfDate);
  EXPECT_EQ(converge(S::kSwHardeningNeeded, S::kOutOfDate), S::kOutOfDate);
  EXPECT_EQ(converge(S::kOutOfDate, S::kOutOfDate), S::kOutOfDate);
  EXPECT_EQ(converge(S::kConfigurationNeeded, S::kOutOfDate), S::kOutOfDateConfigurationNeeded);
  EXPECT_EQ(converge(S::kConfigurationAndSwHardeningNeeded, S::kOutOfDate), S::kOutOfDateConfigurationNeeded);
  EXPECT_EQ(converge(S::kOutOfDateConfigurationNeeded, S::kOutOfDate), S::kOutOfDateConfigurationNeeded);
  EXPECT_EQ(converge(S::kRevoked, S::kOutOfDate), S::kRevoked);
}

TEST(TcbStatus, each_has_its_spelling_and_its_reason) {
  using S = TcbStatus;
  std::pair<S, std::pair<const char*, const char*>> table[] = {
      {S::kUpToDate, {"UpToDate", "OK"}},
      {S::kSwHardeningNeeded, {"SWHardeningNeeded", "TCB_SW_HARDENING_NEEDED"}},
      {S::kConfigurationNeeded, {"ConfigurationNeeded", "TCB_CONFIGURATION_NEEDED"}},
      {S::kConfigurationAndSwHardeningNeeded,
       {"ConfigurationAndSWHardeningNeeded", "TCB_CONFIGURATION_AND_SW_HARDENING_NEEDED"}},
      {S::kOutOfDate, {"OutOfDate", "TCB_OUT_OF_DATE"}},
      {S::kOutOfDateConfigurationNeeded, {"OutOfDateConfigurationNeeded", "TCB_OUT_OF_DATE_CONFIGURATION_NEEDED"}},
      {S::kRevoked, {"Revoked", "TCB_REVOKED"}}};
  for (const auto& [status, names] : table) {
    EXPECT_EQ(to_string(status), names.first);
    EXPECT_EQ(tcb_status_from(names.first), status);
    EXPECT_EQ(to_string(reason_of(status)), names.second);
  }
}

}  // namespace
}  // namespace enclayer::attestation
