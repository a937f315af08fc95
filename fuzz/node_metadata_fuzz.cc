// SPDX-License-Identifier: Apache-2.0
// A Node as an API server answers with: whatever is accepted leads to a patch that names no key but ours and makes the
// labels right.
#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "detect/node_metadata.h"

using namespace enclayer;
using nlohmann::json;

namespace {
void check(bool holds) {
  if (!holds) std::abort();
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(size ? reinterpret_cast<const char*>(data) : "", size);
  check(detect::status_message(text).size() <= size);
  auto node = detect::parse_node_metadata(text);
  if (!node) {
    check(node.error().kind() == ErrorKind::kMalformed);
    return 0;
  }
  check(!node->name.empty() && !node->uid.empty() && !node->resource_version.empty());
  const auto keys = detect::own_labels();
  for (const detect::Labels& wanted : {detect::Labels(), detect::labels_of(detect::pretend(1ull << 33))}) {
    const std::string patch = detect::label_patch(*node, wanted);
    if (patch.empty()) continue;
    const json parsed = json::parse(patch);
    for (const auto& [key, value] : parsed["metadata"]["labels"].items()) {
      check(std::find(keys.begin(), keys.end(), key) != keys.end());
      if (value.is_null())
        node->labels.erase(key);
      else
        node->labels[key] = value.get<std::string>();
    }
    check(detect::label_patch(*node, wanted).empty());
  }
  return 0;
}
