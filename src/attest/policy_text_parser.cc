// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "attest/policy_text_rules.h"
#include "base/printable.h"

namespace enclayer::attest {
namespace {

struct Token {
  enum class Kind { kWord, kInteger, kString, kSymbol, kEnd } kind = Kind::kEnd;
  std::string text;  // of a string: without its quotes
  std::size_t line = 1, column = 1;
  std::int64_t integer = 0;

  bool is(std::string_view symbol_or_word) const {
    return (kind == Kind::kSymbol || kind == Kind::kWord) && text == symbol_or_word;
  }
  std::string shown() const {
    if (kind == Kind::kEnd) return "the end of the text";
    return (kind == Kind::kString ? "the string \"" : "\"") + base::printable(text, 64) + "\"";
  }
};

Error error_at(const Token& at, ErrorKind kind, std::string_view what) {
  return {kind, "policy: line " + std::to_string(at.line) + ", column " + std::to_string(at.column) + ": " +
                    std::string(what)};
}
Error malformed(const Token& at, std::string_view what) { return error_at(at, ErrorKind::kMalformed, what); }
Error unsupported(const Token& at, std::string_view what) { return error_at(at, ErrorKind::kUnsupported, what); }

class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}

  Result<Token> next() {
    skip_blanks();
    Token token;
    token.line = line_;
    token.column = at_ - line_start_ + 1;
    if (at_ == text_.size()) return token;
    const char c = text_[at_];
    if (is_letter(c)) return word(token);
    if (is_digit(c) || (c == '-' && at_ + 1 < text_.size() && is_digit(text_[at_ + 1]))) return integer(token);
    if (c == '"') return string(token);
    return symbol(token);
  }

 private:
  static bool is_digit(char c) { return c >= '0' && c <= '9'; }
  static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

  void skip_blanks() {
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (text_.substr(at_).starts_with("//")) {
        at_ = std::min(text_.find('\n', at_), text_.size());
      } else if (c == '\n') {
        ++line_;
        line_start_ = ++at_;
      } else if (c == ' ' || c == '\t' || c == '\r') {
        ++at_;
      } else {
        return;
      }
    }
  }

  Result<Token> word(Token token) {
    const std::size_t begin = at_;
    while (at_ < text_.size() && (is_letter(text_[at_]) || is_digit(text_[at_]))) ++at_;
    token.kind = Token::Kind::kWord;
    token.text = text_.substr(begin, at_ - begin);
    return token;
  }

  Result<Token> integer(Token token) {
    const char* begin = text_.data() + at_;
    auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), token.integer);
    if (error != std::errc()) return malformed(token, "an integer has 64 bits; this one needs more");
    at_ += static_cast<std::size_t>(end - begin);
    if (at_ < text_.size() && is_letter(text_[at_]))
      return malformed(token, "an integer is written in decimal digits, and a letter follows these");
    token.kind = Token::Kind::kInteger;
    token.text = std::string(begin, end);
    return token;
  }

  Result<Token> string(Token token) {
    token.kind = Token::Kind::kString;
    while (++at_ < text_.size() && text_[at_] != '"') {
      char c = text_[at_];
      if (c == '\\') {
        c = at_ + 1 < text_.size() ? text_[++at_] : '\n';
        if (c != '"' && c != '\\') return malformed(token, "in a string \\ is followed by \" or \\, by nothing else");
      }
      if (c < ' ' || c > '~')
        return malformed(token, "this string has no end in its line, or a character in it is not printable ASCII");
      token.text += c;
    }
    if (at_ == text_.size()) return malformed(token, "this string has no end");
    ++at_;
    return token;
  }

  Result<Token> symbol(Token token) {
    token.kind = Token::Kind::kSymbol;
    for (std::string_view one :
         {"=>", "==", "!=", "<=", ">=", "&&", "=", "<", ">", "!", "[", "]", "{", "}", "(", ")", ",", ";", ":", "."})
      if (text_.substr(at_).starts_with(one)) {
        at_ += one.size();
        token.text = one;
        return token;
      }
    const char c = text_[at_];
    if (c > ' ' && c <= '~') return malformed(token, std::string("'") + c + "' stands for nothing here");
    return malformed(token, "outside of comments, text is ASCII; quotes are written \"");
  }

  std::string_view text_;
  std::size_t at_ = 0, line_ = 1, line_start_ = 0;
};

// What Azure has from policy version 1.2 on (its page "Claim rule functions").
constexpr std::string_view kLaterFunctions[] = {"AppendString",       "ContainsOnlyValue", "ContainsValue",
                                                "ImplicitConversion", "IsSubsetOf",        "JmesPath",
                                                "JsonToClaimValue",   "NegateBool",        "Sum"};

// Said by the service itself, with a meaning that no policy may change (RFC 7519 section 4.1, RFC 7800, EAT).
bool is_reserved(std::string_view type) {
  constexpr std::string_view kNames[] = {"iss", "sub", "aud",   "exp",       "nbf",         "iat",
                                         "jti", "cnf", "nonce", "eat_nonce", "eat_profile", "submods"};
  constexpr std::string_view kPrefixes[] = {"x-ms-", "x-enclayer-", "tdx_", "attester_", "ear."};
  return std::find(std::begin(kNames), std::end(kNames), type) != std::end(kNames) ||
         std::any_of(std::begin(kPrefixes), std::end(kPrefixes), [&](auto p) { return type.starts_with(p); });
}

// Azure's older names of its claims, which policies from then still ask for.
std::string current_name(std::string type) {
  constexpr std::pair<std::string_view, std::string_view> kOlder[] = {{"$is-debuggable", "x-ms-sgx-is-debuggable"},
                                                                      {"$product-id", "x-ms-sgx-product-id"},
                                                                      {"$sgx-mrenclave", "x-ms-sgx-mrenclave"},
                                                                      {"$sgx-mrsigner", "x-ms-sgx-mrsigner"},
                                                                      {"$svn", "x-ms-sgx-svn"},
                                                                      {"$tee", "x-ms-attestation-type"}};
  for (const auto& [older, current] : kOlder)
    if (type == older) return std::string(current);
  return type;
}

constexpr std::array<std::pair<std::string_view, Property>, 4> kProperties{{{"type", Property::kType},
                                                                            {"value", Property::kValue},
                                                                            {"valueType", Property::kValueType},
                                                                            {"issuer", Property::kIssuer}}};
constexpr std::pair<std::string_view, Comparison> kComparisons[] = {
    {"==", Comparison::kEqual},       {"!=", Comparison::kNotEqual}, {"<", Comparison::kLess},
    {"<=", Comparison::kLessOrEqual}, {">", Comparison::kGreater},   {">=", Comparison::kGreaterOrEqual}};

class Parser {
 public:
  explicit Parser(std::string_view text) : lexer_(text) {}

  Result<Rules> policy() {
    ENCLAYER_CHECK(advance());
    Rules rules;
    ENCLAYER_TRY(const bool configurable, version());
    if (token_.is("configurationrules")) {
      if (!configurable)
        return malformed(token_, "version 1.0 has no configurationrules; with \"version=1.1;\" they may stand here");
      ENCLAYER_CHECK(section(Section::kConfiguration, rules.configuration));
    }
    if (!token_.is("authorizationrules")) return expected("\"authorizationrules\"");
    ENCLAYER_CHECK(section(Section::kAuthorization, rules.authorization));
    if (token_.is("issuancerules")) ENCLAYER_CHECK(section(Section::kIssuance, rules.issuance));
    if (token_.kind != Token::Kind::kEnd)
      return expected(
          "the end: configurationrules, authorizationrules and issuancerules come once each, in this order");
    return rules;
  }

 private:
  enum class Section { kConfiguration, kAuthorization, kIssuance };

  Result<> advance() {
    ENCLAYER_TRY(token_, lexer_.next());
    return {};
  }
  Error expected(std::string_view what) const {
    return malformed(token_, "expected " + std::string(what) + ", found " + token_.shown());
  }
  Result<> take(std::string_view symbol_or_word) {
    if (!token_.is(symbol_or_word)) return expected("\"" + std::string(symbol_or_word) + "\"");
    return advance();
  }

  // Whether this version has configurationrules.
  Result<bool> version() {
    ENCLAYER_CHECK(take("version"));
    ENCLAYER_CHECK(take("="));
    const Token first = token_;
    if (token_.kind != Token::Kind::kInteger) return expected("1.0 or 1.1");
    ENCLAYER_CHECK(advance());
    ENCLAYER_CHECK(take("."));
    if (token_.kind != Token::Kind::kInteger) return expected("1.0 or 1.1");
    const std::string version = first.text + "." + token_.text;
    if (version != "1.0" && version != "1.1")
      return unsupported(first, "policy version " + version + " is not built here; 1.0 and 1.1 are");
    ENCLAYER_CHECK(advance());
    ENCLAYER_CHECK(take(";"));
    return version == "1.1";
  }

  Result<> section(Section section, std::vector<Rule>& out) {
    ENCLAYER_CHECK(advance());
    ENCLAYER_CHECK(take("{"));
    while (!token_.is("}")) {
      if (++rules_ > PolicyText::kMaxRules)
        return malformed(token_, "a policy has at most " + std::to_string(PolicyText::kMaxRules) + " rules");
      ENCLAYER_CHECK(rule(section, out.emplace_back()));
    }
    ENCLAYER_CHECK(advance());
    return take(";");
  }

  Result<> rule(Section section, Rule& out) {
    out.line = token_.line;
    while (!token_.is("=>")) {
      if (!out.conditions.empty()) ENCLAYER_CHECK(take("&&"));
      if (out.conditions.size() == PolicyText::kMaxConditions)
        return malformed(token_, "a rule has at most " + std::to_string(PolicyText::kMaxConditions) + " conditions");
      ENCLAYER_CHECK(condition(out.conditions));
      if (!token_.is("=>") && !token_.is("&&")) return expected("\"&&\" or \"=>\"");
    }
    ENCLAYER_CHECK(advance());
    ENCLAYER_CHECK(action(section, out));
    return take(";");
  }

  Result<> condition(std::vector<Condition>& conditions) {
    Condition out;
    const bool negated = token_.is("!");
    if (negated) ENCLAYER_CHECK(advance());
    if (negated && !token_.is("exists")) return expected("\"exists\"");
    if (token_.kind == Token::Kind::kWord) {
      const Token word = token_;
      ENCLAYER_CHECK(advance());
      if (token_.is("(")) {
        if (!word.is("exists")) return function(word);
        out.kind = negated ? Condition::Kind::kNotExists : Condition::Kind::kExists;
        ENCLAYER_CHECK(advance());
        ENCLAYER_CHECK(tests(conditions, out.tests));
        ENCLAYER_CHECK(take(")"));
        conditions.push_back(std::move(out));
        return {};
      }
      if (std::any_of(conditions.begin(), conditions.end(), [&](const auto& c) { return c.name == word.text; }))
        return malformed(word, word.shown() + " names an earlier condition of this rule already");
      out.name = word.text;
      ENCLAYER_CHECK(take(":"));
    }
    ENCLAYER_CHECK(tests(conditions, out.tests));
    conditions.push_back(std::move(out));
    return {};
  }

  Result<> tests(std::vector<Condition>& earlier, std::vector<Test>& out) {
    ENCLAYER_CHECK(take("["));
    do {
      if (!out.empty()) ENCLAYER_CHECK(advance());  // the comma
      if (out.size() == PolicyText::kMaxTests)
        return malformed(token_, "a condition has at most " + std::to_string(PolicyText::kMaxTests) + " tests");
      ENCLAYER_TRY(Test test, this->test(earlier));
      out.push_back(std::move(test));
    } while (token_.is(","));
    return token_.is("]") ? advance() : expected("\",\" or \"]\"");
  }

  Result<Test> test(std::vector<Condition>& earlier) {
    Test out{};
    ENCLAYER_TRY(out.property, property());
    auto is_it = [&](const auto& known) { return token_.is(known.first); };
    auto found = std::find_if(std::begin(kComparisons), std::end(kComparisons), is_it);
    if (token_.is("=")) return malformed(token_, "\"=\" gives a value; \"==\" compares");
    if (found == std::end(kComparisons)) return expected("==, !=, <, <=, > or >=");
    out.comparison = found->second;
    const bool orders = out.comparison != Comparison::kEqual && out.comparison != Comparison::kNotEqual;
    if (orders && out.property != Property::kValue)
      return malformed(token_, "only values are less or greater, and only integers; this is compared with == or !=");
    ENCLAYER_CHECK(advance());
    const Token at = token_;
    ENCLAYER_TRY(out.operand, operand(earlier));
    if (auto* literal = std::get_if<ClaimValue>(&out.operand)) ENCLAYER_CHECK(check(at, out, orders, *literal));
    return out;
  }

  // A comparison that can never hold is a mistake.
  static Result<> check(const Token& at, const Test& test, bool orders, ClaimValue& literal) {
    if (orders && !std::holds_alternative<std::int64_t>(literal))
      return malformed(at, "only an integer is less or greater than another; this is compared with == or !=");
    if (test.property == Property::kValue) return {};
    auto* text = std::get_if<std::string>(&literal);
    if (text == nullptr) return malformed(at, "expected a string, found " + at.shown());
    if (test.property == Property::kType) *text = current_name(std::move(*text));
    if (test.property == Property::kValueType && *text != "Boolean" && *text != "Integer" && *text != "String")
      return malformed(at, "a valueType is \"Boolean\", \"Integer\" or \"String\", not " + at.shown());
    if (test.property == Property::kIssuer && *text != to_string(ClaimIssuer::kAttestationService) &&
        *text != to_string(ClaimIssuer::kAttestationPolicy) && *text != to_string(ClaimIssuer::kCustomClaim))
      return malformed(
          at, "an issuer is \"AttestationService\", \"AttestationPolicy\" or \"CustomClaim\", not " + at.shown());
    return {};
  }

  Result<Property> property() {
    auto is_it = [&](const auto& known) { return token_.is(known.first); };
    auto found = std::find_if(kProperties.begin(), kProperties.end(), is_it);
    if (found == kProperties.end()) return expected("type, value, valueType or issuer");
    ENCLAYER_CHECK(advance());
    return found->second;
  }

  Result<Operand> operand(std::vector<Condition>& conditions) {
    const Token token = token_;
    ENCLAYER_CHECK(advance());
    if (token.is("true") || token.is("false")) return Operand(ClaimValue(token.is("true")));
    if (token.kind == Token::Kind::kInteger) return Operand(ClaimValue(token.integer));
    if (token.kind == Token::Kind::kString) return Operand(ClaimValue(token.text));
    if (token.kind != Token::Kind::kWord)
      return malformed(
          token, "expected true, false, an integer, a string or a property such as c.value, found " + token.shown());
    if (token_.is("(")) return function(token);
    ENCLAYER_TRY(const std::size_t index, named(token, conditions));
    ENCLAYER_CHECK(take("."));
    ENCLAYER_TRY(const Property property, this->property());
    return Operand(Reference{index, property});
  }

  // The condition of that name, which from now on matters.
  static Result<std::size_t> named(const Token& name, std::vector<Condition>& conditions) {
    auto is_it = [&](const Condition& c) { return !c.name.empty() && c.name == name.text; };
    auto found = std::find_if(conditions.begin(), conditions.end(), is_it);
    if (found == conditions.end()) return malformed(name, name.shown() + " names no earlier condition of this rule");
    found->referenced = true;
    return static_cast<std::size_t>(found - conditions.begin());
  }

  static Error function(const Token& name) {
    if (std::find(std::begin(kLaterFunctions), std::end(kLaterFunctions), name.text) != std::end(kLaterFunctions))
      return unsupported(name, name.text + "() is of policy version 1.2, which is not built here");
    return unsupported(name, base::printable(name.text, 64) + "() is not known here");
  }

  Result<> action(Section section, Rule& out) {
    using Action = Rule::Action;
    struct Known {
      std::string_view name;
      Action action;
      bool configuration, authorization, issuance;  // the sections in which it may stand
    };
    constexpr Known kKnown[] = {{"permit", Action::kPermit, false, true, false},
                                {"deny", Action::kDeny, false, true, false},
                                {"add", Action::kAdd, false, true, true},
                                {"issue", Action::kIssue, false, false, true},
                                {"issueproperty", Action::kIssueProperty, true, false, true}};
    const Token name = token_;
    auto found = std::find_if(std::begin(kKnown), std::end(kKnown), [&](const Known& k) { return name.is(k.name); });
    if (found == std::end(kKnown)) {
      if (name.kind != Token::Kind::kWord) return expected("permit, deny, add, issue or issueproperty");
      return function(name);
    }
    if (!(section == Section::kConfiguration   ? found->configuration
          : section == Section::kAuthorization ? found->authorization
                                               : found->issuance))
      return malformed(name, name.text + "() has no place in this section");
    out.action = found->action;
    ENCLAYER_CHECK(advance());
    ENCLAYER_CHECK(take("("));
    if (out.action != Action::kPermit && out.action != Action::kDeny) ENCLAYER_CHECK(claim(out));
    return take(")");
  }

  Result<> claim(Rule& out) {
    const bool property = out.action == Rule::Action::kIssueProperty;
    if (token_.is("claim") && !property) {
      ENCLAYER_CHECK(advance());
      ENCLAYER_CHECK(take("="));
      const Token name = token_;
      if (name.kind != Token::Kind::kWord) return expected("the name of a condition of this rule");
      ENCLAYER_CHECK(advance());
      if (token_.is("(")) return function(name);
      ENCLAYER_TRY(out.claim, named(name, out.conditions));
      return {};
    }
    if (!token_.is("type")) return expected(property ? "\"type\"" : "\"type\" or \"claim\"");
    ENCLAYER_CHECK(advance());
    ENCLAYER_CHECK(take("="));
    const Token type = token_;
    if (type.kind != Token::Kind::kString || type.text.empty()) return expected("the claim's type, a string");
    if (!property && is_reserved(type.text))
      return malformed(type, type.shown() +
                                 " is a claim that the service makes; a policy passes one on with "
                                 "issue(claim=c), and makes claims of other types");
    out.type = type.text;
    ENCLAYER_CHECK(advance());
    ENCLAYER_CHECK(take(","));
    ENCLAYER_CHECK(take("value"));
    ENCLAYER_CHECK(take("="));
    const Token value = token_;
    ENCLAYER_TRY(out.value, operand(out.conditions));
    return property ? known_property(type, value, out.value) : Result<>{};
  }

  // A property that is not built must not be passed over: its author counts on it.
  static Result<> known_property(const Token& type, const Token& at, const Operand& value) {
    const auto* literal = std::get_if<ClaimValue>(&value);
    if (literal == nullptr) return malformed(at, "a property's value stands here itself, and is no claim's");
    if (type.text == "report_validity_in_minutes") {
      constexpr std::int64_t kYear = std::int64_t{366} * 24 * 60;
      const auto* minutes = std::get_if<std::int64_t>(literal);
      if (minutes != nullptr && *minutes >= 1 && *minutes <= kYear) return {};
      return malformed(at, "report_validity_in_minutes is an integer from 1 to " + std::to_string(kYear));
    }
    if (type.text == "x-ms-sgx-tcbidentifier") {
      if (*literal == ClaimValue("azuredefault")) return {};
      return unsupported(at,
                         "of x-ms-sgx-tcbidentifier only \"azuredefault\" is built here; the TCB evaluation data "
                         "number is a claim that a rule can ask for, x-enclayer-tcb-evaluation-data-number");
    }
    return unsupported(type, "the property \"" + type.text +
                                 "\" is not built here; report_validity_in_minutes and x-ms-sgx-tcbidentifier are");
  }

  Lexer lexer_;
  Token token_;
  std::size_t rules_ = 0;
};

}  // namespace

Result<Rules> parse_rules(std::string_view text) {
  if (text.size() > PolicyText::kMaxSize)
    return Error(ErrorKind::kMalformed, "policy: it has " + std::to_string(text.size()) + " bytes, at most " +
                                            std::to_string(PolicyText::kMaxSize) + " are read");
  return Parser(text).policy();
}

}  // namespace enclayer::attest
