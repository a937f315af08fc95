// SPDX-License-Identifier: Apache-2.0
// What the settings that are maps or lists may hold: Kubernetes' syntax of labels, taints, names and amounts, written
// once as JSON Schema (entries.schema.json), by which the Helm chart refuses a value and so do we.
#pragma once

#include <string>
#include <string_view>

namespace enclayer::manifests {

// JSON: one object, what "#/definitions" of the chart's schema is. A setting's schema has the setting's name.
std::string_view entries_schema();

// The entry at fault and what it should be: "a b is no value of a label: ...". Empty: nothing is wrong. `json` is the
// value of the setting of that name.
std::string wrong_entry(std::string_view setting, const std::string& json);

}  // namespace enclayer::manifests
