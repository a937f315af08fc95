// SPDX-License-Identifier: Apache-2.0
#include "base/json.h"
#include "base/malformed.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace enclayer::base {

struct JsonNode {
  enum class Type { kNull, kBoolean, kNumber, kWholeNumber, kString, kArray, kObject };

  Type type = Type::kNull;
  std::string key;                  // within an object
  std::uint64_t whole_number = 0;   // 0 and above; of a boolean, 1 for true
  std::string text;                 // of a string
  std::vector<JsonNode> members{};  // of an array or an object, in the order of the text
};

namespace {

using Type = JsonNode::Type;

const char* name_of(Type type) {
  switch (type) {
    case Type::kNull: return "null";
    case Type::kBoolean: return "boolean";
    case Type::kNumber:
    case Type::kWholeNumber: return "number";
    case Type::kString: return "string";
    case Type::kArray: return "array";
    case Type::kObject: break;
  }
  return "object";
}

// Builds the tree from what nlohmann's reader finds, and stops it at the first thing that is too much. Its own trees
// are not used: with a callback that could stop it early, its time for one array grows with the square of the elements.
class TreeBuilder final : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit TreeBuilder(const JsonLimits& limits) : limits_(limits) {}

  bool null() override { return leaf(Type::kNull); }
  bool boolean(bool value) override {
    JsonNode* node = add(Type::kBoolean);
    if (node != nullptr) node->whole_number = value ? 1 : 0;
    return node != nullptr;
  }
  bool number_integer(number_integer_t) override { return leaf(Type::kNumber); }
  bool number_unsigned(number_unsigned_t value) override {
    JsonNode* node = add(Type::kWholeNumber);
    if (node != nullptr) node->whole_number = value;
    return node != nullptr;
  }
  bool number_float(number_float_t, const string_t&) override { return leaf(Type::kNumber); }
  bool string(string_t& value) override {
    JsonNode* node = add(Type::kString);
    if (node != nullptr) node->text = std::move(value);
    return node != nullptr;
  }
  bool binary(binary_t&) override { return refuse("there is binary data in it"); }  // never in JSON

  bool start_object(std::size_t) override { return open(Type::kObject); }
  bool key(string_t& value) override {
    key_ = std::move(value);
    return true;
  }
  bool end_object() override {
    std::vector<const std::string*> keys;
    for (const JsonNode& member : open_.back()->members) keys.push_back(&member.key);
    std::sort(keys.begin(), keys.end(), [](auto* a, auto* b) { return *a < *b; });
    auto twin = std::adjacent_find(keys.begin(), keys.end(), [](auto* a, auto* b) { return *a == *b; });
    if (twin != keys.end())
      return refuse("JSON text has a key twice in one object: \"" + (*twin)->substr(0, 64) + "\"");
    open_.pop_back();
    return true;
  }
  bool start_array(std::size_t) override { return open(Type::kArray); }
  bool end_array() override {
    open_.pop_back();
    return true;
  }
  bool parse_error(std::size_t, const std::string&, const nlohmann::json::exception& error) override {
    std::string_view what = error.what();  // "[json.exception.parse_error.101] parse error at line 1, ..."
    if (auto name = what.find("] "); name != std::string_view::npos) what.remove_prefix(name + 2);
    return refuse("not JSON: " + std::string(what.substr(0, 200)));
  }

  JsonNode root;
  std::string refusal;  // "" while there is none

 private:
  bool refuse(std::string why) {
    refusal = std::move(why);
    return false;
  }

  JsonNode* add(Type type) {
    if (++values_ > limits_.values) {
      refuse("JSON text has more than " + std::to_string(limits_.values) + " values");
      return nullptr;
    }
    // Only the innermost open node grows, so that the pointers to the open ones stay good.
    JsonNode* node = open_.empty() ? &root : &open_.back()->members.emplace_back();
    node->type = type;
    node->key = std::exchange(key_, {});
    return node;
  }
  bool leaf(Type type) { return add(type) != nullptr; }
  bool open(Type type) {
    if (open_.size() >= limits_.depth)
      return refuse("JSON text nests deeper than " + std::to_string(limits_.depth) + " levels");
    JsonNode* node = add(type);
    if (node != nullptr) open_.push_back(node);
    return node != nullptr;
  }

  std::vector<JsonNode*> open_;  // from the root to the innermost
  std::string key_;              // of the next value
  const JsonLimits limits_;
  std::size_t values_ = 0;
};

// Reads what nearly all texts consist of, in a tenth of the library's time, which looks at every character several times:
// strings of ASCII with short escapes, whole numbers of up to 19 digits. It gives up at anything else, right or wrong; the
// library then reads the text from its begin, so that it alone says what is an error.
class PlainReader {
 public:
  PlainReader(std::string_view text, TreeBuilder& tree) : text_(text), tree_(tree) {}

  // False: the tree refused something (its refusal says why), or this gave up.
  bool read() { return value() && next_token() == '\0' && at_ == text_.size(); }

 private:
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }  // there is no NUL in the text
  char next_token() {
    while (peek() == ' ' || peek() == '\n' || peek() == '\r' || peek() == '\t') ++at_;
    return peek();
  }
  bool skip(char token) {
    if (next_token() != token) return false;
    ++at_;
    return true;
  }

  // As deep as the tree lets it.
  bool value() {
    switch (next_token()) {
      case '{': return list('}', tree_.start_object(0)) && tree_.end_object();
      case '[': return list(']', tree_.start_array(0)) && tree_.end_array();
      case '"': return string() && tree_.string(string_);
      case 't': return word("true") && tree_.boolean(true);
      case 'f': return word("false") && tree_.boolean(false);
      case 'n': return word("null") && tree_.null();
      default: return number();
    }
  }

  bool list(char end, bool started) {
    if (!started) return false;
    ++at_;
    if (skip(end)) return true;
    do {
      if (end == '}' && !(next_token() == '"' && string() && tree_.key(string_) && skip(':'))) return false;
      if (!value()) return false;
    } while (skip(','));
    return skip(end);
  }

  bool word(std::string_view word) {
    if (!text_.substr(at_).starts_with(word)) return false;
    at_ += word.size();
    return true;
  }

  bool number() {
    std::size_t begin = at_;
    std::uint64_t value = 0;
    for (; peek() >= '0' && peek() <= '9'; ++at_) {
      if (at_ - begin == 19) return false;
      value = 10 * value + static_cast<std::uint64_t>(peek() - '0');
    }
    if (at_ == begin || (text_[begin] == '0' && at_ - begin > 1)) return false;
    return peek() != '.' && peek() != 'e' && peek() != 'E' && tree_.number_unsigned(value);
  }

  bool string() {
    string_.clear();
    ++at_;
    while (true) {
      std::size_t begin = at_;
      while (at_ < text_.size() && text_[at_] >= ' ' && text_[at_] <= '~' && text_[at_] != '"' && text_[at_] != '\\')
        ++at_;
      string_.append(text_, begin, at_ - begin);
      char end = peek();
      if (end != '"' && end != '\\') return false;
      ++at_;
      if (end == '"') return true;
      constexpr std::string_view kEscapes = "\"\\/bfnrt", kMeanings = "\"\\/\b\f\n\r\t";
      std::size_t escape = peek() == '\0' ? std::string_view::npos : kEscapes.find(peek());
      if (escape == std::string_view::npos) return false;
      string_ += kMeanings[escape];
      ++at_;
    }
  }

  std::string_view text_;
  TreeBuilder& tree_;
  std::size_t at_ = 0;
  std::string string_;  // the one that was read last
};

const JsonNode* find(const JsonNode& object, std::string_view key) {
  auto found = std::find_if(object.members.begin(), object.members.end(),
                            [&](const JsonNode& member) { return member.key == key; });
  return found == object.members.end() ? nullptr : &*found;
}

Error wrong_type(std::string_view key, std::string_view wanted, const JsonNode& found) {
  return malformed("\"" + std::string(key) + "\" is of type " + name_of(found.type) + ", not " + std::string(wanted));
}

Result<const JsonNode*> member(const JsonNode& object, std::string_view key, Type type) {
  const JsonNode* found = find(object, key);
  if (found == nullptr) return malformed("\"" + std::string(key) + "\" is missing");
  if (found->type != type)
    return wrong_type(key, type == Type::kWholeNumber ? "a whole number" : name_of(type), *found);
  return found;
}

}  // namespace

bool JsonValue::has(std::string_view key) const { return find(*value_, key) != nullptr; }

Result<std::string> JsonValue::text(std::string_view key) const {
  ENCLAYER_TRY(const JsonNode* found, member(*value_, key, Type::kString));
  return found->text;
}

Result<std::uint64_t> JsonValue::number(std::string_view key, std::uint64_t max) const {
  ENCLAYER_TRY(const JsonNode* found, member(*value_, key, Type::kWholeNumber));
  std::uint64_t value = found->whole_number;
  if (value > max)
    return malformed("\"" + std::string(key) + "\" is " + std::to_string(value) + ", more than " + std::to_string(max));
  return value;
}

Result<JsonValue> JsonValue::object(std::string_view key) const {
  ENCLAYER_TRY(const JsonNode* found, member(*value_, key, Type::kObject));
  return JsonValue(found);
}

Result<std::vector<JsonValue>> JsonValue::objects(std::string_view key) const {
  ENCLAYER_TRY(const JsonNode* found, member(*value_, key, Type::kArray));
  std::vector<JsonValue> out;
  out.reserve(found->members.size());
  for (const JsonNode& element : found->members) {
    if (element.type != Type::kObject) return wrong_type(std::string(key) + "[]", "object", element);
    out.emplace_back(&element);
  }
  return out;
}

Result<std::vector<std::string>> JsonValue::texts(std::string_view key) const {
  ENCLAYER_TRY(const JsonNode* found, member(*value_, key, Type::kArray));
  std::vector<std::string> out;
  out.reserve(found->members.size());
  for (const JsonNode& element : found->members) {
    if (element.type != Type::kString) return wrong_type(std::string(key) + "[]", "string", element);
    out.push_back(element.text);
  }
  return out;
}

Result<std::map<std::string, std::string>> JsonValue::text_map(std::string_view key) const {
  std::map<std::string, std::string> out;
  const JsonNode* found = find(*value_, key);
  if (found == nullptr || found->type == Type::kNull) return out;
  if (found->type != Type::kObject) return wrong_type(key, "object", *found);
  for (const JsonNode& element : found->members) {
    if (element.type != Type::kString) return wrong_type(element.key, "string", element);
    out.emplace(element.key, element.text);
  }
  return out;
}

Result<std::vector<std::pair<std::string, JsonValue>>> JsonValue::members() const {
  std::vector<std::pair<std::string, JsonValue>> out;
  out.reserve(value_->members.size());
  for (const JsonNode& element : value_->members) {
    if (element.type != Type::kObject) return wrong_type(element.key, "object", element);
    out.emplace_back(element.key, JsonValue(&element));
  }
  return out;
}

JsonValue JsonValue::operator[](std::string_view key) const {
  static const JsonNode kNothing;
  const JsonNode* found = value_->type == Type::kObject ? find(*value_, key) : nullptr;
  return JsonValue(found != nullptr ? found : &kNothing);
}

std::string JsonValue::text() const { return value_->type == Type::kString ? value_->text : ""; }

std::uint64_t JsonValue::number() const { return value_->type == Type::kWholeNumber ? value_->whole_number : 0; }

bool JsonValue::truth() const { return value_->type == Type::kBoolean && value_->whole_number != 0; }

std::vector<std::pair<std::string, JsonValue>> JsonValue::entries() const {
  std::vector<std::pair<std::string, JsonValue>> out;
  out.reserve(value_->members.size());
  for (const JsonNode& member : value_->members) out.emplace_back(member.key, JsonValue(&member));
  return out;
}

Result<JsonDocument> JsonDocument::parse(std::string_view text, const JsonLimits& limits) {
  if (text.size() > limits.size)
    return malformed("JSON text has " + std::to_string(text.size()) + " bytes, at most " + std::to_string(limits.size) +
                     " are read");
  // nlohmann takes it for the end of the text, and would let anything stand behind it.
  if (text.find('\0') != std::string_view::npos) return malformed("JSON text has a NUL in it");
  std::optional<TreeBuilder> tree(std::in_place, limits);
  bool read = PlainReader(text, *tree).read();
  if (!read && tree->refusal.empty()) {
    tree.emplace(limits);
    read = nlohmann::json::sax_parse(text, &*tree);
  }
  if (!read) return malformed(tree->refusal);
  if (tree->root.type != Type::kObject)
    return malformed(std::string("JSON text is of type ") + name_of(tree->root.type) + ", not object");
  return JsonDocument(std::make_shared<const JsonNode>(std::move(tree->root)));
}

std::string without_whitespace(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  bool in_string = false, escaped = false;
  for (char c : text) {
    if (in_string) {
      in_string = escaped || c != '"';
      escaped = !escaped && c == '\\';
    } else {
      if (c == ' ' || c == '\t' || c == '\n' || c == '\r') continue;
      in_string = c == '"';
    }
    out.push_back(c);
  }
  return out;
}

}  // namespace enclayer::base
