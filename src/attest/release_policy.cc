// SPDX-License-Identifier: Apache-2.0
#include "attest/release_policy.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "attest/policy_text_rules.h"
#include "base/digest.h"
#include "base/json.h"
#include "base/malformed.h"
#include "base/printable.h"

namespace enclayer::attest {
namespace {

using nlohmann::json;
constexpr base::Malformed malformed_policy{"release policy: "};

// A comparison of one claim, or several conditions.
struct Node {
  enum class Kind { kCompare, kExists, kAllOf, kAnyOf } kind = Kind::kAnyOf;
  std::string claim;
  Comparison comparison = Comparison::kEqual;
  ClaimValue value;  // of kExists: whether it should
  std::vector<Node> children;
};
struct Authority {
  std::string issuer;
  Node conditions;
};

struct Operator {
  const char* name;
  Comparison comparison;
};
constexpr Operator kOperators[] = {{"equals", Comparison::kEqual},    {"notEquals", Comparison::kNotEqual},
                                   {"less", Comparison::kLess},       {"lessOrEquals", Comparison::kLessOrEqual},
                                   {"greater", Comparison::kGreater}, {"greaterOrEquals", Comparison::kGreaterOrEqual}};

// A claim's value, where it is of a type that has comparisons.
std::optional<ClaimValue> value_of(const json& value) {
  if (value.is_boolean()) return ClaimValue(value.get<bool>());
  if (value.is_string()) return ClaimValue(value.get<std::string>());
  if (value.is_number_unsigned() &&
      value.get<std::uint64_t>() > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
    return std::nullopt;
  if (value.is_number_integer()) return ClaimValue(value.get<std::int64_t>());
  return std::nullopt;
}

Result<> only_keys(const json& object, std::initializer_list<std::string_view> known, const std::string& where) {
  if (!object.is_object()) return malformed_policy(where + " is no object");
  for (const auto& member : object.items())
    if (std::find(known.begin(), known.end(), member.key()) == known.end())
      return malformed_policy(where + " has \"" + base::printable(member.key(), 64) + "\", which is not known there");
  return {};
}

Result<Node> parse_list(const json& object, const std::string& where, int nesting);

Result<Node> parse_comparison(const json& object, const std::string& where) {
  ENCLAYER_CHECK(only_keys(
      object, {"claim", "equals", "notEquals", "less", "lessOrEquals", "greater", "greaterOrEquals", "exists"}, where));
  if (object.size() != 2) return malformed_policy(where + " is no \"claim\" with one operator");
  const json& claim = object.at("claim");
  const std::string name = claim.is_string() ? claim.get<std::string>() : "";
  if (name.empty() || name.front() == '.' || name.back() == '.' || name.find("..") != std::string::npos)
    return malformed_policy(where + ": \"claim\" is no name, nor names with dots between them");
  Node out;
  out.claim = name;
  if (auto exists = object.find("exists"); exists != object.end()) {
    if (!exists->is_boolean()) return malformed_policy(where + ": \"exists\" is true or false");
    out.kind = Node::Kind::kExists;
    out.value = exists->get<bool>();
    return out;
  }
  for (const Operator& one : kOperators) {
    auto found = object.find(one.name);
    if (found == object.end()) continue;
    out.kind = Node::Kind::kCompare;
    out.comparison = one.comparison;
    auto value = value_of(*found);
    if (!value)
      return malformed_policy(where + ": \"" + one.name + "\" compares with a string, an integer or a boolean");
    const bool orders = one.comparison != Comparison::kEqual && one.comparison != Comparison::kNotEqual;
    if (orders && !std::holds_alternative<std::int64_t>(*value))
      return malformed_policy(where + ": \"" + one.name + "\" compares with an integer");
    out.value = std::move(*value);
  }
  return out;
}

Result<Node> parse_condition(const json& object, const std::string& where, int nesting) {
  if (object.is_object() && object.contains("claim")) return parse_comparison(object, where);
  ENCLAYER_CHECK(only_keys(object, {"allOf", "anyOf"}, where));
  return parse_list(object, where, nesting + 1);
}

// Of an object with either allOf or anyOf.
Result<Node> parse_list(const json& object, const std::string& where, int nesting) {
  if (nesting > ReleasePolicy::kMaxNesting)
    return malformed_policy(where + " nests deeper than " + std::to_string(ReleasePolicy::kMaxNesting) + " levels");
  const bool all = object.contains("allOf");
  if (all == object.contains("anyOf")) return malformed_policy(where + " has not one of \"allOf\" and \"anyOf\"");
  const char* name = all ? "allOf" : "anyOf";
  const json& list = object.at(name);
  if (!list.is_array()) return malformed_policy(where + ": \"" + name + "\" is no list");
  if (all && list.empty()) return malformed_policy(where + ": an empty \"allOf\" would hold always");
  Node out;
  out.kind = all ? Node::Kind::kAllOf : Node::Kind::kAnyOf;
  for (std::size_t i = 0; i < list.size(); ++i) {
    ENCLAYER_TRY(Node child, parse_condition(list[i], where + "." + name + "[" + std::to_string(i) + "]", nesting));
    out.children.push_back(std::move(child));
  }
  return out;
}

// What stands under "a.b.c"; null where there is nothing.
const json* find(const json& claims, std::string_view path) {
  const json* at = &claims;
  while (at->is_object()) {
    const std::size_t dot = path.find('.');
    auto found = at->find(std::string(path.substr(0, dot)));
    if (found == at->end()) return nullptr;
    at = &*found;
    if (dot == std::string_view::npos) return at;
    path.remove_prefix(dot + 1);
  }
  return nullptr;
}

bool holds(const Node& node, const json& claims) {
  auto child_holds = [&](const Node& child) { return holds(child, claims); };
  switch (node.kind) {
    case Node::Kind::kAllOf: return std::all_of(node.children.begin(), node.children.end(), child_holds);
    case Node::Kind::kAnyOf: return std::any_of(node.children.begin(), node.children.end(), child_holds);
    case Node::Kind::kExists: return (find(claims, node.claim) != nullptr) == std::get<bool>(node.value);
    case Node::Kind::kCompare: break;
  }
  const json* found = find(claims, node.claim);
  auto value = found == nullptr ? std::nullopt : value_of(*found);
  return value && attest::holds(view_of(*value), node.comparison, view_of(node.value));
}

}  // namespace

struct ReleasePolicy::Parsed {
  std::vector<Authority> authorities;
  std::string sha256;
};

Result<ReleasePolicy> ReleasePolicy::parse(std::string_view text) {
  // Judges depth and duplicate keys; what it lets pass can be parsed again without a thought.
  constexpr std::size_t kDepth = std::size_t{2} * (kMaxNesting + 3);
  if (auto bounded = base::JsonDocument::parse(text, {.size = kMaxSize, .depth = kDepth, .values = kMaxValues});
      !bounded)
    return malformed_policy(bounded.error().message());
  const json root = json::parse(text, nullptr, false);
  ENCLAYER_CHECK(only_keys(root, {"version", "anyOf"}, "it"));
  if (root.value("version", json()) != json("1.0.0")) return malformed_policy("\"version\" is not \"1.0.0\"");
  if (!root.contains("anyOf") || !root.at("anyOf").is_array())
    return malformed_policy("\"anyOf\" is no list of authorities");
  auto parsed = std::make_shared<Parsed>();
  parsed->sha256 = base::sha256_hex(text);
  const json& list = root.at("anyOf");
  for (std::size_t i = 0; i < list.size(); ++i) {
    const std::string where = "anyOf[" + std::to_string(i) + "]";
    ENCLAYER_CHECK(only_keys(list[i], {"authority", "allOf", "anyOf"}, where));
    const json issuer = list[i].value("authority", json());
    if (!issuer.is_string() || issuer.get_ref<const std::string&>().empty())
      return malformed_policy(where + ": \"authority\" is no text: the issuer of the tokens that count");
    ENCLAYER_TRY(Node conditions, parse_list(list[i], where, 1));
    parsed->authorities.push_back({issuer.get<std::string>(), std::move(conditions)});
  }
  return ReleasePolicy(std::move(parsed));
}

std::string ReleasePolicy::refusal(std::string_view text) const {
  if (auto bounded = base::JsonDocument::parse(text, base::JsonLimits{}); !bounded)
    return "the token's claims are no JSON object within bounds";  // and are shown nowhere
  const json claims = json::parse(text, nullptr, false);
  const json issuer = claims.value("iss", json());
  bool known = false;
  for (const Authority& authority : parsed_->authorities) {
    if (issuer != json(authority.issuer)) continue;
    known = true;
    if (holds(authority.conditions, claims)) return "";
  }
  return known ? "the release policy's conditions are not met"
               : "the token's issuer is no authority of the release policy";
}

const std::string& ReleasePolicy::sha256() const { return parsed_->sha256; }

}  // namespace enclayer::attest
