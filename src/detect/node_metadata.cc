// SPDX-License-Identifier: Apache-2.0
#include "detect/node_metadata.h"

#include <nlohmann/json.hpp>

namespace enclayer::detect {
namespace {

using nlohmann::json;

// metadata is a member of depth 1, labels one of depth 2, a label one of depth 3.
constexpr int kDeepest = 3;

// Everything that is not asked for is dropped while it is read: managedFields is the larger part of a Node's metadata.
Result<json> parse(std::string_view text) {
  json out = json::parse(
      text,
      [](int depth, json::parse_event_t event, json& value) {
        if (depth > kDeepest) return false;
        if (event != json::parse_event_t::key || depth == kDeepest) return true;
        const auto& key = value.get_ref<const std::string&>();
        if (depth == 1) return key == "metadata" || key == "message" || key == "kind";
        return key == "name" || key == "uid" || key == "resourceVersion" || key == "labels";
      },
      false);
  if (!out.is_object()) return Error(ErrorKind::kMalformed, "what the API server answered is no JSON object");
  return out;
}

Result<std::string> text_of(const json& object, const char* key) {
  auto found = object.find(key);
  if (found == object.end() || !found->is_string() || found->get_ref<const std::string&>().empty())
    return Error(ErrorKind::kMalformed, std::string("the node that the API server answered with has no ") + key);
  return found->get<std::string>();
}

}  // namespace

Result<NodeMetadata> parse_node_metadata(std::string_view text) {
  ENCLAYER_TRY(json object, parse(text));
  const json metadata = object.value("metadata", json());
  if (!metadata.is_object()) return Error(ErrorKind::kMalformed, "what the API server answered has no metadata");
  NodeMetadata out;
  ENCLAYER_TRY(out.name, text_of(metadata, "name"));
  ENCLAYER_TRY(out.uid, text_of(metadata, "uid"));
  ENCLAYER_TRY(out.resource_version, text_of(metadata, "resourceVersion"));
  auto labels = metadata.find("labels");
  if (labels == metadata.end() || labels->is_null()) return out;
  if (!labels->is_object()) return Error(ErrorKind::kMalformed, "the labels of node " + out.name + " are no object");
  for (const auto& [key, value] : labels->items()) {
    if (!value.is_string())
      return Error(ErrorKind::kMalformed, "a label of node " + out.name + " has a value that is no text");
    out.labels[key] = value.get<std::string>();
  }
  return out;
}

std::string label_patch(const NodeMetadata& node, const Labels& wanted) {
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
  auto object = parse(text);
  if (!object || object->value("kind", json()) != "Status") return {};
  const json message = object->value("message", json());
  return message.is_string() ? message.get<std::string>() : std::string();
}

}  // namespace enclayer::detect
