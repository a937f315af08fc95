// SPDX-License-Identifier: Apache-2.0
// A policy's rules, as the parser gives them and the evaluator and the linter take them.
//
//   policy     = "version" "=" ("1.0" | "1.1") ";" [ configurationrules ] authorizationrules [ issuancerules ]
//   section    = NAME "{" { rule } "}" ";"
//   rule       = [ condition { "&&" condition } ] "=>" action ";"
//   condition  = [ IDENTIFIER ":" ] tests | [ "!" ] "exists" "(" tests ")"
//   tests      = "[" test { "," test } "]"
//   test       = property ("==" | "!=" | "<" | "<=" | ">" | ">=") operand
//   property   = "type" | "value" | "valueType" | "issuer"
//   operand    = "true" | "false" | INTEGER | STRING | IDENTIFIER "." property
//   action     = "permit" "(" ")" | "deny" "(" ")" | ("add" | "issue" | "issueproperty") "(" claim ")"
//   claim      = "type" "=" STRING "," "value" "=" operand | "claim" "=" IDENTIFIER
//
// Comments begin with // and end with the line. Text is printable ASCII; a STRING knows \" and \\.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "attest/claims.h"
#include "attest/policy_text.h"
#include "enclayer/error.h"

namespace enclayer::attest {

enum class Property { kType, kValue, kValueType, kIssuer };
enum class Comparison { kEqual, kNotEqual, kLess, kLessOrEqual, kGreater, kGreaterOrEqual };

// A property of the claim that an earlier condition of the rule chose.
struct Reference {
  std::size_t condition;
  Property property;
};
using Operand = std::variant<ClaimValue, Reference>;

struct Test {
  Property property;
  Comparison comparison;
  Operand operand;
};

struct Condition {
  enum class Kind { kClaim, kExists, kNotExists } kind = Kind::kClaim;
  std::string name;  // "" where it has none
  std::vector<Test> tests;
  bool referenced = false;  // it matters which claim is chosen; otherwise one is as good as any other
};

struct Rule {
  enum class Action { kPermit, kDeny, kAdd, kIssue, kIssueProperty } action = Action::kDeny;
  std::size_t line = 0;
  std::vector<Condition> conditions;
  // Of the last three: a claim that a condition chose, or one that is made.
  std::optional<std::size_t> claim;
  std::string type;
  Operand value;
};

struct Rules {
  std::vector<Rule> configuration, authorization, issuance;
};

Result<Rules> parse_rules(std::string_view text);            // policy_text_parser.cc
std::vector<PolicyWarning> warnings_of(const Rules& rules);  // policy_text_lint.cc

// A value, wherever it stands: comparing is what takes an evaluation's time, so nothing is copied for it.
using ValueView = std::variant<bool, std::int64_t, std::string_view>;
inline ValueView view_of(const ClaimValue& value) {
  return std::visit([](const auto& it) { return ValueView(it); }, value);
}

// Values of different types are different, and none is less than the other.
bool holds(const ValueView& left, Comparison comparison, const ValueView& right);

}  // namespace enclayer::attest
