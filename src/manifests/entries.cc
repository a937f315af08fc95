// SPDX-License-Identifier: Apache-2.0
#include "manifests/entries.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <regex>
#include <span>

#include "base/printable.h"
#include "manifests/manifests.h"

namespace enclayer::manifests {

std::span<const ManifestFile> schema_texts();  // entries.schema.json, compiled in

namespace {

using nlohmann::json;

const json& definitions() {
  static const json kDefinitions = json::parse(entries_schema());
  return kDefinitions;
}

std::string said(const std::string& text) { return text.empty() ? "''" : base::printable(text, 200); }

bool matches(const json& schema, const std::string& text) {
  // The length first: std::regex recurses.
  return text.size() <= schema.value("maxLength", std::size_t{512}) &&
         (!schema.contains("pattern") || std::regex_search(text, std::regex(schema["pattern"].get<std::string>())));
}

std::string wrong_by(const json& schema, const json& value);

std::string wrong_text(const json& schema, const std::string& text) {
  if (schema.contains("not"))
    return matches(schema["not"], text) ? said(text) + " is " + schema["not"]["description"].get<std::string>() : "";
  if (schema.contains("enum")) {
    std::string words;
    for (const json& word : schema["enum"]) {
      if (word == text) return "";
      words += " " + word.get<std::string>();
    }
    return said(text) + " is none of:" + words;
  }
  return matches(schema, text) ? "" : said(text) + " is no " + schema["description"].get<std::string>();
}

std::string wrong_field(const json& schema, const std::string& name, const json& value) {
  if (schema.contains("propertyNames"))
    if (std::string wrong = wrong_by(schema["propertyNames"], name); !wrong.empty()) return wrong;
  if (!schema.contains("properties")) return wrong_by(schema["additionalProperties"], value);
  if (schema["properties"].contains(name)) return wrong_by(schema["properties"][name], value);
  std::string known;
  for (const auto& [one, rest] : schema["properties"].items()) known += " " + one;
  return said(name) + " is none of:" + known;
}

// Knows the keywords that entries.schema.json has. What kind of JSON a value is was looked at before.
std::string wrong_by(const json& schema, const json& value) {
  if (schema.contains("$ref")) {
    const auto path = schema["$ref"].get<std::string>();
    return wrong_by(definitions()[path.substr(path.rfind('/') + 1)], value);
  }
  std::string wrong;
  for (const json& one : schema.value("allOf", json::array()))
    if (wrong.empty()) wrong = wrong_by(one, value);
  if (schema.contains("allOf")) return wrong;
  if (value.is_string()) return wrong_text(schema, value.get<std::string>());
  const auto most = schema.value(value.is_array() ? "maxItems" : "maxProperties", std::size_t{64});
  if (value.size() > most)
    return "is given " + std::to_string(value.size()) + " times, at most " + std::to_string(most) + " are possible";
  for (const auto& [name, one] : value.items())
    if (wrong.empty()) wrong = value.is_array() ? wrong_by(schema["items"], one) : wrong_field(schema, name, one);
  return wrong;
}

}  // namespace

std::string_view entries_schema() { return schema_texts().front().text; }

std::string wrong_entry(std::string_view setting, const std::string& json_text) {
  return wrong_by(definitions()[std::string(setting)], json::parse(json_text));
}

}  // namespace enclayer::manifests
