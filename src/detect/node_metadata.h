// SPDX-License-Identifier: Apache-2.0
// What we read of a Node object, and the change that makes its labels what they should be.
#pragma once

#include <string>
#include <string_view>

#include "detect/findings.h"
#include "enclayer/bytes.h"
#include "enclayer/error.h"

namespace enclayer::detect {

struct NodeMetadata {
  std::string name, uid, resource_version;  // none is empty
  Labels labels;
  std::string runtime{};  // of a Node, "containerd://2.0.4"; empty where it does not say

  bool operator==(const NodeMetadata&) const = default;
};

// Of a Node, or of the PartialObjectMetadata that an API server makes of it when it is asked to. kMalformed otherwise;
// a label whose value is no text is malformed too, and so is what is longer or deeper than base::JsonDocument reads.
Result<NodeMetadata> parse_node_metadata(std::string_view json);

// A JSON merge patch (RFC 7386) that gives the node those of own_labels() that are in `wanted` and removes the others
// of them. It names no other key, and holds only for the object that was read: UID and resourceVersion are in it, so
// that the API server answers 409 when the node has changed. Empty when the labels are right.
std::string label_patch(const NodeMetadata& node, const Labels& wanted);

// The message of a Status object, which is how an API server says no; empty when this is none.
std::string status_message(std::string_view json);

// The same with the answer's status: "status 403 (\"nodes is forbidden\")".
std::string refusal_of(unsigned status, std::string_view body);

}  // namespace enclayer::detect
