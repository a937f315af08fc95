// SPDX-License-Identifier: Apache-2.0
// enclayer attest policy: the attestation service's policies, tried before they are used. docs/attestation-policy.md is
// the page for users.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "attest/evidence_claims.h"
#include "attest/policy_text.h"
#include "attest/policy_text_conversion.h"
#include "attest_request.h"
#include "cli_support.h"
#include "commands.h"

namespace enclayer::apps {
namespace {

using attest::Claim;
using attest::Evaluation;
using attest::PolicyText;
using Json = nlohmann::ordered_json;

constexpr int kAsExpected = 0, kMisuse = 1, kNotAsExpected = 2, kNotReadable = 3;

Result<PolicyText> read_policy_text(const std::string& path) {
  ENCLAYER_TRY(std::string text, read_input_text(path, PolicyText::kMaxSize));
  auto policy = PolicyText::parse(text);
  if (!policy) return policy.error().with_context(path);
  return policy;
}

void print_warnings(const PolicyText& policy) {
  for (const auto& warning : policy.warnings()) std::printf("Mind line %zu: %s\n", warning.line, warning.text.c_str());
}

int check_command(const std::string& path) {
  auto policy = read_policy_text(path);
  if (!policy) return fail("enclayer attest policy check", policy.error());
  std::printf("%s is a good policy. Tokens name it by x-ms-policy-hash %s\n", path.c_str(), policy->hash().c_str());
  print_warnings(*policy);
  return 0;
}

int convert_command(const std::string& path) {
  constexpr char kProgram[] = "enclayer attest policy convert";
  auto policy = read_policy(path);
  if (!policy) return fail(kProgram, policy.error());
  auto text = attest::policy_text_of(*policy);
  if (!text) return fail(kProgram, text.error().with_context(path));
  std::fputs(text->c_str(), stdout);
  return 0;
}

// As a token would have them: a type with several values has a list.
Json claims_json(const std::vector<Claim>& claims) {
  Json out = Json::object();
  for (const Claim& claim : claims) {
    const Json value = std::visit([](const auto& it) { return Json(it); }, claim.value);
    Json& member = out[claim.type];
    if (member.is_null())
      member = value;
    else if (member.is_array())
      member.push_back(value);
    else
      member = Json::array({member, value});
  }
  return out;
}

void print_claims(const char* title, const std::vector<Claim>& claims) {
  if (claims.empty()) return;
  std::printf("%s\n", title);
  const Json json = claims_json(claims);
  for (const auto& member : json.items())
    std::printf("  %-40s %s\n", member.key().c_str(), member.value().dump().c_str());
}

struct TestOptions : EvidenceOptions {
  std::string policy, expect = "permit", output = "text";
};

int test_command(const TestOptions& options, Time now) {
  constexpr char kProgram[] = "enclayer attest policy test";
  auto policy = read_policy_text(options.policy);
  if (!policy) {  // there is nothing to judge by
    const int exit_code = fail(kProgram, policy.error());
    return exit_code == kNotReadable ? kNotReadable : kMisuse;
  }
  auto verification = verify_evidence(options, now);
  if (!verification) return fail_without_evidence(kProgram, verification.error());

  const std::vector<Claim> claims = attest::claims_of(*verification);
  const Evaluation found = attest::appraise(*verification, *policy);
  const bool as_expected = found.permitted == (options.expect == "permit");
  if (options.output == "json") {
    Json json = {{"version", 1},
                 {"permitted", found.permitted},
                 {"as_expected", as_expected},
                 {"refusal", found.refusal},
                 {"line", found.line == 0 ? Json(nullptr) : Json(found.line)},
                 {"policy_hash", policy->hash()},
                 {"claims", claims_json(claims)},
                 {"issued", claims_json(found.issued)},
                 {"properties", claims_json(found.properties)},
                 {"warnings", Json::array()}};
    for (const auto& warning : policy->warnings())
      json["warnings"].push_back({{"line", warning.line}, {"text", warning.text}});
    std::printf("%s\n", json.dump(2, ' ', false, Json::error_handler_t::replace).c_str());
  } else {
    std::printf("%s: %s%s\n", as_expected ? "As expected" : "NOT as expected",
                found.permitted ? "permitted" : "denied, because ", found.refusal.c_str());
    print_claims("Claims of the evidence:", claims);
    print_claims("Issued by the policy, for the token:", found.issued);
    print_claims("Properties:", found.properties);
    print_warnings(*policy);
  }
  return as_expected ? kAsExpected : kNotAsExpected;
}

}  // namespace

void add_attest(CLI::App& app, Time now, const http::Proxies& proxies, int& exit_code) {
  CLI::App* attest = app.add_subcommand("attest", "The attestation service: its policies, and a token of it");
  attest->require_subcommand(1);
  add_attest_request(*attest, proxies, exit_code);
  CLI::App* command = attest->add_subcommand("policy", "Is this a good policy, and what does it say of this quote?");
  command->require_subcommand(1);
  command->footer(R"(Policies are in Azure Attestation's language, versions 1.0 and 1.1. One that is worth having:
  version=1.0;
  authorizationrules {
    [type=="x-ms-sgx-is-debuggable", value==false] &&
    [type=="x-ms-sgx-mrsigner", value=="64 hexadecimal digits"] &&
    [type=="x-ms-sgx-svn", value>=4] &&
    [type=="attester_tcb_status", value=="UpToDate"] => permit();
  };
`enclayer attest policy test` shows all claims that a quote has, by the names that rules ask for them.)");

  auto file = std::make_shared<std::string>();
  CLI::App* check = command->add_subcommand("check", "Reads a policy, and warns of what it permits");
  check->add_option("FILE", *file, "The policy")->required()->option_text(" ");
  check->footer(
      "Exit codes: 0 good; 2 it is malformed, or asks for what is not built: the message names line and column;\n"
      "  1 misuse; 3 it cannot be read.\n"
      "Example: enclayer attest policy check policy.txt");
  check->callback([file, &exit_code] { exit_code = check_command(*file); });

  auto options = std::make_shared<TestOptions>();
  CLI::App* test = command->add_subcommand("test", "Does this policy permit this quote? Offline");
  test->add_option("--policy", options->policy, "The policy; - is standard input")
      ->required()
      ->option_text("FILE (required)");
  options->add_to(*test);
  test->add_option("--expect", options->expect, "What has to come out, so that CI can ask")
      ->check(CLI::IsMember({"permit", "deny"}))
      ->option_text("permit|deny [permit]");
  add_output_flag(*test, options->output);
  test->footer(
      R"(Exit codes: 0 as expected; 2 not as expected; 1 misuse, also a policy that is malformed; 3 a file cannot be read.
What does not verify is permitted by no policy.
Example: enclayer attest policy test --policy policy.txt --quote quote.bin --collateral collateral.json
         enclayer attest policy test --policy policy.txt --quote debug.bin --collateral collateral.json --expect deny)");
  test->callback([options, now, &exit_code] {
    options->require();
    exit_code = test_command(*options, now);
  });

  CLI::App* convert = command->add_subcommand("convert", "Says a policy file of `enclayer verify` in that language");
  convert->add_option("FILE", *file, "The policy file (enclayer policy --help)")->required()->option_text(" ");
  convert->footer(
      "The text permits what the file trusts. What the language cannot say is named, and there is no text then.\n"
      "Exit codes: 0 converted; 2 the file is malformed, or says what the text cannot; 1 misuse; 3 it cannot be read.\n"
      "Example: enclayer attest policy convert policy.json > policy.txt");
  convert->callback([file, &exit_code] { exit_code = convert_command(*file); });
}

}  // namespace enclayer::apps
