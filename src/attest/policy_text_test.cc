// SPDX-License-Identifier: Apache-2.0
#include "attest/policy_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <random>
#include <set>

#include "attest/base64url.h"
#include "attest/policy_text_rules.h"
#include "base/bytes.h"

namespace enclayer::attest {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

Claim integer(std::string type, std::int64_t value) { return {std::move(type), value}; }
Claim truth(std::string type, bool value) { return {std::move(type), value}; }
Claim text(std::string type, std::string value) { return {std::move(type), std::move(value)}; }
Claim by_policy(Claim claim) {
  claim.issuer = ClaimIssuer::kAttestationPolicy;
  return claim;
}

PolicyText policy(const std::string& authorization, const std::string& issuance = "") {
  auto parsed = PolicyText::parse("version=1.1;\nauthorizationrules {" + authorization + "\n};\nissuancerules {" +
                                  issuance + "};");
  EXPECT_TRUE(parsed) << parsed.error().message();
  return *parsed;
}
bool permits(const std::string& authorization, const std::vector<Claim>& incoming) {
  return policy(authorization).evaluate(incoming).permitted;
}
std::vector<Claim> issued(const std::string& issuance, const std::vector<Claim>& incoming) {
  return policy("=> permit();", issuance).evaluate(incoming).issued;
}
std::string refusal(std::string_view of) {
  auto parsed = PolicyText::parse(of);
  return parsed ? "(parsed)" : parsed.error().message();
}
// The place is that of `authorization` in a text of its own line.
std::string refusal_of_rule(const std::string& rule) {
  return refusal("version=1.0;\nauthorizationrules {\n" + rule + "\n};");
}

const std::vector<Claim> kEnclave{truth("x-ms-sgx-is-debuggable", false), text("x-ms-sgx-mrsigner", "aa"),
                                  text("x-ms-sgx-mrenclave", "bb"), integer("x-ms-sgx-product-id", 1),
                                  integer("x-ms-sgx-svn", 4)};

TEST(PolicyText, azures_default_policy_for_enclaves_issues_the_older_names) {
  auto parsed = PolicyText::parse(R"(version= 1.1;
configurationrules{
	=> issueproperty(type="x-ms-sgx-tcbidentifier", value="azuredefault");
};
authorizationrules{
	=> permit();
};
issuancerules{
	c:[type=="x-ms-sgx-is-debuggable"] => issue(type="is-debuggable", value=c.value);
	c:[type=="x-ms-sgx-mrsigner"] => issue(type="sgx-mrsigner", value=c.value);
	c:[type=="x-ms-sgx-svn"] => issue(type="svn", value=c.value);
};
)");
  ASSERT_TRUE(parsed) << parsed.error().message();
  Evaluation found = parsed->evaluate(kEnclave);
  EXPECT_TRUE(found.permitted);
  EXPECT_EQ(found.refusal, "");
  EXPECT_THAT(found.issued, ElementsAre(by_policy(truth("is-debuggable", false)), by_policy(text("sgx-mrsigner", "aa")),
                                        by_policy(integer("svn", 4))));
  EXPECT_THAT(found.properties, ElementsAre(by_policy(text("x-ms-sgx-tcbidentifier", "azuredefault"))));
}

TEST(PolicyText, a_rule_permits_when_all_of_its_conditions_are_met) {
  const std::string rule =
      "[type==\"x-ms-sgx-is-debuggable\", value==false] && [type==\"x-ms-sgx-product-id\", value==1] && "
      "[type==\"x-ms-sgx-svn\", value>=4] && [type==\"x-ms-sgx-mrsigner\", value==\"aa\"] => permit();";
  EXPECT_TRUE(permits(rule, kEnclave));
  for (std::size_t missing : {0, 1, 3, 4}) {
    auto claims = kEnclave;
    claims.erase(claims.begin() + static_cast<std::ptrdiff_t>(missing));
    EXPECT_FALSE(permits(rule, claims)) << missing;
  }
}

TEST(PolicyText, what_no_rule_permits_is_refused) {
  Evaluation found = policy("[type==\"x-ms-sgx-svn\", value>4] => permit();").evaluate(kEnclave);
  EXPECT_FALSE(found.permitted);
  EXPECT_EQ(found.refusal, "no rule of the policy permits");
  EXPECT_FALSE(permits("", kEnclave));
}

TEST(PolicyText, any_rule_that_denies_wins_wherever_it_stands) {
  const std::string deny = "[type==\"x-ms-sgx-svn\", value<5] => deny();";
  EXPECT_FALSE(permits("=> permit();" + deny, kEnclave));
  EXPECT_FALSE(permits(deny + "=> permit();", kEnclave));
  EXPECT_TRUE(permits(deny + "=> permit();", {integer("x-ms-sgx-svn", 5)}));
  Evaluation found = policy("=> permit();\n" + deny).evaluate(kEnclave);
  EXPECT_EQ(found.line, 3u);
  EXPECT_EQ(found.refusal, "line 3 of the policy denies");
}

TEST(PolicyText, nothing_is_issued_of_what_is_refused) {
  auto found = policy("=> permit(); => deny();", "=> issue(type=\"a\", value=1);").evaluate(kEnclave);
  EXPECT_THAT(found.issued, IsEmpty());
}

TEST(PolicyText, claims_that_are_added_are_seen_by_later_rules_and_not_by_earlier_ones) {
  const std::string add = "[type==\"x-ms-sgx-svn\"] => add(type=\"known\", value=true);";
  const std::string permit = "[type==\"known\", value==true, issuer==\"AttestationPolicy\"] => permit();";
  EXPECT_TRUE(permits(add + permit, kEnclave));
  EXPECT_FALSE(permits(permit + add, kEnclave));
  EXPECT_FALSE(permits(add + permit, {truth("known", true)})) << "said by another issuer";
}

TEST(PolicyText, what_was_added_is_not_in_the_token_and_what_was_issued_is) {
  EXPECT_THAT(issued("=> add(type=\"a\", value=1); c:[type==\"a\"] => issue(type=\"b\", value=c.value);"
                     "c:[type==\"b\"] => issue(type=\"c\", value=c.value);",
                     {}),
              ElementsAre(by_policy(integer("b", 1)), by_policy(integer("c", 1))));
}

TEST(PolicyText, several_claims_that_match_multiply_and_each_result_is_issued_once) {
  const std::vector<Claim> claims{text("group", "x"), text("group", "y"), integer("level", 1), integer("level", 2)};
  EXPECT_THAT(issued("g:[type==\"group\"] && [type==\"level\"] => issue(type=\"member\", value=g.value);", claims),
              ElementsAre(by_policy(text("member", "x")), by_policy(text("member", "y"))));
}

TEST(PolicyText, a_condition_can_compare_with_what_an_earlier_one_chose) {
  const std::string rule =
      "F:[type==\"os\", issuer==\"CustomClaim\"] && "
      "C:[type==\"os\", issuer==\"AttestationService\", value==F.value] => issue(claim=C);";
  Claim said = text("os", "linux");
  said.issuer = ClaimIssuer::kCustomClaim;
  EXPECT_THAT(issued(rule, {said, text("os", "linux"), text("os", "bsd")}), ElementsAre(text("os", "linux")));
  EXPECT_THAT(issued(rule, {said, text("os", "bsd")}), IsEmpty());
}

TEST(PolicyText, exists_asks_for_a_claim_and_its_negation_for_none) {
  EXPECT_TRUE(permits("exists([type==\"x-ms-sgx-svn\"]) => permit();", kEnclave));
  EXPECT_FALSE(permits("!exists([type==\"x-ms-sgx-svn\"]) => permit();", kEnclave));
  EXPECT_TRUE(permits("!exists([type==\"x-ms-sgx-svn\", value!=4]) => permit();", kEnclave));
}

TEST(PolicyText, values_of_different_types_are_different_and_have_no_order) {
  EXPECT_FALSE(permits("[type==\"a\", value==1] => permit();", {text("a", "1")}));
  EXPECT_TRUE(permits("[type==\"a\", value!=1] => permit();", {text("a", "1")}));
  EXPECT_FALSE(permits("[type==\"a\", value<=1] => permit();", {text("a", "1")}));
  EXPECT_FALSE(permits("[type==\"a\", value<=1] => permit();", {truth("a", false)}));
  EXPECT_TRUE(permits("[type==\"a\", valueType==\"String\"] => permit();", {text("a", "1")}));
}

TEST(PolicyText, integers_are_compared_as_integers_to_their_last_bit) {
  const std::vector<Claim> claims{integer("a", std::numeric_limits<std::int64_t>::max())};
  EXPECT_TRUE(permits("[type==\"a\", value==9223372036854775807] => permit();", claims));
  EXPECT_FALSE(permits("[type==\"a\", value==9223372036854775806] => permit();", claims));
  EXPECT_TRUE(permits("[type==\"a\", value>-9223372036854775808] => permit();", claims));
}

TEST(PolicyText, azures_older_names_ask_for_the_same_claims) {
  EXPECT_TRUE(permits("[type==\"$is-debuggable\", value==false] && [type==\"$svn\", value==4] => permit();", kEnclave));
  EXPECT_FALSE(permits("[type==\"$sgx-mrsigner\", value==\"bb\"] => permit();", kEnclave));
}

TEST(PolicyText, the_hash_is_azures_of_the_very_bytes) {
  const char* same = "version=1.0;\nauthorizationrules { => permit(); };\n";
  auto parsed = PolicyText::parse(same).value();
  // By Python: urlsafe_b64encode(sha256(urlsafe_b64encode(text).rstrip(b"=")).digest()).rstrip(b"=").
  EXPECT_EQ(parsed.hash(), "xlBUJ-zmVLe-do3PsoXtOKgMKWzWOAijZeQLWxwaXTI");
  EXPECT_EQ(parsed.text(), same);
  EXPECT_NE(PolicyText::parse(std::string(same) + "\n").value().hash(), parsed.hash());
}

TEST(PolicyText, comments_end_with_their_line) {
  EXPECT_TRUE(permits("// => deny();\n => permit(); // Grüße", {}));
  EXPECT_TRUE(permits("[type==\"a//b\"] => permit();", {text("a//b", "")}));
}

TEST(PolicyText, mistakes_are_named_with_line_and_column) {
  EXPECT_EQ(refusal_of_rule("[type=\"a\"] => permit();"),
            "policy: line 3, column 6: \"=\" gives a value; \"==\" compares");
  EXPECT_EQ(refusal_of_rule("=> permit()"), "policy: line 4, column 1: expected \";\", found \"}\"");
  EXPECT_EQ(refusal_of_rule("[type==\"a\"] => issue(type=\"b\", value=1);"),
            "policy: line 3, column 16: issue() has no place in this section");
  EXPECT_EQ(refusal_of_rule("[type==\"a\"] && => permit();"),
            "policy: line 3, column 16: expected \"[\", found \"=>\"");
  EXPECT_EQ(refusal_of_rule("c:[type==\"a\"] && c:[type==\"b\"] => permit();"),
            "policy: line 3, column 18: \"c\" names an earlier condition of this rule already");
  EXPECT_EQ(refusal_of_rule("[type==\"a\", value==d.value] => permit();"),
            "policy: line 3, column 20: \"d\" names no earlier condition of this rule");
  EXPECT_EQ(
      refusal_of_rule("[value>=\"4\"] => permit();"),
      "policy: line 3, column 9: only an integer is less or greater than another; this is compared with == or !=");
  EXPECT_THAT(refusal_of_rule("[issuer==\"Me\"] => permit();"), StartsWith("policy: line 3, column 10: an issuer is"));
  EXPECT_THAT(refusal_of_rule("[valueType==\"Int\"] => permit();"),
              StartsWith("policy: line 3, column 13: a valueType"));
  EXPECT_THAT(refusal_of_rule("[type<\"a\"] => permit();"), StartsWith("policy: line 3, column 6: only values"));
  EXPECT_THAT(refusal_of_rule("[value==99999999999999999999] => permit();"), HasSubstr("line 3, column 9: an integer"));
  EXPECT_THAT(refusal_of_rule("[value==0x10] => permit();"), HasSubstr("line 3, column 9: an integer"));
  EXPECT_THAT(refusal_of_rule("[type==\"a] => permit();"), HasSubstr("line 3, column 8: this string has no end"));
  EXPECT_THAT(refusal_of_rule("[type==\"\\n\"] => permit();"), HasSubstr("line 3, column 8: in a string"));
  EXPECT_THAT(refusal_of_rule("[type==\xe2\x80\x9d"),
              HasSubstr("line 3, column 8: outside of comments, text is ASCII"));
  EXPECT_THAT(refusal_of_rule("[] => permit();"), HasSubstr("line 3, column 2: expected type, value"));
  EXPECT_THAT(refusal("authorizationrules { => permit(); };"), HasSubstr("line 1, column 1: expected \"version\""));
  EXPECT_THAT(refusal("version=1.0;"), HasSubstr("expected \"authorizationrules\", found the end of the text"));
  EXPECT_THAT(refusal("version=1.0;\nissuancerules {};\nauthorizationrules {};"), HasSubstr("line 2, column 1"));
  EXPECT_THAT(refusal("version=1.0;authorizationrules{};authorizationrules{};"), HasSubstr("come once each"));
  EXPECT_THAT(refusal("version=1.0;configurationrules{};authorizationrules{};"), HasSubstr("version 1.0 has no"));
}

TEST(PolicyText, what_is_not_built_is_refused_by_name) {
  struct Case {
    const char *text, *says;
  };
  for (const Case& c : {Case{"version=1.2;authorizationrules{};", "line 1, column 9: policy version 1.2 is not built"},
                        {"version=1.1;authorizationrules{ c:[type==\"a\"] => add(type=\"b\", value=JmesPath(c.value, "
                         "\"x\")); };",
                         "line 1, column 70: JmesPath() is of policy version 1.2, which is not built here"},
                        {"version=1.1;authorizationrules{ => frobnicate(); };", "frobnicate() is not known here"},
                        {"version=1.1;configurationrules{ => issueproperty(type=\"required_pcr_mask\", value=15); };"
                         "authorizationrules{};",
                         "the property \"required_pcr_mask\" is not built here"},
                        {"version=1.1;configurationrules{ => issueproperty(type=\"x-ms-sgx-tcbidentifier\", "
                         "value=\"10\"); };authorizationrules{};",
                         "only \"azuredefault\" is built here"}}) {
    auto parsed = PolicyText::parse(c.text);
    ASSERT_FALSE(parsed) << c.text;
    EXPECT_EQ(parsed.error().kind(), ErrorKind::kUnsupported) << c.text;
    EXPECT_THAT(parsed.error().message(), HasSubstr(c.says));
  }
}

// A token in which the policy's words stood in the place of the service's would say what nobody verified.
TEST(PolicyText, claims_that_the_service_makes_cannot_be_made_by_a_policy) {
  for (const char* type : {"exp", "iss", "cnf", "x-ms-sgx-mrsigner", "x-enclayer-simulated", "tdx_mrtd"}) {
    const std::string claim = "(type=\"" + std::string(type) + "\", value=1); };";
    EXPECT_THAT(refusal("version=1.0;authorizationrules{ => add" + claim), HasSubstr("a claim that the service makes"));
    EXPECT_THAT(refusal("version=1.0;authorizationrules{};issuancerules{ => issue" + claim),
                HasSubstr("a claim that the service makes"));
  }
  EXPECT_THAT(issued("c:[type==\"x-ms-sgx-svn\"] => issue(claim=c);", kEnclave),
              ElementsAre(integer("x-ms-sgx-svn", 4)));
}

TEST(PolicyText, size_rules_and_conditions_are_bounded) {
  const std::string head = "version=1.0;authorizationrules{", tail = "};";
  auto rules = [&](std::size_t count) {
    std::string all;
    for (std::size_t i = 0; i < count; ++i) all += "=>permit();";
    return refusal(head + all + tail);
  };
  EXPECT_EQ(rules(PolicyText::kMaxRules), "(parsed)");
  EXPECT_THAT(rules(PolicyText::kMaxRules + 1), HasSubstr("at most 256 rules"));
  auto conditions = [&](std::size_t count) {
    std::string all = "[type==\"a\"]";
    for (std::size_t i = 1; i < count; ++i) all += "&&[type==\"a\"]";
    return refusal(head + all + "=>permit();" + tail);
  };
  EXPECT_EQ(conditions(PolicyText::kMaxConditions), "(parsed)");
  EXPECT_THAT(conditions(PolicyText::kMaxConditions + 1), HasSubstr("at most 32 conditions"));
  auto size = [&](std::size_t bytes) {
    return refusal(head + tail + std::string(bytes - head.size() - tail.size(), ' '));
  };
  EXPECT_EQ(size(PolicyText::kMaxSize), "(parsed)");
  EXPECT_THAT(size(PolicyText::kMaxSize + 1), HasSubstr("65537 bytes, at most 65536"));
}

TEST(PolicyText, a_policy_that_would_look_at_a_milliard_claims_is_refused) {
  std::vector<Claim> claims;
  for (int i = 0; i < 1000; ++i) claims.push_back(integer("n", i));
  const auto found = policy(
                         "x:[type==\"n\"] && y:[type==\"n\", value!=x.value] && z:[type==\"n\", value!=y.value] && "
                         "[type==\"n\", value==z.value] => add(type=\"m\", value=x.value); => permit();")
                         .evaluate(claims);
  EXPECT_FALSE(found.permitted);
  EXPECT_THAT(found.refusal, HasSubstr("takes too long"));
  EXPECT_EQ(found.line, 2u);
}

TEST(PolicyText, a_policy_that_would_make_more_claims_than_the_limit_is_refused) {
  std::vector<Claim> claims;
  for (int i = 0; i < 500; ++i) claims.push_back(integer("n", i));
  std::string add;
  for (char type : {'a', 'b', 'c'})
    add += std::string("x:[type==\"n\"] => add(type=\"") + type + "\", value=x.value);\n";
  EXPECT_TRUE(permits(add.substr(0, add.find('\n')) + "=> permit();", claims));
  EXPECT_FALSE(permits(add + "=> permit();", claims));
  EXPECT_THAT(issued(add, claims), IsEmpty());
}

TEST(PolicyText, long_values_that_are_compared_again_and_again_are_refused_too) {
  std::vector<Claim> claims;
  for (int i = 0; i < 30; ++i) claims.push_back(text("n", std::string(32'000, 'x') + std::to_string(i)));
  EXPECT_FALSE(
      permits("a:[type==\"n\"] && b:[type==\"n\",value!=a.value] && c:[type==\"n\",value!=b.value] && "
              "[type==\"n\",value==c.value] => add(type=\"m\", value=1); => permit();",
              claims));
}

TEST(PolicyText, no_beginning_of_a_policy_is_a_policy) {
  const std::string whole =
      "version=1.1;configurationrules{=>issueproperty(type=\"report_validity_in_minutes\",value=5);};"
      "authorizationrules{"
      "c:[type==\"a\",value>=-4]&&!exists([type!=\"b\"])=>permit();};issuancerules{c:[type==\"a\"]=>issue(claim=c);};";
  ASSERT_EQ(refusal(whole), "(parsed)");
  std::set<std::size_t> good;
  for (std::size_t length = 0; length < whole.size(); ++length)
    if (PolicyText::parse(whole.substr(0, length))) good.insert(length);
  EXPECT_THAT(good, ElementsAre(whole.find("issuancerules"))) << "where a section ends that may be the last";
}

// The linter.

std::vector<std::string> warned(const std::string& authorization) {
  std::vector<std::string> out;
  for (const PolicyWarning& warning : policy(authorization).warnings())
    out.push_back(std::to_string(warning.line) + " " + warning.text.substr(0, 12));
  return out;
}
const std::string kNoDebug = "[type==\"x-ms-sgx-is-debuggable\", value==false]";
const std::string kSigner = "[type==\"x-ms-sgx-mrsigner\", value==\"aa\"]";
const std::string kSvn = "[type==\"x-ms-sgx-svn\", value>=1]";
const std::string kStatus = "[type==\"attester_tcb_status\", value==\"UpToDate\"]";

TEST(PolicyTextLinter, says_nothing_of_a_policy_that_asks_for_all_that_it_should) {
  EXPECT_THAT(warned(kNoDebug + "&&" + kSigner + "&&" + kSvn + "&&" + kStatus + "=> permit();"), IsEmpty());
  EXPECT_THAT(warned(kNoDebug + "&&[type==\"x-ms-sgx-mrenclave\", value==\"bb\"]&&" + kStatus + "=> permit();"),
              IsEmpty());
  EXPECT_THAT(warned("[type==\"tdx_td_attributes_debug\", value==false]&&[type==\"tdx_mrtd\", value==\"cc\"]&&" +
                     kStatus + "=> permit();"),
              IsEmpty());
}

TEST(PolicyTextLinter, warns_of_each_thing_that_a_rule_does_not_ask_for) {
  EXPECT_THAT(warned("=> permit();"), ElementsAre("2 debug enclav", "2 anybody's pr", "2 platforms of"));
  EXPECT_THAT(warned("\n" + kSigner + "&&" + kSvn + "&&" + kStatus + "=> permit();"), ElementsAre("3 debug enclav"));
  EXPECT_THAT(warned(kNoDebug + "&&" + kSvn + "&&" + kStatus + "=> permit();"), ElementsAre("2 anybody's pr"));
  EXPECT_THAT(warned(kNoDebug + "&&" + kSigner + "&&" + kStatus + "=> permit();"), ElementsAre("2 every versio"));
  EXPECT_THAT(warned(kNoDebug + "&&" + kSigner + "&&" + kSvn + "=> permit();"), ElementsAre("2 platforms of"));
}

TEST(PolicyTextLinter, is_not_deceived_by_conditions_that_ask_for_something_else) {
  const std::string rest = "&&" + kSvn + "&&" + kStatus + "=> permit();";
  EXPECT_THAT(warned("[type==\"x-ms-sgx-is-debuggable\", value==true]&&" + kSigner + rest),
              ElementsAre("2 debug enclav"));
  EXPECT_THAT(warned("[type==\"x-ms-sgx-is-debuggable\"]&&" + kSigner + rest), ElementsAre("2 debug enclav"));
  EXPECT_THAT(warned(kNoDebug + "&&[type==\"x-ms-sgx-mrsigner\", value!=\"aa\"]" + rest),
              ElementsAre("2 anybody's pr"));
  EXPECT_THAT(warned(kNoDebug + "&&!exists(" + kSigner + ")" + rest), ElementsAre("2 anybody's pr"));
  EXPECT_THAT(warned(kNoDebug + "&&" + kSigner + "&&[type==\"x-ms-sgx-svn\", value>=0]&&" + kStatus + "=> permit();"),
              ElementsAre("2 every versio"));
}

TEST(PolicyTextLinter, follows_claims_that_the_policy_adds_and_rules_that_deny) {
  const std::string rest = "&&" + kNoDebug + "&&" + kSvn + "&&" + kStatus + "=> permit();";
  const std::string one = kSigner + "=> add(type=\"ours\", value=true);";
  EXPECT_THAT(warned(one + "[type==\"ours\"]" + rest), IsEmpty());
  EXPECT_THAT(warned(one + "=> add(type=\"ours\", value=true);[type==\"ours\"]" + rest), ElementsAre("2 anybody's pr"));
  EXPECT_THAT(warned("!exists(" + kSigner + ") => deny();" + rest.substr(2)), IsEmpty());
  EXPECT_THAT(warned("[type==\"x-ms-sgx-is-debuggable\", value==true] => deny(); " + kSigner + "&&" + kSvn + "&&" +
                     kStatus + "=> permit();"),
              IsEmpty());
}

TEST(PolicyTextLinter, says_when_nothing_is_permitted) {
  EXPECT_THAT(warned("\n=> deny();"), ElementsAre("3 no rule perm"));
}

// Against another evaluator, which tries every choice of claims and bounds nothing.

class PlainEvaluator {
 public:
  PlainEvaluator(const Rules& rules, std::vector<Claim> incoming) : working_(std::move(incoming)) {
    bool denied = false;
    for (const Rule& rule : rules.authorization) {
      const bool acts = apply(rule);
      permitted |= acts && rule.action == Rule::Action::kPermit;
      denied |= acts && rule.action == Rule::Action::kDeny;
    }
    permitted &= !denied;
    if (permitted)
      for (const Rule& rule : rules.issuance) apply(rule);
  }
  bool permitted = false;
  std::vector<Claim> issued;

 private:
  static void put(std::vector<Claim>& to, const Claim& claim) {
    if (std::find(to.begin(), to.end(), claim) == to.end()) to.push_back(claim);
  }
  static ClaimValue value(const Claim& claim, Property property) {
    return property == Property::kType        ? ClaimValue(claim.type)
           : property == Property::kValue     ? claim.value
           : property == Property::kValueType ? ClaimValue(std::string(value_type(claim.value)))
                                              : ClaimValue(std::string(to_string(claim.issuer)));
  }
  static ClaimValue value(const Operand& operand, const std::vector<Claim>& chosen) {
    if (const auto* literal = std::get_if<ClaimValue>(&operand)) return *literal;
    const auto reference = std::get<Reference>(operand);
    return value(chosen[reference.condition], reference.property);
  }
  bool apply(const Rule& rule) {
    std::vector<std::vector<Claim>> choices{{}};
    for (const Condition& condition : rule.conditions) {
      std::vector<std::vector<Claim>> next;
      for (const auto& chosen : choices) {
        std::vector<Claim> matching;
        for (const Claim& claim : working_)
          if (std::all_of(condition.tests.begin(), condition.tests.end(), [&](const Test& test) {
                const ClaimValue left = value(claim, test.property), right = value(test.operand, chosen);
                return holds(view_of(left), test.comparison, view_of(right));
              }))
            matching.push_back(claim);
        const bool none = condition.kind == Condition::Kind::kNotExists;
        if (none && matching.empty())
          matching.push_back({});
        else if (none)
          matching.clear();
        for (const Claim& claim : matching) {
          next.push_back(chosen);
          next.back().push_back(claim);
        }
      }
      choices = std::move(next);
    }
    std::vector<Claim> made;
    for (const auto& chosen : choices)
      if (rule.action != Rule::Action::kPermit && rule.action != Rule::Action::kDeny)
        made.push_back(rule.claim ? chosen[*rule.claim]
                                  : Claim{rule.type, value(rule.value, chosen), ClaimIssuer::kAttestationPolicy});
    for (const Claim& claim : made) {
      put(working_, claim);
      if (rule.action == Rule::Action::kIssue) put(issued, claim);
    }
    return !choices.empty();
  }
  std::vector<Claim> working_;
};

TEST(PolicyText, random_policies_give_what_trying_every_choice_gives) {
  std::mt19937 random(20261129);
  auto below = [&](std::size_t n) { return std::uniform_int_distribution<std::size_t>(0, n - 1)(random); };
  auto one_of = [&](std::initializer_list<const char*> list) { return std::string(list.begin()[below(list.size())]); };
  auto literal = [&] { return one_of({"0", "1", "2", "true", "\"x\"", "\"y\""}); };
  auto type = [&] { return one_of({"\"a\"", "\"b\"", "\"c\""}); };
  std::size_t permitted = 0, with_claims = 0;
  for (int round = 0; round < 3000; ++round) {
    auto rule = [&](bool issuing) {
      std::string out;
      std::vector<std::string> names;
      for (std::size_t i = 0, count = below(4); i < count; ++i) {
        auto other = [&] { return names.empty() || below(2) == 0 ? literal() : names[below(names.size())] + ".value"; };
        std::string tests = "[type==" + type();
        if (below(2) == 0) {
          const std::string comparison = one_of({"==", "!=", "<", ">="});
          tests +=
              ", value" + comparison + (comparison == "==" || comparison == "!=" ? other() : one_of({"0", "1", "2"}));
        }
        tests += "]";
        if (i > 0) out += " && ";
        const std::size_t kind = below(5);
        if (kind == 0) {
          out += one_of({"exists(", "!exists("}) + tests + ")";
        } else if (kind < 3) {
          out += "c" + std::to_string(i) + ":" + tests;
          names.push_back("c" + std::to_string(i));
        } else {
          out += tests;
        }
      }
      std::string claim =
          names.empty() || below(2) == 0
              ? "(type=" + type() +
                    ", value=" + (names.empty() || below(2) == 0 ? literal() : names[below(names.size())] + ".value") +
                    ");"
              : "(claim=" + names[below(names.size())] + ");";
      if (issuing) return out + " => " + one_of({"issue", "add"}) + claim + "\n";
      return out + " => " +
             (below(2) == 0 ? one_of({"permit();", "permit();", "permit();", "deny();"}) : "add" + claim) + "\n";
    };
    std::string text = "version=1.0; authorizationrules {\n";
    for (std::size_t i = below(5) + 1; i > 0; --i) text += rule(false);
    text += "}; issuancerules {\n";
    for (std::size_t i = below(5); i > 0; --i) text += rule(true);
    text += "};";
    std::vector<Claim> incoming;
    for (std::size_t i = below(8); i > 0; --i) {
      const std::string name(1, static_cast<char>('a' + below(3)));
      const ClaimValue values[] = {std::int64_t{0}, std::int64_t{1}, std::int64_t{2}, true, "x", "y"};
      Claim claim{name, values[below(6)]};
      if (std::find(incoming.begin(), incoming.end(), claim) == incoming.end()) incoming.push_back(claim);
    }
    auto parsed = PolicyText::parse(text);
    ASSERT_TRUE(parsed) << parsed.error().message() << "\n" << text;
    const Evaluation found = parsed->evaluate(incoming);
    const PlainEvaluator expected(parse_rules(text).value(), incoming);
    ASSERT_EQ(found.permitted, expected.permitted) << text;
    ASSERT_EQ(found.issued, expected.issued) << text;
    permitted += found.permitted;
    with_claims += !found.issued.empty();
  }
  EXPECT_GT(permitted, 300u) << "policies that refuse alone would say little";
  EXPECT_GT(with_claims, 200u);
}

TEST(Base64Url, is_without_padding_and_refuses_every_other_form) {
  const Bytes bytes{0xfb, 0xff, 0x01};
  EXPECT_EQ(to_base64url(bytes), "-_8B");
  EXPECT_EQ(to_base64url(ByteView(bytes).first(2)), "-_8");
  EXPECT_EQ(to_base64url(ByteView(bytes).first(1)), "-w");
  EXPECT_EQ(from_base64url("-_8B"), bytes);
  EXPECT_EQ(from_base64url(""), Bytes{});
  for (const char* other : {"+/8B", "-w==", "-_ 8B", "-x", "-", "-_8\n"})
    EXPECT_EQ(from_base64url(other), std::nullopt) << other;
}

}  // namespace
}  // namespace enclayer::attest
