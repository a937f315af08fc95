// SPDX-License-Identifier: Apache-2.0
// `enclayer policy` and `enclayer verify --policy`, the real binary: files, flags that contradict them, exit codes, and
// that docs/verify-output.md lists what is put out.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <regex>
#include <set>

#include "fake/process.h"
#include "fake/quote_case.h"
#include "fake/temp_folder.h"

namespace enclayer {
namespace {

using fake::Finished;
using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

constexpr char kCase[] = "C_eval17";  // SWHardeningNeeded for INTEL-SA-00615, evaluation number 17

class PolicyCommand : public testing::Test {
 protected:
  std::string policy_file(const std::string& text) {
    std::string path = folder_.path() / "policy.json";
    EXPECT_TRUE(base::write_file_atomic(path, {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}, 0600));
    return path;
  }

  static Finished enclayer(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), ENCLAYER_BIN_DIR "/enclayer");
    return fake::run(arguments);
  }

  static Finished verify_by(const std::string& policy_path, const std::vector<std::string>& more = {}) {
    fake::QuoteCase subject = fake::quote_case(kCase);
    std::vector<std::string> arguments = {"verify",
                                          "--quote",
                                          subject.folder / "quote.bin",
                                          "--collateral",
                                          subject.folder / "collateral.json",
                                          "--at",
                                          format_time(subject.at),
                                          "--output",
                                          "json"};
    if (!policy_path.empty()) arguments.insert(arguments.end(), {"--policy", policy_path});
    arguments.insert(arguments.end(), more.begin(), more.end());
    return enclayer(arguments);
  }

  Finished verify(const json& policy, const std::vector<std::string>& more = {}) {
    return verify_by(policy_file(policy.dump()), more);
  }

  fake::TempFolder folder_;
};

TEST_F(PolicyCommand, policy_that_the_quote_meets_trusts_it) {
  Finished met = verify({{"version", 1},
                         {"mr_enclave", {"A4F45C39dac622cb1dd32ddb35a52ec92db41d0fa88a1c911c49e59c534f61cd"}},
                         {"mr_signer", {"8f2dbc0f9c5d3378d596974b2deed1f93223cc49242899f83809bcc92546132c"}},
                         {"isv_prod_id", {0}},
                         {"min_isv_svn", 0},
                         {"report_data", {{"exact", std::string(128, '0')}}},
                         {"accepted_tcb_statuses", {"SWHardeningNeeded"}},
                         {"accepted_advisory_ids", {"INTEL-SA-00615"}},
                         {"min_tcb_evaluation_data_number", 17},
                         {"fmspc", {"00606a000000"}}});
  EXPECT_EQ(met.exit_code, 0) << met.out << met.err;
  EXPECT_EQ(json::parse(met.out)["verdict"], "trusted");
}

TEST_F(PolicyCommand, everything_that_misses_the_policy_is_told) {
  Finished missed = verify({{"version", 1},
                            {"mr_enclave", {std::string(64, '0')}},
                            {"mr_signer", {std::string(64, '0')}},
                            {"isv_prod_id", {1}},
                            {"min_isv_svn", 1},
                            {"report_data", {{"prefix", "01"}}},
                            {"accepted_advisory_ids", json::array()},
                            {"min_tcb_evaluation_data_number", 18},
                            {"fmspc", {"00a067110000"}}});
  EXPECT_EQ(missed.exit_code, 2);
  std::vector<std::string> reasons;
  const json out = json::parse(missed.out);
  for (const json& miss : out["misses"]) reasons.push_back(miss["reason"]);
  EXPECT_THAT(reasons, ElementsAre("TCB_SW_HARDENING_NEEDED", "MRENCLAVE_NOT_ACCEPTED", "MRSIGNER_NOT_ACCEPTED",
                                   "ISVPRODID_NOT_ACCEPTED", "ISVSVN_TOO_LOW", "REPORT_DATA_NOT_ACCEPTED",
                                   "FMSPC_NOT_ACCEPTED", "ADVISORY_NOT_ACCEPTED", "TCB_EVALUATION_NUMBER_TOO_LOW"));
}

TEST_F(PolicyCommand, flag_may_repeat_the_file_and_not_contradict_it) {
  json policy = {{"version", 1}, {"accepted_tcb_statuses", {"SWHardeningNeeded"}}, {"allow_debug", true}};
  EXPECT_EQ(verify(policy, {"--accept-tcb", "SWHardeningNeeded", "--allow-debug"}).exit_code, 0);
  Finished other = verify(policy, {"--accept-tcb", "OutOfDate"});
  EXPECT_EQ(other.exit_code, 1);
  EXPECT_THAT(other.out, IsEmpty());
  EXPECT_THAT(other.err, HasSubstr("--accept-tcb OutOfDate contradicts " + (folder_.path() / "policy.json").string()));
  policy.erase("allow_debug");
  Finished debug = verify(policy, {"--allow-debug"});
  EXPECT_EQ(debug.exit_code, 1);
  EXPECT_THAT(debug.err, HasSubstr("put \"allow_debug\": true into the file"));
}

TEST_F(PolicyCommand, file_that_is_no_policy_gives_no_verdict) {
  Finished unknown = verify({{"version", 1}, {"mrenclave", json::array()}});
  EXPECT_EQ(unknown.exit_code, 1);
  EXPECT_THAT(unknown.out, IsEmpty());
  EXPECT_THAT(unknown.err, HasSubstr("policy.json: policy: \"mrenclave\" is not a key that is known; allowed: "));
  Finished twice = verify_by(policy_file(R"({"version": 1, "allow_debug": false, "allow_debug": true})"));
  EXPECT_EQ(twice.exit_code, 1);
  EXPECT_THAT(twice.err, HasSubstr("twice"));
  EXPECT_EQ(verify_by(policy_file(std::string(1 << 17, ' '))).exit_code, 1);
  Finished missing = verify_by(folder_.path() / "missing");
  EXPECT_EQ(missing.exit_code, 3);
  EXPECT_THAT(missing.err, HasSubstr("missing"));
}

TEST_F(PolicyCommand, check_shows_the_defaults_and_warns_of_a_policy_that_names_nobody) {
  Finished open = enclayer({"policy", "check", policy_file(R"({"version": 1})")});
  EXPECT_EQ(open.exit_code, 0) << open.err;
  EXPECT_THAT(open.out, HasSubstr("MRENCLAVE              any\n"));
  EXPECT_THAT(open.out, HasSubstr("debug enclaves and TDs refused\n"));
  EXPECT_THAT(open.out, HasSubstr("simulated platforms    refused\n"));
  EXPECT_THAT(open.out, HasSubstr("TCB statuses           UpToDate\n"));
  EXPECT_THAT(open.out, HasSubstr("anybody's enclave"));

  std::string hash(64, 'a');
  Finished closed =
      enclayer({"policy", "check",
                policy_file(R"({"version": 1, "min_isv_svn": 3, "allow_debug": true, "mr_enclave": [")" + hash +
                            R"("], "report_data": {"prefix": "ff"}, "accepted_advisory_ids": []})")});
  EXPECT_THAT(closed.out, HasSubstr("MRENCLAVE              " + hash + "\n"));
  EXPECT_THAT(closed.out, HasSubstr("ISVSVN                 3 or more\n"));
  EXPECT_THAT(closed.out, HasSubstr("debug enclaves and TDs ACCEPTED\n"));
  EXPECT_THAT(closed.out, HasSubstr("advisories             none\n"));
  EXPECT_THAT(closed.out, HasSubstr("where the bits of ff00"));
  EXPECT_THAT(closed.out, HasSubstr("Mind: debug enclaves and TDs are accepted"));
  EXPECT_EQ(closed.out.find("Mind:"), closed.out.rfind("Mind:"));

  EXPECT_EQ(enclayer({"policy", "check", policy_file("{}")}).exit_code, 2);
  EXPECT_EQ(enclayer({"policy", "check", folder_.path() / "missing"}).exit_code, 3);
  EXPECT_EQ(enclayer({"policy", "check"}).exit_code, 1);
  EXPECT_EQ(enclayer({"policy"}).exit_code, 1);
}

TEST_F(PolicyCommand, check_warns_of_what_is_surely_not_meant) {
  auto warned = [&](const std::string& keys) {
    return enclayer({"policy", "check", policy_file(R"({"version": 1, )" + keys + "}")}).out;
  };
  const std::string enclave = R"("mr_enclave": [")" + std::string(64, 'a') + "\"]",
                    signer = R"("mr_signer": [")" + std::string(64, 'a') + "\"]";
  EXPECT_THAT(warned(enclave), Not(HasSubstr("Mind:")));
  EXPECT_THAT(warned(enclave + R"(, "accepted_tcb_statuses": ["SWHardeningNeeded"])"),
              HasSubstr("Mind: UpToDate is not among"));
  EXPECT_THAT(warned(enclave + R"(, "accepted_tcb_statuses": ["UpToDate", "OutOfDate"])"),
              HasSubstr("Mind: platforms that are out of date are accepted for ever"));
  EXPECT_THAT(warned(enclave + R"(, "tcb_grace_days": 30)"), Not(HasSubstr("Mind:")));
  EXPECT_THAT(warned(enclave + R"(, "allow_simulated": true)"), HasSubstr("Mind: simulated platforms"));
  EXPECT_THAT(warned(signer), HasSubstr("Mind: every product of these signers"));
  EXPECT_THAT(warned(signer + R"(, "isv_prod_id": [1])"), HasSubstr("Mind: every version of it"));
  EXPECT_THAT(warned(signer + R"(, "isv_prod_id": [1], "min_isv_svn": 2)"), Not(HasSubstr("Mind:")));
  EXPECT_THAT(warned(R"("isv_prod_id": [1])"), HasSubstr("without \"mr_signer\" they say nothing"));
}

TEST_F(PolicyCommand, schema_is_the_file_in_the_tree) {
  Finished schema = enclayer({"policy", "schema"});
  EXPECT_EQ(schema.exit_code, 0);
  EXPECT_EQ(schema.out, base::read_text(ENCLAYER_SOURCE_DIR "/src/attestation/policy.schema.json", 1 << 20).value());
}

TEST_F(PolicyCommand, examples_in_the_tree_are_good) {
  EXPECT_EQ(enclayer({"policy", "check", ENCLAYER_SOURCE_DIR "/samples/verify-from-cpp/policy.json"}).exit_code, 0);
  std::string page = base::read_text(ENCLAYER_SOURCE_DIR "/docs/policy.md", 1 << 20).value();
  int examples = 0;
  for (std::size_t at = 0; (at = page.find("```json\n", at)) != std::string::npos; ++examples) {
    at += 8;
    std::string example = page.substr(at, page.find("```", at) - at);
    Finished checked = enclayer({"policy", "check", policy_file(example)});
    EXPECT_EQ(checked.exit_code, 0) << example << checked.err;
  }
  EXPECT_GE(examples, 2);
}

// The fields of the first column of tables: | `name`, `other` | ...
std::set<std::string> fields_of(const std::string& page) {
  std::set<std::string> out;
  static const std::regex kCell(R"(\n\| (`[^|]*)\|)"), kName("`([a-z0-9_\\[\\].]+)`");
  for (std::sregex_iterator cell(page.begin(), page.end(), kCell), end; cell != end; ++cell) {
    const std::string names = (*cell)[1];
    for (std::sregex_iterator name(names.begin(), names.end(), kName); name != end; ++name) out.insert((*name)[1]);
  }
  return out;
}

TEST_F(PolicyCommand, page_on_the_output_lists_every_field_and_no_other) {
  std::set<std::string> listed =
      fields_of(base::read_text(ENCLAYER_SOURCE_DIR "/docs/verify-output.md", 1 << 20).value());
  // An enclave, and a TD that reports all there is.
  const std::string td = folder_.path() / "td", at = "2026-01-01T00:00:00Z";
  ASSERT_EQ(enclayer({"sim", "case", "td-partitioned", "--out-dir", td, "--at", at}).exit_code, 0);
  Finished judged = enclayer({"verify", "--quote", td + "/quote.bin", "--collateral", td + "/collateral.json",
                              "--root-ca", td + "/root.pem", "--at", at, "--output", "json"});
  // And the certificate of a TLS peer; it has no nonce.
  const std::string case_folder = ENCLAYER_TEST_DATA "/quotes/cases/C_eval17";
  Finished peer = enclayer({"verify", "--ra-tls", ENCLAYER_TEST_DATA "/ratls/gramine-cert.pem", "--collateral",
                            case_folder + "/collateral.json", "--at", "2025-06-25T00:00:00Z", "--output", "json"});
  std::set<std::string> put_out = {"misses[].reason", "misses[].detail", "attested_key.nonce"};
  for (const json& out : {json::parse(verify({{"version", 1}}).out), json::parse(judged.out), json::parse(peer.out)}) {
    if (out.contains("attested_key"))
      for (const auto& [field, value] : out["attested_key"].items()) put_out.insert("attested_key." + field);
    for (const auto& [field, value] : out.items()) put_out.insert(field);
    for (const auto& [field, value] : out["tcb"].items()) put_out.insert("tcb." + field);
  }
  EXPECT_EQ(listed, put_out);
}

TEST_F(PolicyCommand, page_on_policies_lists_every_key_and_no_other) {
  std::set<std::string> listed = fields_of(base::read_text(ENCLAYER_SOURCE_DIR "/docs/policy.md", 1 << 20).value());
  std::set<std::string> known;
  const json schema = json::parse(enclayer({"policy", "schema"}).out);
  for (const auto& [key, rule] : schema["properties"].items())
    if (key != "$schema") known.insert(key);
  EXPECT_EQ(listed, known);
}

TEST_F(PolicyCommand, output_begins_with_its_version) {
  EXPECT_THAT(verify({{"version", 1}}).out, StartsWith("{\n  \"version\": 1,\n  \"verdict\": "));
}

}  // namespace
}  // namespace enclayer
