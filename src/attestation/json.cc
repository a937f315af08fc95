#include "attestation/json.h"

#include <nlohmann/json.hpp>
#include <set>

namespace enclayer::attestation {
namespace {

using nlohmann::json;

const json& as_json(const void* value) { return *static_cast<const json*>(value); }

Error malformed(std::string message) { return {ErrorKind::kMalformed, std::move(message)}; }

// Leaves the parser from within its callback, before more is read.
struct Refused {
  std::string why;
};

Result<const json*> member(const void* object, std::string_view key) {
  const json& j = as_json(object);
  auto found = j.find(key);
  if (found == j.end()) return malformed("\"" + std::string(key) + "\" is missing");
  return &*found;
}

Error wrong_type(std::string_view key, std::string_view wanted, const json& found) {
  return malformed("\"" + std::string(key) + "\" is of type " + found.type_name() + ", not " + std::string(wanted));
}

}  // namespace

bool JsonValue::has(std::string_view key) const { return as_json(value_).contains(key); }

Result<std::string> JsonValue::text(std::string_view key) const {
  ENCLAYER_TRY(const json* found, member(value_, key));
  if (!found->is_string()) return wrong_type(key, "string", *found);
  return found->get<std::string>();
}

Result<std::uint64_t> JsonValue::number(std::string_view key, std::uint64_t max) const {
  ENCLAYER_TRY(const json* found, member(value_, key));
  if (!found->is_number_unsigned()) return wrong_type(key, "a whole number", *found);
  auto value = found->get<std::uint64_t>();
  if (value > max)
    return malformed("\"" + std::string(key) + "\" is " + std::to_string(value) + ", more than " + std::to_string(max));
  return value;
}

Result<JsonValue> JsonValue::object(std::string_view key) const {
  ENCLAYER_TRY(const json* found, member(value_, key));
  if (!found->is_object()) return wrong_type(key, "object", *found);
  return JsonValue(found);
}

Result<std::vector<JsonValue>> JsonValue::objects(std::string_view key) const {
  ENCLAYER_TRY(const json* found, member(value_, key));
  if (!found->is_array()) return wrong_type(key, "array", *found);
  std::vector<JsonValue> out;
  out.reserve(found->size());
  for (const json& element : *found) {
    if (!element.is_object()) return wrong_type(std::string(key) + "[]", "object", element);
    out.emplace_back(&element);
  }
  return out;
}

Result<std::vector<std::string>> JsonValue::texts(std::string_view key) const {
  ENCLAYER_TRY(const json* found, member(value_, key));
  if (!found->is_array()) return wrong_type(key, "array", *found);
  std::vector<std::string> out;
  out.reserve(found->size());
  for (const json& element : *found) {
    if (!element.is_string()) return wrong_type(std::string(key) + "[]", "string", element);
    out.push_back(element.get<std::string>());
  }
  return out;
}

Result<JsonDocument> JsonDocument::parse(std::string_view text) {
  if (text.size() > kMaxSize)
    return malformed("JSON text has " + std::to_string(text.size()) + " bytes, at most " + std::to_string(kMaxSize) +
                     " are read");
  std::vector<std::set<std::string>> keys;  // of the objects that are open
  auto guard = [&](int depth, json::parse_event_t event, json& parsed) {
    switch (event) {
      case json::parse_event_t::object_start:
      case json::parse_event_t::array_start:
        if (depth >= kMaxDepth) throw Refused{"JSON text nests deeper than " + std::to_string(kMaxDepth) + " levels"};
        if (event == json::parse_event_t::object_start) keys.emplace_back();
        break;
      case json::parse_event_t::object_end: keys.pop_back(); break;
      case json::parse_event_t::key:
        if (!keys.back().insert(parsed.get<std::string>()).second)
          throw Refused{"JSON text has a key twice in one object: \"" + parsed.get<std::string>().substr(0, 64) + "\""};
        break;
      default: break;
    }
    return true;
  };
  try {
    auto root = std::make_shared<const json>(json::parse(text, guard));
    if (!root->is_object()) return malformed(std::string("JSON text is of type ") + root->type_name() + ", not object");
    return JsonDocument(std::move(root));
  } catch (const Refused& refused) {
    return malformed(refused.why);
  } catch (const json::exception& error) {
    return malformed(std::string("not JSON: ") + std::string(error.what()).substr(0, 200));
  }
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

}  // namespace enclayer::attestation
