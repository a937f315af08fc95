// SPDX-License-Identifier: Apache-2.0
#include "dra/resource_claim.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>

namespace enclayer::dra {
namespace {

using Json = nlohmann::json;
using testing::HasSubstr;

const std::string kUid = "0f8fad5b-d9cb-469f-a165-70867728950e", kShare = "7c9e6679-7425-40de-944b-e07fc1f90ae7",
                  kOther = "11111111-2222-4333-8444-555555555555";
const ClaimName kClaim{"bank", "ledger-0-epc", kUid};

NodeDevices node() {
  NodeDevices devices;
  devices.node = "n1";
  devices.sections = {{"epc-numa0", 0, 65'536}, {"epc-numa1", 1, 1'000}};
  devices.provision = true;
  return devices;
}

// As an API server of Kubernetes 1.36 has it.
Json claim() {
  return Json::parse(R"({
    "apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaim",
    "metadata": {"name": "ledger-0-epc", "namespace": "bank", "uid": ")" +
                     kUid + R"("},
    "spec": {"devices": {"requests": [
      {"name": "epc", "exactly": {"deviceClassName": "sgx-epc.enclayer.io", "allocationMode": "ExactCount", "count": 1,
                                  "capacity": {"requests": {"epc": "64Gi"}}}}]}},
    "status": {
      "allocation": {"devices": {"results": [
        {"request": "epc", "driver": "sgx.enclayer.io", "pool": "n1", "device": "epc-numa0",
         "shareID": ")" +
                     kShare + R"(", "consumedCapacity": {"epc": "64Gi"}}]}},
      "reservedFor": [{"resource": "pods", "name": "ledger-0", "uid": ")" +
                     kOther + R"("}]}})");
}

Json& result(Json& claim, std::size_t i = 0) { return claim["status"]["allocation"]["devices"]["results"][i]; }

Json parameters(const std::string& quotes) {
  return {{"apiVersion", kParametersVersion}, {"kind", kParametersKind}, {"quotes", quotes}};
}

void configure(Json& claim, const char* source, const Json& parameters, const std::vector<std::string>& requests = {}) {
  Json config = {{"source", source}, {"opaque", {{"driver", kDriver}, {"parameters", parameters}}}};
  if (!requests.empty()) config["requests"] = requests;
  claim["status"]["allocation"]["devices"]["config"].push_back(config);
}

// A second request and its result.
void add(Json& claim, const std::string& request, const std::string& device_class, const std::string& device,
         const std::string& amount = "") {
  claim["spec"]["devices"]["requests"].push_back({{"name", request}, {"exactly", {{"deviceClassName", device_class}}}});
  Json result = {{"request", request}, {"driver", kDriver}, {"pool", "n1"}, {"device", device}, {"shareID", kOther}};
  if (!amount.empty()) result["consumedCapacity"] = {{"epc", amount}};
  claim["status"]["allocation"]["devices"]["results"].push_back(result);
}

Result<Allocation> read(const Json& claim) { return allocation_of(claim.dump(), kClaim, node()); }

TEST(ResourceClaim, says_what_it_was_given_and_for_whom) {
  auto allocation = read(claim());
  ASSERT_TRUE(allocation) << allocation.error().message();
  EXPECT_EQ(*allocation, (Allocation{kClaim, "ledger-0", {{"epc", "epc-numa0", kShare, 65'536, false}}}));
}

TEST(ResourceClaim, of_other_drivers_as_well_is_read_for_ours) {
  Json both = claim();
  Json other = {{"request", "nic"}, {"driver", "nic.example"}, {"pool", 7}, {"device", "eth0"}};
  auto& results = both["status"]["allocation"]["devices"]["results"];
  results.insert(results.begin(), other);
  both["status"]["allocation"]["devices"]["config"] = {
      {{"source", "FromClaim"}, {"opaque", {{"driver", "nic.example"}, {"parameters", {{"kind", "Nic"}}}}}}};
  EXPECT_EQ(read(both).value().shares.size(), 1u);
  results.erase(1);
  EXPECT_EQ(read(both).error().kind(), ErrorKind::kInvalidArgument);
}

TEST(ResourceClaim, with_a_subrequest_is_known_by_its_request) {
  Json sub = claim();
  sub["spec"]["devices"]["requests"][0] = {{"name", "epc"},
                                           {"firstAvailable",
                                            {{{"name", "small"}, {"deviceClassName", kProvisionClass}},
                                             {{"name", "large"}, {"deviceClassName", kEpcClass}}}}};
  result(sub)["request"] = "epc/large";
  EXPECT_EQ(read(sub).value().shares.front().request, "epc");
  result(sub)["request"] = "epc/small";
  EXPECT_EQ(read(sub).error().kind(), ErrorKind::kPermissionDenied);
}

TEST(ResourceClaim, gets_the_provisioning_device_only_by_the_class_that_is_for_it) {
  Json both = claim();
  add(both, "pv", kProvisionClass, "provision");
  EXPECT_EQ(read(both).value().shares.at(1), (Share{"pv", "provision", kOther, 0, false}));
  for (const char* other : {kEpcClass, "anything.example", ""}) {
    both["spec"]["devices"]["requests"][1]["exactly"]["deviceClassName"] = other;
    EXPECT_EQ(read(both).error().kind(), ErrorKind::kPermissionDenied) << other;
  }
  both["spec"]["devices"]["requests"].erase(1);
  EXPECT_EQ(read(both).error().kind(), ErrorKind::kPermissionDenied);

  Json epc_by_it = claim();
  epc_by_it["spec"]["devices"]["requests"][0]["exactly"]["deviceClassName"] = kProvisionClass;
  EXPECT_EQ(read(epc_by_it).error().kind(), ErrorKind::kPermissionDenied);
  // A class of somebody's own, for EPC alone, is his business.
  epc_by_it["spec"]["devices"]["requests"][0]["exactly"]["deviceClassName"] = "large-epc.example";
  EXPECT_TRUE(read(epc_by_it));

  Json not_offered = claim();
  add(not_offered, "pv", kProvisionClass, "provision");
  NodeDevices without = node();
  without.provision = false;
  EXPECT_EQ(allocation_of(not_offered.dump(), kClaim, without).error().kind(), ErrorKind::kInvalidArgument);
}

TEST(ResourceClaim, gets_quotes_where_the_last_parameters_for_its_request_say_so) {
  auto quotes = [](const std::function<void(Json&)>& change) {
    Json json = claim();
    change(json);
    auto read_of = read(json);
    EXPECT_TRUE(read_of) << read_of.error().message();
    return read_of && read_of->shares.front().quotes;
  };
  EXPECT_TRUE(quotes([](Json& c) { configure(c, "FromClaim", parameters("Socket")); }));
  EXPECT_TRUE(quotes([](Json& c) { configure(c, "FromClaim", parameters("Socket"), {"epc"}); }));
  EXPECT_FALSE(quotes([](Json& c) { configure(c, "FromClaim", parameters("Socket"), {"other"}); }));
  EXPECT_FALSE(quotes([](Json& c) { configure(c, "FromClaim", parameters("None")); }));
  EXPECT_FALSE(quotes([](Json& c) {
    configure(c, "FromClass", parameters("Socket"));
    configure(c, "FromClaim", parameters("None"));
  }));
  EXPECT_FALSE(quotes([](Json& c) {
    configure(c, "FromClaim", {{"apiVersion", kParametersVersion}, {"kind", kParametersKind}});
  }));
}

TEST(ResourceClaim, has_quotes_for_one_request_at_most) {
  Json two = claim();
  add(two, "more", kEpcClass, "epc-numa1", "1Mi");
  configure(two, "FromClaim", parameters("Socket"));
  auto refused = read(two);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message(), HasSubstr("name one request"));
  two["status"]["allocation"]["devices"]["config"][0]["requests"] = {"more"};
  EXPECT_TRUE(read(two).value().shares.at(1).quotes);
  EXPECT_FALSE(read(two).value().shares.at(0).quotes);
}

TEST(ResourceClaim, with_parameters_that_break_their_schema_is_refused) {
  const std::vector<std::function<void(Json&)>> breaks = {
      [](Json& p) { p["apiVersion"] = "sgx.enclayer.io/v2"; },
      [](Json& p) { p["kind"] = "EpcParameter"; },
      [](Json& p) { p.erase("kind"); },
      [](Json& p) { p["quote"] = "Socket"; },
      [](Json& p) { p["quotes"] = true; },
      [](Json& p) { p["quotes"] = "socket"; },
      [](Json& p) { p["quotes"] = nullptr; },
      [](Json& p) { p = "quotes"; },
      [](Json& p) { p = Json::array({p}); },
  };
  for (const auto& change : breaks) {
    Json json = claim(), given = parameters("Socket");
    change(given);
    configure(json, "FromClaim", given);
    EXPECT_FALSE(read(json)) << given;
  }
}

TEST(ResourceClaim, that_says_anything_else_than_it_should_is_refused) {
  struct Case {
    std::function<void(Json&)> change;
    ErrorKind kind;
    const char* says;
  };
  const std::vector<Case> cases = {
      {[](Json& c) { c["metadata"]["uid"] = kOther; }, ErrorKind::kConflict, "deleted and made again"},
      {[](Json& c) { c["metadata"].erase("uid"); }, ErrorKind::kConflict, "UID ''"},
      {[](Json& c) { c["kind"] = "Pod"; }, ErrorKind::kMalformed, ""},
      {[](Json& c) { c.erase("status"); }, ErrorKind::kUnavailable, "nothing is allocated"},
      {[](Json& c) { c["status"]["allocation"]["devices"]["results"] = Json::array(); }, ErrorKind::kUnavailable, ""},
      {[](Json& c) { result(c)["pool"] = "n2"; }, ErrorKind::kInvalidArgument, "this node's is 'n1'"},
      {[](Json& c) { result(c)["device"] = "epc-numa7"; }, ErrorKind::kInvalidArgument, "does not offer it"},
      {[](Json& c) { result(c)["adminAccess"] = true; }, ErrorKind::kPermissionDenied, "administrative access"},
      {[](Json& c) { result(c).erase("shareID"); }, ErrorKind::kMalformed, "shareID"},
      {[](Json& c) { result(c)["shareID"] = "../../../etc/passwd"; }, ErrorKind::kMalformed, "shareID"},
      {[](Json& c) { result(c)["request"] = "../x"; }, ErrorKind::kMalformed, "request"},
      {[](Json& c) { result(c).erase("consumedCapacity"); }, ErrorKind::kInvalidArgument, "''"},
      {[](Json& c) {
         result(c)["consumedCapacity"] = {{"epc", "-5Mi"}};
       },
       ErrorKind::kInvalidArgument, "'-5Mi'"},
      {[](Json& c) {
         result(c)["consumedCapacity"] = {{"epc", "0"}};
       },
       ErrorKind::kInvalidArgument, "'0'"},
      {[](Json& c) {
         result(c)["consumedCapacity"] = {{"epc", "512Ki"}};
       },
       ErrorKind::kInvalidArgument, "'512Ki'"},
      {[](Json& c) {
         result(c)["consumedCapacity"] = {{"epc", "16E"}};
       },
       ErrorKind::kInvalidArgument, "'16E'"},
      {[](Json& c) {
         result(c)["consumedCapacity"] = {{"epc", 5}};
       },
       ErrorKind::kInvalidArgument, "''"},
      {[](Json& c) {
         result(c)["consumedCapacity"] = {{"epc", "65Gi"}};
       },
       ErrorKind::kExhausted, "65536 MiB"},
  };
  for (const Case& each : cases) {
    Json json = claim();
    each.change(json);
    auto refused = read(json);
    ASSERT_FALSE(refused) << json;
    EXPECT_EQ(refused.error().kind(), each.kind) << refused.error().message();
    EXPECT_THAT(refused.error().message(), HasSubstr(each.says));
    EXPECT_THAT(refused.error().message(), testing::StartsWith("claim bank/ledger-0-epc: "));
  }
}

TEST(ResourceClaim, with_more_results_than_kubernetes_allows_is_refused) {
  Json many = claim();
  auto& results = many["status"]["allocation"]["devices"]["results"];
  while (results.size() < kMostResults) results.push_back(results[0]);
  EXPECT_TRUE(read(many));
  results.push_back(results[0]);
  EXPECT_EQ(read(many).error().kind(), ErrorKind::kMalformed);
}

TEST(ResourceClaim, that_is_no_json_within_bounds_is_malformed) {
  EXPECT_EQ(allocation_of("", kClaim, node()).error().kind(), ErrorKind::kMalformed);
  EXPECT_EQ(allocation_of(std::string(kMostClaimBytes + 1, ' '), kClaim, node()).error().kind(), ErrorKind::kMalformed);
  EXPECT_EQ(
      allocation_of(R"({"a":)" + std::string(100, '[') + std::string(100, ']') + "}", kClaim, node()).error().kind(),
      ErrorKind::kMalformed);
}

TEST(ClaimName, is_checked_before_it_becomes_a_path) {
  EXPECT_TRUE(check_name(kClaim));
  for (const ClaimName& bad : {ClaimName{"", "a", kUid}, ClaimName{"a/b", "a", kUid}, ClaimName{"a", "..", kUid},
                               ClaimName{"a", "a?x", kUid}, ClaimName{"a", "a", "../0f8fad5b"},
                               ClaimName{"a", "a", "0F8FAD5B-D9CB-469F-A165-70867728950E"}, ClaimName{"a", "a", ""}})
    EXPECT_EQ(check_name(bad).error().kind(), ErrorKind::kInvalidArgument) << bad.name << bad.uid;
}

}  // namespace
}  // namespace enclayer::dra
