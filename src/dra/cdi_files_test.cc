// SPDX-License-Identifier: Apache-2.0
#include "dra/cdi_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "fake/temp_folder.h"
#include "slots/slots.h"

namespace enclayer::dra {
namespace {

using Json = nlohmann::json;

const std::string kUid = "0f8fad5b-d9cb-469f-a165-70867728950e", kShare = "7c9e6679-7425-40de-944b-e07fc1f90ae7",
                  kOther = "11111111-2222-4333-8444-555555555555";

device_plugin::Node node() {
  return device_plugin::node_of_simulation("1Gi", "/dev/null", "/dev/zero", "/dev").value();
}

Allocation allocation() {
  return {
      {"bank", "c", kUid}, "ledger-0", {{"epc", "epc-numa0", kShare, 64, true}, {"pv", "provision", kOther, 0, false}}};
}

TEST(CdiSpec, gives_a_container_its_devices_under_both_paths_its_amount_and_its_slot) {
  const Json spec = Json::parse(cdi_spec(allocation(), node(), "/var/run/enclayer/quotes"));
  EXPECT_EQ(spec["cdiVersion"], "0.6.0");
  EXPECT_EQ(spec["kind"], "k8s.sgx.enclayer.io/epc");
  ASSERT_EQ(spec["devices"].size(), 2u);
  auto device = [](const char* path, const char* host_path) {
    return Json{{"path", path},
                {"hostPath", host_path},
                {"type", "c"},
                {"permissions", "rw"},
                {"fileMode", 0666},
                {"uid", 0},
                {"gid", node().enclave.look().group}};
  };
  EXPECT_EQ(spec["devices"][0],
            (Json{{"name", kUid + "-epc-numa0-" + kShare},
                  {"containerEdits",
                   {{"deviceNodes", {device("/dev/sgx_enclave", "/dev/null"), device("/dev/sgx/enclave", "/dev/null")}},
                    {"env", {"ENCLAYER_EPC_MIB=64", "ENCLAYER_PLATFORM=sim", "SGX_AESM_ADDR=1"}},
                    {"mounts",
                     {{{"hostPath", "/var/run/enclayer/quotes/" + kUid + ".epc"},
                       {"containerPath", "/var/run/aesmd"},
                       {"options", {"rbind", "ro", "nosuid", "nodev", "noexec"}}}}}}}}));
  const Json provision = spec["devices"][1]["containerEdits"];
  EXPECT_EQ(provision["deviceNodes"],
            (Json{device("/dev/sgx_provision", "/dev/zero"), device("/dev/sgx/provision", "/dev/zero")}));
  EXPECT_EQ(provision["env"], (Json{"ENCLAYER_PLATFORM=sim"}));
  EXPECT_FALSE(provision.contains("mounts"));
}

TEST(CdiSpec, says_nothing_of_a_simulation_on_real_nodes_and_mounts_nothing_where_no_quotes_are_asked_for) {
  auto real = node();
  real.simulated = false;
  auto without = allocation();
  without.shares[0].quotes = false;
  const Json spec = Json::parse(cdi_spec(without, real, "/slots"));
  EXPECT_EQ(spec["devices"][0]["containerEdits"]["env"], (Json{"ENCLAYER_EPC_MIB=64"}));
  EXPECT_FALSE(spec["devices"][0]["containerEdits"].contains("mounts"));
  EXPECT_FALSE(spec["devices"][1]["containerEdits"].contains("env"));
}

TEST(CdiSpec, leaves_out_a_provisioning_device_that_the_node_has_no_more) {
  auto without = node();
  without.provision.reset();
  EXPECT_EQ(Json::parse(cdi_spec(allocation(), without, "/slots"))["devices"].size(), 1u);
}

TEST(CdiSpec, is_named_as_the_kubelet_is_told) {
  EXPECT_EQ(cdi_id(kUid, allocation().shares[0]), "k8s.sgx.enclayer.io/epc=" + kUid + "-epc-numa0-" + kShare);
  EXPECT_TRUE(slots::is_slot_name(slot_of(kUid, {std::string(63, 'r'), "epc", kShare, 1, true})));
}

TEST(CdiFiles, come_and_go_with_their_claims_and_nobody_elses_are_touched) {
  fake::TempFolder folder;
  const CdiFiles files(folder.path() / "cdi");
  EXPECT_TRUE(files.claims().empty());
  ASSERT_TRUE(files.write(kUid, "one"));
  ASSERT_TRUE(files.write(kUid, "two"));
  folder.write("cdi/vendor.com-gpu.json", "{}");
  folder.write("cdi/k8s.sgx.enclayer.io-epc_mine.json", "{}");
  folder.write("cdi/k8s.sgx.enclayer.io-epc_" + kOther + ".yaml", "");
  const auto path = folder.path() / "cdi" / ("k8s.sgx.enclayer.io-epc_" + kUid + ".json");
  EXPECT_EQ(base::read_text(path, 100).value(), "two");
  EXPECT_EQ(base::Root(folder.path()).stat("cdi/" + path.filename().string())->st_mode & 07777, 0644u);
  EXPECT_THAT(files.claims(), testing::ElementsAre(kUid));
  EXPECT_TRUE(files.remove(kUid));
  EXPECT_TRUE(files.remove(kUid));
  EXPECT_TRUE(files.claims().empty());
  EXPECT_EQ(base::Root(folder.path()).list("cdi").size(), 3u);
}

}  // namespace
}  // namespace enclayer::dra
