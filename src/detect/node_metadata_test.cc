// SPDX-License-Identifier: Apache-2.0
#include "detect/node_metadata.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace enclayer::detect {
namespace {

using nlohmann::json;
using testing::HasSubstr;

const Labels kWanted = {{"enclayer.io/sgx", "true"},
                        {"enclayer.io/epc-mib", "8192"},
                        {"enclayer.io/sgx-driver", "in-kernel"},
                        {"enclayer.io/platform", "hardware"}};

json node(json labels) {
  return {{"kind", "PartialObjectMetadata"},
          {"metadata", {{"name", "n1"}, {"uid", "u-1"}, {"resourceVersion", "17"}, {"labels", std::move(labels)}}}};
}

NodeMetadata read(const json& object) {
  auto out = parse_node_metadata(object.dump());
  EXPECT_TRUE(out) << out.error().message();
  return out.value_or(NodeMetadata{});
}

TEST(NodeMetadata, reads_what_it_needs_among_all_that_a_node_has) {
  json object = node({{"a", "b"}});
  object["metadata"]["managedFields"] = json::array({{{"fieldsV1", {{"f:metadata", {{"f:labels", "deep"}}}}}}});
  object["metadata"]["annotations"] = {{"name", "not this one"}};
  object["spec"] = {{"metadata", {{"name", "nor this one"}}}};
  object["status"] = {{"images", json::array({json::array({json::array()})})}};
  EXPECT_EQ(read(object), (NodeMetadata{"n1", "u-1", "17", {{"a", "b"}}}));
}

TEST(NodeMetadata, node_with_as_many_annotations_as_it_may_have_is_read) {
  json object = node({{"a", "b"}});
  json managed = json::object();
  for (int i = 0; i < 10'000; ++i) {
    const std::string key = "example.com/annotation-" + std::to_string(i);
    object["metadata"]["annotations"][key] = "";
    managed["f:metadata"]["f:annotations"]["f:" + key] = json::object();
  }
  object["metadata"]["managedFields"] = json::array({{{"fieldsV1", managed}}});
  EXPECT_EQ(read(object).labels, (Labels{{"a", "b"}}));
}

TEST(NodeMetadata, what_is_deeper_than_any_node_is_malformed_and_not_read_to_its_end) {
  std::string deep = node({{"a", "b"}}).dump();
  deep.insert(1, "\"x\":" + std::string(100'000, '[') + std::string(100'000, ']') + ",");
  auto refused = parse_node_metadata(deep);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kMalformed);
  EXPECT_THAT(refused.error().message(), HasSubstr("nests deeper"));
}

TEST(NodeMetadata, node_without_labels_has_none) {
  json object = node({});
  EXPECT_TRUE(read(object).labels.empty());
  object["metadata"].erase("labels");
  EXPECT_TRUE(read(object).labels.empty());
}

TEST(NodeMetadata, what_is_no_node_is_malformed) {
  for (const char* text :
       {"", "null", "[]", "17", "{", "{}", R"({"metadata":1})", R"({"metadata":{}})",
        R"({"metadata":{"name":"n1","uid":"u"}})", R"({"metadata":{"name":"n1","uid":"","resourceVersion":"1"}})",
        R"({"metadata":{"name":["n1"],"uid":"u","resourceVersion":"1"}})",
        R"({"metadata":{"name":"n1","uid":"u","resourceVersion":"1","labels":[]}})",
        R"({"metadata":{"name":"n1","uid":"u","resourceVersion":"1","labels":{"a":1}}})",
        R"({"metadata":{"name":"n1","uid":"u","resourceVersion":"1"}} x)"}) {
    auto refused = parse_node_metadata(text);
    ASSERT_FALSE(refused) << text;
    EXPECT_EQ(refused.error().kind(), ErrorKind::kMalformed) << text;
  }
}

TEST(LabelPatch, names_what_differs_and_the_object_that_it_is_for) {
  auto patch = json::parse(label_patch(
      read(node({{"enclayer.io/sgx", "true"}, {"enclayer.io/epc-mib", "4096"}, {"enclayer.io/sim", "true"}})),
      kWanted));
  EXPECT_EQ(patch, (json{{"metadata",
                          {{"uid", "u-1"},
                           {"resourceVersion", "17"},
                           {"labels",
                            {{"enclayer.io/epc-mib", "8192"},
                             {"enclayer.io/sgx-driver", "in-kernel"},
                             {"enclayer.io/platform", "hardware"}}}}}}));
}

TEST(LabelPatch, removes_our_labels_and_nobody_elses) {
  auto is = read(node({{"enclayer.io/sgx", "true"},
                       {"enclayer.io/platform", "sim"},
                       {"enclayer.io/sim", "true"},
                       {"enclayer.io/other", "x"},
                       {"kubernetes.io/os", "linux"}}));
  auto patch = json::parse(label_patch(is, {}));
  EXPECT_EQ(patch["metadata"]["labels"], (json{{"enclayer.io/sgx", nullptr}, {"enclayer.io/platform", nullptr}}));
}

TEST(LabelPatch, there_is_none_when_all_is_right) {
  json labels = kWanted;
  labels["enclayer.io/sim"] = "true";
  EXPECT_EQ(label_patch(read(node(labels)), kWanted), "");
  EXPECT_EQ(label_patch(read(node({{"enclayer.io/sim", "true"}})), {}), "");
}

TEST(StatusMessage, is_what_an_api_server_says) {
  EXPECT_EQ(status_message(R"({"kind":"Status","metadata":{},"message":"nodes \"n2\" is forbidden","code":403})"),
            "nodes \"n2\" is forbidden");
  for (const char* other : {"", "Unauthorized", "{}", R"({"kind":"Status"})", R"({"kind":"Node","message":"x"})",
                            R"({"kind":"Status","message":["x"]})"})
    EXPECT_EQ(status_message(other), "") << other;
}

}  // namespace
}  // namespace enclayer::detect
