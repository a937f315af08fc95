// SPDX-License-Identifier: Apache-2.0
// JSON from outside, read within bounds: size, depth, number of values, no key twice in one object (a key that two
// readers resolve differently is a way to be told two stories by one signature). Reading takes time in proportion to
// the text, whatever is in it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "enclayer/error.h"

namespace enclayer::base {

struct JsonNode;

// A look at one value; valid as long as its document. The readers name the key when it is missing or of another type.
class JsonValue {
 public:
  explicit JsonValue(const JsonNode* value) : value_(value) {}

  bool has(std::string_view key) const;
  Result<std::string> text(std::string_view key) const;
  Result<std::uint64_t> number(std::string_view key, std::uint64_t max) const;  // whole, 0 .. max
  Result<JsonValue> object(std::string_view key) const;
  Result<std::vector<JsonValue>> objects(std::string_view key) const;  // an array with objects only
  Result<std::vector<std::string>> texts(std::string_view key) const;  // an array with strings only
  // An object with strings only; empty where it is missing or null, as Go programs leave out or write an empty map.
  Result<std::map<std::string, std::string>> text_map(std::string_view key) const;
  Result<std::vector<std::pair<std::string, JsonValue>>> members() const;  // all of them, which have to be objects

  // Readers for what may lack anything: a value that is missing, or of another type, is "", 0, false, or empty.
  JsonValue operator[](std::string_view key) const;
  std::string text() const;
  std::uint64_t number() const;  // whole, not negative
  bool truth() const;
  std::vector<std::pair<std::string, JsonValue>> entries() const;  // of an object; of an array, with empty keys

 private:
  const JsonNode* value_;
};

struct JsonLimits {
  std::size_t size = 1 << 20;  // bytes; real collateral has 14 to 23 KB
  std::size_t depth = 12;      // TCB Info nests 5 deep
  std::size_t values = 4096;   // real TCB Info has 500 to 1,100
};

class JsonDocument {
 public:
  static constexpr std::size_t kMaxSize = JsonLimits{}.size, kMaxValues = JsonLimits{}.values;
  static constexpr int kMaxDepth = JsonLimits{}.depth;

  // An object, and nothing after it; else kMalformed. Other limits are for what has more by its nature.
  static Result<JsonDocument> parse(std::string_view text, const JsonLimits& limits);
  static Result<JsonDocument> parse(std::string_view text, std::size_t max_values = kMaxValues) {
    return parse(text, JsonLimits{.values = max_values});
  }

  JsonValue root() const { return JsonValue(root_.get()); }

 private:
  explicit JsonDocument(std::shared_ptr<const JsonNode> root) : root_(std::move(root)) {}
  std::shared_ptr<const JsonNode> root_;
};

// The text without the whitespace that JSON allows between its tokens; nothing else changes.
std::string without_whitespace(std::string_view json);

}  // namespace enclayer::base
