// SPDX-License-Identifier: Apache-2.0
#include "dra/resource_slice.h"

#include <array>
#include <nlohmann/json.hpp>

#include "base/digest.h"
#include "base/json.h"
#include "base/malformed.h"
#include "base/printable.h"

namespace enclayer::dra {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kLongestName = 253;

// As the API server writes it, so that what comes back compares: the largest unit that leaves a whole number.
std::string quantity(std::uint64_t mib) {
  constexpr std::array<const char*, 4> kUnits = {"Mi", "Gi", "Ti", "Pi"};
  std::size_t unit = 0;
  for (; mib > 0 && mib % 1024 == 0 && unit + 1 < kUnits.size(); ++unit) mib /= 1024;
  return std::to_string(mib) + kUnits[unit];
}

Json attributes_of(const NodeDevices& devices, const char* kind) {
  return {{"kind", {{"string", kind}}}, {"simulated", {{"bool", devices.simulated}}}};
}

Json device_of(const NodeDevices& devices, const Section& section) {
  Json attributes = attributes_of(devices, kEpcKind);
  attributes["sgx2"] = {{"bool", devices.sgx2}};
  attributes["launchControl"] = {{"bool", devices.launch_control}};
  if (section.numa) {
    attributes["numaNode"] = {{"int", *section.numa}};
    attributes["resource.kubernetes.io/numaNode"] = {{"int", *section.numa}};  // by which CPUs and NICs align
  }
  // Minimum and step are the same, so that every reading of "a multiple of step" agrees (resource/v1 types.go and
  // validateRequestPolicyRange do not).
  Json policy = {{"default", quantity(std::min(kDefaultMib, section.mib))},
                 {"validRange", {{"min", "1Mi"}, {"step", "1Mi"}}}};
  return {{"name", section.device},
          {"allowMultipleAllocations", true},
          {"attributes", std::move(attributes)},
          {"capacity", {{kCapacity, {{"value", quantity(section.mib)}, {"requestPolicy", std::move(policy)}}}}}};
}

SeenSlice seen(const nlohmann::json& item, const base::JsonValue& value) {
  base::JsonValue metadata = value["metadata"];
  return {metadata["name"].text(), metadata["resourceVersion"].text(), value["spec"]["pool"]["generation"].number(),
          item.value("spec", nlohmann::json::object()).dump()};
}

std::string difference(const nlohmann::json& wanted, const nlohmann::json& found, const std::string& path) {
  if (wanted.is_object() && found.is_object()) {
    for (const auto& [key, value] : wanted.items()) {
      std::string here = path;
      if (!here.empty()) here += '.';
      here += key;
      auto there = found.find(key);
      if (there == found.end()) return here + " is missing";
      if (auto inner = difference(value, *there, here); !inner.empty()) return inner;
    }
    return {};
  }
  if (wanted.is_array() && found.is_array()) {
    if (wanted.size() != found.size())
      return path + " has " + std::to_string(found.size()) + " entries and not " + std::to_string(wanted.size());
    for (std::size_t i = 0; i < wanted.size(); ++i)
      if (auto inner = difference(wanted[i], found[i], path + "[" + std::to_string(i) + "]"); !inner.empty())
        return inner;
    return {};
  }
  if (wanted == found) return {};
  return path + " is " + base::printable(found.dump(-1, ' ', true), 100) + " and not " + wanted.dump();
}

}  // namespace

std::string slice_name(const std::string& node) {
  const std::string prefix = std::string("00000-") + kDriver + "-";
  return prefix + (prefix.size() + node.size() <= kLongestName ? node : base::sha256_hex(node));
}

std::string slice_spec(const NodeDevices& devices, std::uint64_t generation) {
  Json all = Json::array();
  for (const Section& section : devices.sections) all.push_back(device_of(devices, section));
  if (devices.provision)
    all.push_back({{"name", kProvisionDevice},
                   {"allowMultipleAllocations", true},
                   {"attributes", attributes_of(devices, kProvisionKind)}});
  Json spec = {{"driver", kDriver},
               {"nodeName", devices.node},
               {"pool", {{"name", devices.node}, {"generation", generation}, {"resourceSliceCount", 1}}}};
  if (!all.empty()) spec["devices"] = std::move(all);  // an empty pool says that the driver is up
  return spec.dump();
}

std::string slice_object(const std::string& node, const std::string& node_uid, const std::string& spec,
                         const std::string& resource_version) {
  Json owner = {{"apiVersion", "v1"}, {"kind", "Node"}, {"name", node}, {"uid", node_uid}, {"controller", true}};
  Json metadata = {{"name", slice_name(node)}, {"ownerReferences", Json::array({std::move(owner)})}};
  if (!resource_version.empty()) metadata["resourceVersion"] = resource_version;
  return Json{{"apiVersion", "resource.k8s.io/v1"},
              {"kind", "ResourceSlice"},
              {"metadata", std::move(metadata)},
              {"spec", Json::parse(spec)}}
      .dump();
}

Result<SeenSlice> parse_slice(std::string_view text) {
  ENCLAYER_TRY(auto document, base::JsonDocument::parse(text));
  ENCLAYER_CHECK(document.root().object("spec"));
  auto slice = seen(nlohmann::json::parse(text), document.root());
  if (slice.name.empty()) return base::malformed("what the API server answered is no ResourceSlice: it has no name");
  return slice;
}

Result<std::vector<SeenSlice>> parse_slices(std::string_view text) {
  ENCLAYER_TRY(auto document, base::JsonDocument::parse(text, base::JsonLimits{.values = 1 << 16}));
  const auto values = document.root()["items"].entries();
  const auto json = nlohmann::json::parse(text);
  if (document.root()["kind"].text() != "ResourceSliceList" || (!values.empty() && !json["items"].is_array()))
    return base::malformed("what the API server answered is no ResourceSliceList");
  std::vector<SeenSlice> slices;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto& item = json["items"][i];
    if (!item.is_object()) return base::malformed("a ResourceSliceList has an entry that is no object");
    slices.push_back(seen(item, values[i].second));
  }
  return slices;
}

std::string first_difference(std::string_view wanted, std::string_view found) {
  const auto should = nlohmann::json::parse(wanted), is = nlohmann::json::parse(found);
  // What the API server adds by itself is no difference; devices it never adds.
  if (!should.contains("devices") && is.contains("devices") && !is["devices"].empty())
    return "devices has entries, and should have none";
  return difference(should, is, "");
}

}  // namespace enclayer::dra
