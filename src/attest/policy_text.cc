// SPDX-License-Identifier: Apache-2.0
#include "attest/policy_text.h"

#include <algorithm>
#include <set>
#include <tuple>
#include <utility>

#include "attest/base64url.h"
#include "attest/policy_text_rules.h"
#include "base/bytes.h"
#include "base/digest.h"

namespace enclayer::attest {
namespace {

ValueView property_of(const Claim& claim, Property property) {
  switch (property) {
    case Property::kType: return std::string_view(claim.type);
    case Property::kValue: return view_of(claim.value);
    case Property::kValueType: return value_type(claim.value);
    case Property::kIssuer: break;
  }
  return to_string(claim.issuer);
}

std::size_t size_of(const Claim& claim) {
  const auto* text = std::get_if<std::string>(&claim.value);
  return sizeof(Claim) + claim.type.size() + (text == nullptr ? 0 : text->size());
}

struct ByContent {
  bool operator()(const Claim& a, const Claim& b) const {
    return std::tie(a.type, a.value, a.issuer) < std::tie(b.type, b.value, b.issuer);
  }
};

// Claims in the order in which they came, each once.
class ClaimSet {
 public:
  // Whether it was new.
  bool add(const Claim& claim) {
    if (!known_.insert(claim).second) return false;
    ordered_.push_back(claim);
    bytes_ += size_of(claim);
    return true;
  }
  const std::vector<Claim>& ordered() const { return ordered_; }
  bool full() const { return ordered_.size() > PolicyText::kMaxClaims || bytes_ > PolicyText::kMaxClaimBytes; }

 private:
  std::vector<Claim> ordered_;
  std::set<Claim, ByContent> known_;
  std::size_t bytes_ = 0;
};

class Evaluator {
 public:
  explicit Evaluator(const std::vector<Claim>& incoming) {
    for (const Claim& claim : incoming)
      if (!working_.full()) working_.add(claim);
  }

  Evaluation evaluate(const Rules& rules) {
    bool permitted = false;
    for (const auto* section : {&rules.configuration, &rules.authorization})
      for (const Rule& rule : *section) {
        const bool acts = apply(rule);
        if (exhausted()) return refused(rule);
        if (acts && rule.action == Rule::Action::kDeny)
          return {.refusal = "line " + std::to_string(rule.line) + " of the policy denies", .line = rule.line};
        permitted |= acts && rule.action == Rule::Action::kPermit;
      }
    if (!permitted) return {.refusal = "no rule of the policy permits"};
    for (const Rule& rule : rules.issuance) {
      apply(rule);
      if (exhausted()) return refused(rule);
    }
    return {.permitted = true, .issued = issued_.ordered(), .properties = properties_.ordered()};
  }

 private:
  bool exhausted() const { return steps_ > PolicyText::kMaxSteps || working_.full(); }

  static bool decides(const Rule& rule) {
    return rule.action == Rule::Action::kPermit || rule.action == Rule::Action::kDeny;
  }
  static Evaluation refused(const Rule& rule) {
    return {.refusal = "line " + std::to_string(rule.line) + " of the policy takes too long, or makes more than " +
                       std::to_string(PolicyText::kMaxClaims) + " claims or " +
                       std::to_string(PolicyText::kMaxClaimBytes) + " bytes of them",
            .line = rule.line};
  }

  // Whether its conditions are met. It sees the claims that are there when it begins, not those that it makes.
  bool apply(const Rule& rule) {
    ClaimSet made;
    chosen_.assign(rule.conditions.size(), nullptr);
    const bool acts = choose(rule, 0, made);
    for (const Claim& claim : made.ordered()) {
      working_.add(claim);
      if (rule.action == Rule::Action::kIssue) issued_.add(claim);
      if (rule.action == Rule::Action::kIssueProperty) properties_.add(claim);
    }
    return acts;
  }

  // Chooses claims for the conditions from `next` on, in every way that makes a difference; whether there is one.
  bool choose(const Rule& rule, std::size_t next, ClaimSet& made) {
    if (next == rule.conditions.size()) {
      if (!decides(rule)) made.add(result(rule));
      return true;
    }
    const Condition& condition = rule.conditions[next];
    const bool absent = condition.kind == Condition::Kind::kNotExists;
    bool found = false;
    for (const Claim& claim : working_.ordered()) {
      if (exhausted() || made.full()) {
        steps_ = PolicyText::kMaxSteps + 1;
        return found;
      }
      if (!meets(claim, condition)) continue;
      if (absent) return false;
      chosen_[next] = &claim;
      found |= choose(rule, next + 1, made);
      if (!condition.referenced || (found && decides(rule))) return found;  // no other choice makes a difference
    }
    return absent ? choose(rule, next + 1, made) : found;
  }

  bool meets(const Claim& claim, const Condition& condition) {
    return std::all_of(condition.tests.begin(), condition.tests.end(), [&](const Test& test) {
      const ValueView left = property_of(claim, test.property), right = value_of(test.operand);
      if (const auto* text = std::get_if<std::string_view>(&left))
        steps_ += text->size() / 256;  // long ones take longer
      ++steps_;
      return holds(left, test.comparison, right);
    });
  }

  ValueView value_of(const Operand& operand) const {
    if (const auto* literal = std::get_if<ClaimValue>(&operand)) return view_of(*literal);
    const auto& reference = std::get<Reference>(operand);
    return property_of(*chosen_[reference.condition], reference.property);
  }

  Claim result(const Rule& rule) const {
    if (rule.claim) return *chosen_[*rule.claim];
    const ValueView value = value_of(rule.value);
    const auto* text = std::get_if<std::string_view>(&value);
    const auto* integer = std::get_if<std::int64_t>(&value);
    return {rule.type,
            text != nullptr      ? ClaimValue(std::string(*text))
            : integer != nullptr ? ClaimValue(*integer)
                                 : ClaimValue(std::get<bool>(value)),
            ClaimIssuer::kAttestationPolicy};
  }

  ClaimSet working_, issued_, properties_;
  std::vector<const Claim*> chosen_;  // by condition of the rule that is tried
  std::size_t steps_ = 0;
};

}  // namespace

bool holds(const ValueView& left, Comparison comparison, const ValueView& right) {
  if (comparison == Comparison::kEqual) return left == right;
  if (comparison == Comparison::kNotEqual) return left != right;
  const auto *a = std::get_if<std::int64_t>(&left), *b = std::get_if<std::int64_t>(&right);
  if (a == nullptr || b == nullptr) return false;
  switch (comparison) {
    case Comparison::kLess: return *a < *b;
    case Comparison::kLessOrEqual: return *a <= *b;
    case Comparison::kGreater: return *a > *b;
    default: return *a >= *b;
  }
}

struct PolicyText::Parsed {
  std::string text, hash;
  Rules rules;
};

Result<PolicyText> PolicyText::parse(std::string_view text) {
  auto parsed = std::make_shared<Parsed>();
  ENCLAYER_TRY(parsed->rules, parse_rules(text));
  parsed->text = text;
  parsed->hash = to_base64url(base::sha256(base::as_bytes(to_base64url(base::as_bytes(text)))));
  return PolicyText(std::move(parsed));
}

Evaluation PolicyText::evaluate(const std::vector<Claim>& incoming) const {
  return Evaluator(incoming).evaluate(parsed_->rules);
}
const std::string& PolicyText::hash() const { return parsed_->hash; }
const std::string& PolicyText::text() const { return parsed_->text; }
std::vector<PolicyWarning> PolicyText::warnings() const { return warnings_of(parsed_->rules); }

}  // namespace enclayer::attest
