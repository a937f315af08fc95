// SPDX-License-Identifier: Apache-2.0
// `enclayer attest policy`, the real binary: what it says of policies and of evidence, and with which exit codes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/file.h"
#include "fake/process.h"
#include "fake/quote_case.h"
#include "fake/temp_folder.h"

namespace enclayer {
namespace {

using fake::Finished;
using nlohmann::json;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

// The quote of C_eval17: SWHardeningNeeded for INTEL-SA-00615.
constexpr char kOurs[] = R"(version=1.0;
authorizationrules {
  [type=="x-ms-sgx-is-debuggable", value==false] &&
  [type=="x-ms-sgx-mrenclave", value=="a4f45c39dac622cb1dd32ddb35a52ec92db41d0fa88a1c911c49e59c534f61cd"] &&
  [type=="attester_tcb_status", value=="SWHardeningNeeded"] => permit();
};
issuancerules { c:[type=="x-enclayer-advisory"] => issue(type="todo", value=c.value); };
)";

class AttestPolicyCommand : public testing::Test {
 protected:
  std::string file(const std::string& text, const char* name = "policy.txt") {
    const std::string path = folder_.path() / name;
    EXPECT_TRUE(base::write_file_atomic(path, base::as_bytes(text), 0600));
    return path;
  }
  static Finished run(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {ENCLAYER_BIN_DIR "/enclayer", "attest", "policy"});
    return fake::run(arguments);
  }
  Finished test(const std::string& policy, const std::vector<std::string>& more = {}) {
    const fake::QuoteCase subject = fake::quote_case("C_eval17");
    std::vector<std::string> arguments = {"test",
                                          "--policy",
                                          file(policy),
                                          "--quote",
                                          subject.folder / "quote.bin",
                                          "--collateral",
                                          subject.folder / "collateral.json",
                                          "--at",
                                          format_time(subject.at)};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run(arguments);
  }

  fake::TempFolder folder_;
};

TEST_F(AttestPolicyCommand, check_says_the_hash_that_tokens_name_and_what_to_mind) {
  Finished good = run({"check", file(kOurs)});
  EXPECT_EQ(good.exit_code, 0) << good.err;
  EXPECT_THAT(good.out, HasSubstr("is a good policy. Tokens name it by x-ms-policy-hash "));
  EXPECT_THAT(good.out, testing::Not(HasSubstr("Mind")));
  Finished lax = run({"check", file("version=1.0;\nauthorizationrules { => permit(); };")});
  EXPECT_EQ(lax.exit_code, 0);
  EXPECT_THAT(lax.out, HasSubstr("Mind line 2: debug enclaves and TDs are permitted"));
}

TEST_F(AttestPolicyCommand, check_names_file_line_and_column_of_a_mistake) {
  const std::string path = file("version=1.0;\nauthorizationrules { => permit() };");
  Finished broken = run({"check", path});
  EXPECT_EQ(broken.exit_code, 2);
  EXPECT_THAT(broken.err, HasSubstr(path + ": policy: line 2, column 34: expected \";\", found \"}\""));
  EXPECT_EQ(run({"check", folder_.path() / "missing"}).exit_code, 3);
  EXPECT_EQ(run({"check"}).exit_code, 1);
}

TEST_F(AttestPolicyCommand, test_permits_what_the_policy_is_for_and_shows_its_claims) {
  Finished permitted = test(kOurs, {"--output", "json"});
  EXPECT_EQ(permitted.exit_code, 0) << permitted.err;
  const json said = json::parse(permitted.out);
  EXPECT_EQ(said["permitted"], true);
  EXPECT_EQ(said["refusal"], "");
  EXPECT_EQ(said["claims"]["x-ms-attestation-type"], "sgx");
  EXPECT_EQ(said["claims"]["x-enclayer-advisory"], "INTEL-SA-00615");
  EXPECT_EQ(said["issued"], json({{"todo", "INTEL-SA-00615"}}));
  EXPECT_THAT(said["warnings"], IsEmpty());
  Finished text = test(kOurs);
  EXPECT_THAT(text.out, StartsWith("As expected: permitted\n"));
}

TEST_F(AttestPolicyCommand, test_ends_as_it_was_told_to_expect) {
  std::string other = kOurs;
  other.replace(other.find("SWHardeningNeeded"), 17, "UpToDate");
  EXPECT_EQ(test(other).exit_code, 2);
  EXPECT_EQ(test(other, {"--expect", "permit"}).exit_code, 2);
  Finished denied = test(other, {"--expect", "deny"});
  EXPECT_EQ(denied.exit_code, 0);
  EXPECT_THAT(denied.out, StartsWith("As expected: denied, because no rule of the policy permits"));
  EXPECT_EQ(test(kOurs, {"--expect", "deny"}).exit_code, 2);
  EXPECT_EQ(test(kOurs, {"--expect", "perhaps"}).exit_code, 1);
  EXPECT_EQ(test("version=1.0;").exit_code, 1) << "there is nothing to judge by";
}

TEST_F(AttestPolicyCommand, test_permits_by_no_policy_what_does_not_verify) {
  const fake::QuoteCase subject = fake::quote_case("C_eval17");
  Finished denied =
      run({"test", "--policy", file("version=1.0; authorizationrules { => permit(); };"), "--quote",
           subject.folder / "quote.bin", "--collateral", subject.folder / "collateral.json", "--at", "2001-01-01"});
  EXPECT_EQ(denied.exit_code, 2);
  EXPECT_THAT(denied.out, HasSubstr("EXPIRED"));
}

TEST_F(AttestPolicyCommand, convert_gives_a_text_that_judges_as_the_file_does) {
  const std::string path =
      file(R"({"version": 1, "mr_enclave": ["a4f45c39dac622cb1dd32ddb35a52ec92db41d0fa88a1c911c49e59c534f61cd"],
      "accepted_tcb_statuses": ["UpToDate", "SWHardeningNeeded"]})",
           "policy.json");
  Finished converted = run({"convert", path});
  EXPECT_EQ(converted.exit_code, 0) << converted.err;
  EXPECT_EQ(test(converted.out).exit_code, 0);
  Finished unsaid = run({"convert", file(R"({"version": 1, "report_data": {"prefix": "00"}})", "policy.json")});
  EXPECT_EQ(unsaid.exit_code, 2);
  EXPECT_THAT(unsaid.out, IsEmpty());
  EXPECT_THAT(unsaid.err, HasSubstr("cannot say \"report_data\" with a prefix or a mask"));
}

}  // namespace
}  // namespace enclayer
