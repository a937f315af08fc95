// SPDX-License-Identifier: Apache-2.0
// What a policy surely asks for, found in its text. A rule asks for something when one of its conditions does; a
// condition on a claim that the policy itself adds asks for whatever all rules that add it ask for; and what denies
// evidence that lacks something asks for it in every rule.
#include <algorithm>
#include <functional>

#include "attest/policy_text_rules.h"

namespace enclayer::attest {
namespace {

// Does "value <comparison> <literal>" on claims of that type ask for it?
using Asked = std::function<bool(std::string_view type, Comparison comparison, const ClaimValue& value)>;

Comparison opposite(Comparison comparison) {
  switch (comparison) {
    case Comparison::kEqual: return Comparison::kNotEqual;
    case Comparison::kNotEqual: return Comparison::kEqual;
    case Comparison::kLess: return Comparison::kGreaterOrEqual;
    case Comparison::kLessOrEqual: return Comparison::kGreater;
    case Comparison::kGreater: return Comparison::kLessOrEqual;
    case Comparison::kGreaterOrEqual: break;
  }
  return Comparison::kLess;
}

// "" where it does not say one.
std::string_view type_of(const Condition& condition) {
  for (const Test& test : condition.tests)
    if (test.property == Property::kType && test.comparison == Comparison::kEqual)
      if (const auto* literal = std::get_if<ClaimValue>(&test.operand)) return std::get<std::string>(*literal);
  return "";
}

bool asks(const Condition& condition, const Asked& asked) {
  return std::any_of(condition.tests.begin(), condition.tests.end(), [&](const Test& test) {
    const auto* literal = std::get_if<ClaimValue>(&test.operand);
    return test.property == Property::kValue && literal != nullptr &&
           asked(type_of(condition), test.comparison, *literal);
  });
}

class Linter {
 public:
  explicit Linter(const Rules& rules) : rules_(rules) {}

  // Whether whatever `rule` permits is as asked.
  bool asks(const Rule& rule, const Asked& asked, int depth = 0) const {
    return std::any_of(rule.conditions.begin(), rule.conditions.end(), [&](const Condition& condition) {
      if (condition.kind == Condition::Kind::kNotExists) return false;
      return attest::asks(condition, asked) || added_only_so(condition, asked, depth);
    });
  }

  // Whether a rule denies all that is not as asked.
  bool denies_others(const Asked& asked) const {
    return std::any_of(rules_.authorization.begin(), rules_.authorization.end(), [&](const Rule& rule) {
      if (rule.action != Rule::Action::kDeny || rule.conditions.size() != 1) return false;
      Condition condition = rule.conditions[0];
      if (condition.kind == Condition::Kind::kNotExists)
        return attest::asks(condition, asked) || added_only_so(condition, asked, 0);
      if (condition.tests.size() != 2) return false;  // beside type and value, another test makes it narrower
      for (Test& test : condition.tests)
        if (test.property == Property::kValue) test.comparison = opposite(test.comparison);
      return attest::asks(condition, asked);
    });
  }

 private:
  bool added_only_so(const Condition& condition, const Asked& asked, int depth) const {
    constexpr int kMostAdded = 4;  // claims added because of claims that were added
    const std::string_view type = type_of(condition);
    bool found = false;
    if (depth == kMostAdded || type.empty()) return false;
    for (const Rule& rule : rules_.authorization) {
      if (rule.action != Rule::Action::kAdd || rule.claim || rule.type != type) continue;
      if (!asks(rule, asked, depth + 1)) return false;
      found = true;
    }
    return found;
  }

  const Rules& rules_;
};

bool is_one_of(std::string_view type, std::initializer_list<std::string_view> types) {
  return std::find(types.begin(), types.end(), type) != types.end();
}

// Programs; a TD's MRTD is its firmware, which is as much as can be asked for here.
bool names_measurement(std::string_view type, Comparison comparison, const ClaimValue&) {
  return comparison == Comparison::kEqual && is_one_of(type, {"x-ms-sgx-mrenclave", "tdx_mrtd"});
}
bool names_program(std::string_view type, Comparison comparison, const ClaimValue& value) {
  return names_measurement(type, comparison, value) ||
         (comparison == Comparison::kEqual && type == "x-ms-sgx-mrsigner");
}
bool excludes_debug(std::string_view type, Comparison comparison, const ClaimValue& value) {
  return is_one_of(type, {"x-ms-sgx-is-debuggable", "tdx_td_attributes_debug"}) &&
         value == ClaimValue(comparison != Comparison::kEqual);
}
bool has_minimum_svn(std::string_view type, Comparison comparison, const ClaimValue& value) {
  const auto* svn = std::get_if<std::int64_t>(&value);
  if (type != "x-ms-sgx-svn" || svn == nullptr) return false;
  return (comparison == Comparison::kGreater && *svn >= 0) ||
         ((comparison == Comparison::kEqual || comparison == Comparison::kGreaterOrEqual) && *svn > 0);
}
bool names_tcb_status(std::string_view type, Comparison comparison, const ClaimValue&) {
  return comparison == Comparison::kEqual && type == "attester_tcb_status";
}
bool excludes_enclaves(std::string_view type, Comparison comparison, const ClaimValue& value) {
  return type.starts_with("tdx_") ||
         (comparison == Comparison::kEqual && type == "x-ms-attestation-type" && value != ClaimValue("sgx"));
}

}  // namespace

std::vector<PolicyWarning> warnings_of(const Rules& rules) {
  const Linter linter(rules);
  std::vector<PolicyWarning> out;
  for (const Rule& rule : rules.authorization) {
    if (rule.action != Rule::Action::kPermit) continue;
    auto asks = [&](const Asked& asked) { return linter.asks(rule, asked) || linter.denies_others(asked); };
    auto warn = [&](std::string text) { out.push_back({rule.line, std::move(text)}); };
    if (!asks(excludes_debug))
      warn(
          "debug enclaves and TDs are permitted: they have no secrets from their host. Ask for "
          "[type==\"x-ms-sgx-is-debuggable\", value==false], of TDs for [type==\"tdx_td_attributes_debug\", "
          "value==false].");
    if (!asks(names_program))
      warn("anybody's program is permitted: no x-ms-sgx-mrsigner, x-ms-sgx-mrenclave or tdx_mrtd is asked for.");
    else if (!asks(names_measurement) && !asks(has_minimum_svn) && !asks(excludes_enclaves))
      warn(
          "every version of the signer's programs is permitted, also those whose faults are known. Name the oldest "
          "with "
          "[type==\"x-ms-sgx-svn\", value>=N].");
    if (!asks(names_tcb_status))
      warn(
          "platforms of every TCB status but Revoked are permitted, also those that are out of date. Ask for "
          "[type==\"attester_tcb_status\", value==\"UpToDate\"].");
  }
  if (std::none_of(rules.authorization.begin(), rules.authorization.end(),
                   [](const Rule& rule) { return rule.action == Rule::Action::kPermit; }))
    out.push_back({rules.authorization.empty() ? 1 : rules.authorization.front().line,
                   "no rule permits, so nothing is permitted."});
  return out;
}

}  // namespace enclayer::attest
