// SPDX-License-Identifier: Apache-2.0
#include "dra/resource_slice.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace enclayer::dra {
namespace {

using Json = nlohmann::json;

NodeDevices node() {
  NodeDevices devices;
  devices.node = "n1";
  devices.sections = {{"epc-numa0", 0, 65'536}, {"epc-numa1", 1, 1'000}};
  devices.provision = true;
  devices.sgx2 = true;
  return devices;
}

TEST(ResourceSlice, says_what_the_node_offers) {
  EXPECT_EQ(Json::parse(slice_spec(node(), 7)), Json::parse(R"({
    "driver": "sgx.enclayer.io", "nodeName": "n1",
    "pool": {"name": "n1", "generation": 7, "resourceSliceCount": 1},
    "devices": [
      {"name": "epc-numa0", "allowMultipleAllocations": true,
       "attributes": {"kind": {"string": "epc"}, "simulated": {"bool": false}, "sgx2": {"bool": true},
                      "launchControl": {"bool": false}, "numaNode": {"int": 0},
                      "resource.kubernetes.io/numaNode": {"int": 0}},
       "capacity": {"epc": {"value": "64Gi", "requestPolicy": {"default": "16Mi",
                            "validRange": {"min": "1Mi", "step": "1Mi"}}}}},
      {"name": "epc-numa1", "allowMultipleAllocations": true,
       "attributes": {"kind": {"string": "epc"}, "simulated": {"bool": false}, "sgx2": {"bool": true},
                      "launchControl": {"bool": false}, "numaNode": {"int": 1},
                      "resource.kubernetes.io/numaNode": {"int": 1}},
       "capacity": {"epc": {"value": "1000Mi", "requestPolicy": {"default": "16Mi",
                            "validRange": {"min": "1Mi", "step": "1Mi"}}}}},
      {"name": "provision", "allowMultipleAllocations": true,
       "attributes": {"kind": {"string": "provision"}, "simulated": {"bool": false}}}]})"));
}

TEST(ResourceSlice, of_a_small_section_has_a_default_that_lies_in_it) {
  NodeDevices devices;
  devices.sections = {{"epc", std::nullopt, 5}};
  const Json device = Json::parse(slice_spec(devices, 1))["devices"][0];
  EXPECT_EQ(device["capacity"]["epc"]["requestPolicy"]["default"], "5Mi");
  EXPECT_FALSE(device["attributes"].contains("numaNode"));
}

TEST(ResourceSlice, without_devices_says_that_the_driver_is_up) {
  NodeDevices devices;
  devices.node = "n1";
  const Json spec = Json::parse(slice_spec(devices, 1));
  EXPECT_FALSE(spec.contains("devices"));
  EXPECT_EQ(spec["pool"]["resourceSliceCount"], 1);
}

TEST(ResourceSlice, that_has_devices_and_should_have_none_differs) {
  NodeDevices none = node();
  none.sections.clear();
  none.provision = false;
  EXPECT_NE(first_difference(slice_spec(none, 7), slice_spec(node(), 7)), "");
  EXPECT_EQ(first_difference(slice_spec(none, 7), slice_spec(none, 7)), "");
}

TEST(ResourceSlice, belongs_to_its_node_and_has_its_name) {
  const Json object = Json::parse(slice_object("n1", "u-1", slice_spec(node(), 1), "42"));
  EXPECT_EQ(object["metadata"], Json::parse(R"({"name": "00000-sgx.enclayer.io-n1", "resourceVersion": "42",
      "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "u-1", "controller": true}]})"));
  EXPECT_FALSE(Json::parse(slice_object("n1", "u-1", "{}", ""))["metadata"].contains("resourceVersion"));
  EXPECT_EQ(slice_name(std::string(231, 'a')).size(), 253u);
  EXPECT_EQ(slice_name(std::string(232, 'a')).size(), 22u + 64);
  EXPECT_NE(slice_name(std::string(232, 'a')), slice_name(std::string(233, 'a')));
}

TEST(ResourceSlice, what_comes_back_is_the_same_with_the_api_servers_own_fields) {
  Json found = Json::parse(slice_spec(node(), 7));
  found["allNodes"] = false;
  found["devices"][0]["bindsToNode"] = false;
  EXPECT_EQ(first_difference(slice_spec(node(), 7), found.dump()), "");
}

TEST(ResourceSlice, names_the_first_field_that_was_dropped_or_changed) {
  const std::string wanted = slice_spec(node(), 7);
  auto after = [&](auto change) {
    Json found = Json::parse(wanted);
    change(found);
    return first_difference(wanted, found.dump());
  };
  EXPECT_EQ(after([](Json& spec) { spec["devices"][1].erase("allowMultipleAllocations"); }),
            "devices[1].allowMultipleAllocations is missing");
  EXPECT_EQ(after([](Json& spec) { spec["devices"][0]["capacity"]["epc"].erase("requestPolicy"); }),
            "devices[0].capacity.epc.requestPolicy is missing");
  EXPECT_EQ(after([](Json& spec) { spec["devices"].erase(2); }), "devices has 2 entries and not 3");
  EXPECT_EQ(after([](Json& spec) { spec["pool"]["generation"] = 8; }), "pool.generation is 8 and not 7");
  EXPECT_EQ(after([](Json& spec) { spec["devices"] = "none"; }).substr(0, 21), "devices is \"none\" and");
}

TEST(ResourceSlice, is_read_from_an_answer_and_from_a_list) {
  const std::string object = slice_object("n1", "u-1", slice_spec(node(), 7), "42");
  auto slice = parse_slice(object);
  ASSERT_TRUE(slice) << slice.error().message();
  EXPECT_EQ(slice->name, "00000-sgx.enclayer.io-n1");
  EXPECT_EQ(slice->resource_version, "42");
  EXPECT_EQ(slice->generation, 7u);
  EXPECT_EQ(first_difference(slice_spec(node(), 7), slice->spec), "");

  auto list = parse_slices(R"({"kind": "ResourceSliceList", "items": [)" + object + "]}");
  ASSERT_TRUE(list) << list.error().message();
  ASSERT_EQ(list->size(), 1u);
  EXPECT_EQ(list->front().generation, 7u);
  EXPECT_TRUE(parse_slices(R"({"kind": "ResourceSliceList", "items": null})")->empty());
}

TEST(ResourceSlice, that_is_none_is_malformed) {
  for (const char* text : {"", "[]", "{}", R"({"spec": {}})", R"({"spec": 1, "metadata": {"name": "n"}})"})
    EXPECT_FALSE(parse_slice(text)) << text;
  for (const char* text : {"", "[]", "{}", R"({"kind": "Status"})", R"({"kind": "ResourceSliceList", "items": [1]})",
                           R"({"kind": "ResourceSliceList", "items": {"a": "b"}})"})
    EXPECT_FALSE(parse_slices(text)) << text;
}

}  // namespace
}  // namespace enclayer::dra
