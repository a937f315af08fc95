// SPDX-License-Identifier: Apache-2.0
#include "detect/node_metadata.h"

#include <nlohmann/json.hpp>

#include "base/json.h"
#include "base/printable.h"

namespace enclayer::detect {
namespace {

// A Node's annotations alone may have 256 KiB, and managedFields names each of them again.
constexpr std::size_t kMaxValues = 1 << 16;

Result<std::string> text_of(const base::JsonValue& metadata, const char* key) {
  ENCLAYER_TRY(std::string text, metadata.text(key));
  if (text.empty()) return Error(ErrorKind::kMalformed, std::string("\"") + key + "\" is empty");
  return text;
}

Result<NodeMetadata> read(std::string_view text) {
  ENCLAYER_TRY(auto document, base::JsonDocument::parse(text, kMaxValues));
  ENCLAYER_TRY(auto metadata, document.root().object("metadata"));
  NodeMetadata out;
  ENCLAYER_TRY(out.name, text_of(metadata, "name"));
  ENCLAYER_TRY(out.uid, text_of(metadata, "uid"));
  ENCLAYER_TRY(out.resource_version, text_of(metadata, "resourceVersion"));
  ENCLAYER_TRY(out.labels, metadata.text_map("labels"));
  out.runtime = document.root()["status"]["nodeInfo"]["containerRuntimeVersion"].text();
  return out;
}

}  // namespace

Result<NodeMetadata> parse_node_metadata(std::string_view text) {
  auto node = read(text);
  if (!node) return node.error().with_context("what the API server answered is no node");
  return node;
}

std::string label_patch(const NodeMetadata& node, const Labels& wanted) {
  using nlohmann::json;
  json labels = json::object();
  for (std::string_view name : own_labels()) {
    const std::string key(name);
    auto is = node.labels.find(key), should = wanted.find(key);
    if (should == wanted.end()) {
      if (is != node.labels.end()) labels[key] = nullptr;
    } else if (is == node.labels.end() || is->second != should->second) {
      labels[key] = should->second;
    }
  }
  if (labels.empty()) return {};
  json patch = {{"metadata", {{"uid", node.uid}, {"resourceVersion", node.resource_version}, {"labels", labels}}}};
  return patch.dump(-1, ' ', true, json::error_handler_t::replace);
}

std::string status_message(std::string_view text) {
  auto document = base::JsonDocument::parse(text);
  if (!document || document->root().text("kind").value_or("") != "Status") return {};
  return document->root().text("message").value_or("");
}

std::string refusal_of(unsigned status, std::string_view body) {
  std::string out = "status " + std::to_string(status);
  if (const std::string said = status_message(body); !said.empty()) out += " (\"" + base::printable(said, 600) + "\")";
  return out;
}

}  // namespace enclayer::detect
