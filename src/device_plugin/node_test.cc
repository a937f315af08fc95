// SPDX-License-Identifier: Apache-2.0
// What is offered of a node's EPC and devices.
#include "device_plugin/node.h"

#include <gtest/gtest.h>

#include <numeric>

#include "base/bytes.h"
#include "base/file.h"
#include "device_plugin/cdi.h"
#include "device_plugin/resources.h"
#include "fake/device_nodes.h"
#include "fake/temp_folder.h"
#include "proto/deviceplugin.pb.h"

namespace enclayer::device_plugin {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kGib = std::uint64_t{1} << 30;

#define EXPECT_NAMES(message, part) EXPECT_NE((message).find(part), std::string::npos) << (message)

class NodeTest : public testing::Test {
 protected:
  NodeTest() {
    fs::create_directories(dev_);
    fs::create_directories(sys_);
  }

  Node node_with(std::uint64_t epc_bytes, const sgx::Driver& driver = sgx::in_kernel_driver()) {
    Node node;
    node.epc_bytes = epc_bytes;
    auto device = [&](const char* name, std::string_view below_dev, std::span<const std::string_view> paths) {
      if (!fs::exists(dev_ / below_dev)) fake::add_device(dev_, sys_, std::string(below_dev));
      return Device{name, "/dev/" + std::string(below_dev), dev_ / below_dev, {paths.begin(), paths.end()}, sys_};
    };
    node.enclave = device("enclave", driver.enclave, driver.enclave_paths);
    if (!driver.provision.empty()) node.provision = device("provision", driver.provision, driver.provision_paths);
    return node;
  }

  void numa_epc(int node, const std::string& bytes) {
    fs::path file = sys_ / ("devices/system/node/node" + std::to_string(node)) / "x86/sgx_total_bytes";
    fs::create_directories(file.parent_path());
    ASSERT_TRUE(base::write_file_atomic(file, base::as_bytes(bytes), 0444));
  }

  Result<kubelet::DeviceList> devices_of(std::uint64_t epc_bytes, const EpcShare& share, bool numa = false) {
    ENCLAYER_TRY(const EpcParts parts, epc_parts(epc_bytes, share));
    return epc_devices(parts.plugin_mib, parts, numa, sys_);
  }
  Result<std::size_t> offered(std::uint64_t epc_bytes, const EpcShare& share, bool numa = false) {
    auto devices = devices_of(epc_bytes, share, numa);
    if (!devices) return devices.error();
    return devices->count();
  }
  static std::map<std::int64_t, std::size_t> by_numa(const kubelet::DeviceList& devices) {
    v1beta1::ListAndWatchResponse list;
    EXPECT_TRUE(list.ParseFromArray(devices.bytes()->data(), static_cast<int>(devices.bytes()->size())));
    std::map<std::int64_t, std::size_t> count;
    for (const auto& device : list.devices()) ++count[device.topology().nodes(0).id()];
    return count;
  }

  static kubelet::Grant granted(const Result<Offer>& offer) {
    EXPECT_TRUE(offer) << offer.error().message();
    const std::size_t first = 0;
    auto grant = offer->plugin.allocate(std::span(&first, 1));
    EXPECT_TRUE(grant) << grant.error().message();
    return *grant;
  }

  static std::vector<std::string> paths_of(const kubelet::Grant& grant) {
    std::vector<std::string> paths;
    for (const auto& device : grant.devices) {
      EXPECT_EQ(device.permissions, "rw");
      paths.push_back(device.container_path + " at " + device.host_path);
    }
    return paths;
  }

  static kubelet::DeviceList some() { return kubelet::DeviceList::of(8).value(); }

  fake::TempFolder folder_;
  fs::path dev_ = folder_.path() / "dev", sys_ = folder_.path() / "sys";
};

TEST_F(NodeTest, epc_is_offered_in_whole_mib_rounded_down) {
  EXPECT_EQ(offered(8 * kGib, {}).value(), 8192u);
  EXPECT_EQ(offered(98'566'144, {}).value(), 94u);
  EXPECT_EQ(offered(2 * sgx::kMiB - 1, {}).value(), 1u);
}

TEST_F(NodeTest, maximum_caps_and_reserve_keeps_back) {
  EXPECT_EQ(offered(8 * kGib, {4 * kGib, 0}).value(), 4096u);
  EXPECT_EQ(offered(8 * kGib, {16 * kGib, 0}).value(), 8192u);
  EXPECT_EQ(offered(8 * kGib, {std::nullopt, kGib + 1}).value(), 7167u) << "half a MiB is not offered";
  EXPECT_EQ(offered(8 * kGib, {kGib * 7 + kGib / 2, kGib}).value(), 7168u);
}

TEST_F(NodeTest, nothing_left_to_offer_is_refused_with_both_amounts) {
  for (std::uint64_t reserve : {8 * kGib, 8 * kGib - 1, ~std::uint64_t{0}}) {
    auto refused = offered(8 * kGib, {std::nullopt, reserve});
    ASSERT_FALSE(refused);
    EXPECT_NAMES(refused.error().message(), "--reserve-epc");
    EXPECT_NAMES(refused.error().message(), std::to_string(8 * kGib));
  }
  EXPECT_NAMES(offered(8 * kGib, {sgx::kMiB - 1, 0}).error().message(), "--max-epc");
}

TEST_F(NodeTest, more_epc_than_fits_is_refused_unless_it_is_capped_on_purpose) {
  auto refused = offered(512 * kGib, {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kExhausted);
  EXPECT_NAMES(refused.error().message(), "524288 MiB");
  EXPECT_NAMES(refused.error().message(), "--max-epc 256Gi");
  EXPECT_EQ(offered(512 * kGib, {256 * kGib, 0}).value(), 262'144u);
}

TEST_F(NodeTest, numa_hints_follow_what_the_kernel_says_of_each_node) {
  numa_epc(0, "4294967296\n");
  numa_epc(1, "0\n");
  numa_epc(2, "12884901888\n");
  auto devices = devices_of(16 * kGib, {8 * kGib}, true);
  ASSERT_TRUE(devices) << devices.error().message();
  EXPECT_EQ(by_numa(*devices), (std::map<std::int64_t, std::size_t>{{0, 2048}, {2, 6144}}));
}

TEST_F(NodeTest, the_drivers_part_is_an_amount_or_a_percentage_in_whole_mib_rounded_down) {
  auto driver = [](const char* text, std::uint64_t mib, std::uint64_t helper = 0) {
    auto parts = epc_parts(mib * sgx::kMiB + 5, {std::nullopt, 0, text, helper});
    EXPECT_TRUE(parts) << parts.error().message();
    EXPECT_EQ(parts->all_mib(), mib) << text;
    return parts->driver_mib;
  };
  EXPECT_EQ(driver("0", 16), 0u);
  EXPECT_EQ(driver("0%", 16), 0u);
  EXPECT_EQ(driver("64Gi", std::uint64_t{256} << 10), 64u << 10);
  EXPECT_EQ(driver("2097151", 16), 1u);
  EXPECT_EQ(driver("50%", 8192), 4095u) << "of all but the 1 MiB that the plugin keeps";
  EXPECT_EQ(driver("100%", 8192), 8191u);
  EXPECT_EQ(driver("100%", 8192, 20), 8172u) << "the quote helper's EPC stays with the plugin";
  EXPECT_EQ(driver("100%", 10, 20), 0u);
  EXPECT_EQ(driver("99%", std::uint64_t{1} << 43), ((std::uint64_t{1} << 43) - 1) / 100 * 99 + 6);
}

TEST_F(NodeTest, a_drivers_part_that_is_none_or_leaves_too_little_is_refused_with_the_values) {
  for (const char* text : {"", "%", "101%", "-1%", "50 %", "1.5%", "8G", "-1Gi", "16777217Ti"}) {
    auto refused = epc_parts(16 * sgx::kMiB, {std::nullopt, 0, text});
    ASSERT_FALSE(refused) << text;
    EXPECT_EQ(refused.error().kind(), ErrorKind::kInvalidArgument) << text;
  }
  const std::string all = epc_parts(16 * sgx::kMiB, {std::nullopt, 0, "16Mi"}).error().message();
  EXPECT_NAMES(all, "pods may have 16 MiB");
  EXPECT_NAMES(all, "15Mi at most");
  const std::string helper = epc_parts(16 * sgx::kMiB, {std::nullopt, 0, "7Mi", 10}).error().message();
  EXPECT_NAMES(helper, "keeps 10 MiB of them for the quote helper");
  EXPECT_NAMES(helper, "6Mi at most");
  EXPECT_EQ(epc_parts(16 * sgx::kMiB, {std::nullopt, 0, "6Mi", 10})->driver_mib, 6u);
}

TEST_F(NodeTest, the_parts_of_each_numa_node_add_up_too) {
  numa_epc(0, "4294967296\n");
  numa_epc(1, "1048576\n");
  numa_epc(2, "12884901888\n");
  const std::vector<std::uint64_t> bytes = {4294967296, 1048576, 12884901888};
  for (const char* part : {"0", "1Mi", "33%", "50%", "8191Mi", "97%", "100%"}) {
    const EpcParts parts = epc_parts(16 * kGib, {std::nullopt, 0, part, 20}).value();
    const NumaParts numa = numa_parts(parts, bytes);
    auto plugin = by_numa(epc_devices(parts.plugin_mib, parts, true, sys_).value());
    for (std::size_t i = 0; i < bytes.size(); ++i)
      EXPECT_EQ(plugin[static_cast<std::int64_t>(i)] + numa.driver_mib[i], numa.all_mib[i]) << part << ", node " << i;
  }
}

TEST_F(NodeTest, numa_hints_that_cannot_be_told_are_refused) {
  EXPECT_NAMES(offered(8 * kGib, {}, true).error().message(), "--numa");
  numa_epc(0, "0\n");
  EXPECT_NAMES(offered(8 * kGib, {}, true).error().message(), "no NUMA node has EPC");
  numa_epc(0, "274877906944\n");
  auto refused = offered(256 * kGib, {}, true);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kExhausted);
  EXPECT_NAMES(refused.error().message(), "--max-epc 180Gi");
  EXPECT_TRUE(offered(256 * kGib, {180 * kGib}, true));
}

TEST_F(NodeTest, shares_always_add_up) {
  for (const std::vector<std::uint64_t>& bytes :
       {std::vector<std::uint64_t>{1}, {1, 1, 1}, {0, 7, 0, 3}, {~0ull, ~0ull, 1}, {3, 0}}) {
    for (std::size_t mib : {0u, 1u, 2u, 10u, 262'144u}) {
      auto shares = spread(mib, bytes);
      EXPECT_EQ(std::accumulate(shares.begin(), shares.end(), std::size_t{0}), mib);
      for (std::size_t i = 0; i < bytes.size(); ++i) EXPECT_TRUE(bytes[i] > 0 || shares[i] == 0);
    }
  }
}

TEST_F(NodeTest, container_with_epc_gets_the_device_under_the_names_that_programs_of_its_driver_look_for) {
  auto of_driver = [&](std::size_t i) {
    return paths_of(granted(offer_epc("example.com/epc", some(), node_with(kGib, sgx::drivers()[i]), {})));
  };
  using Paths = std::vector<std::string>;
  EXPECT_EQ(of_driver(0), (Paths{"/dev/sgx_enclave at /dev/sgx_enclave", "/dev/sgx/enclave at /dev/sgx_enclave"}));
  EXPECT_EQ(of_driver(1), (Paths{"/dev/sgx_enclave at /dev/sgx/enclave", "/dev/sgx/enclave at /dev/sgx/enclave"}));
  EXPECT_EQ(of_driver(2), (Paths{"/dev/isgx at /dev/isgx"}));
}

TEST_F(NodeTest, provisioning_device_is_given_for_its_own_resource_or_in_the_compatibility_mode_only) {
  Node node = node_with(kGib);
  using Paths = std::vector<std::string>;
  const Paths provision = {"/dev/sgx_provision at /dev/sgx_provision", "/dev/sgx/provision at /dev/sgx_provision"};
  EXPECT_EQ(paths_of(granted(offer_enclave(3, node, {}))).size(), 2u);
  EXPECT_EQ(paths_of(granted(offer_provision(3, node, {}))), provision);
  auto both = paths_of(granted(offer_epc("example.com/epc", some(), node, {true})));
  ASSERT_EQ(both.size(), 4u);
  EXPECT_EQ(Paths(both.begin() + 2, both.end()), provision);
}

TEST_F(NodeTest, provisioning_device_that_is_not_there_is_an_error_that_names_the_flag) {
  Node legacy = node_with(kGib, sgx::drivers()[2]);
  EXPECT_NAMES(offer_provision(1, legacy, {}).error().message(), "--provision-limit");
  EXPECT_NAMES(offer_epc("example.com/epc", some(), legacy, {true}).error().message(), "--provision-with-epc");
  Node gone = node_with(kGib);
  fs::remove(dev_ / "sgx_provision");
  EXPECT_NAMES(offer_epc("example.com/epc", some(), gone, {true}).error().message(), "sgx_provision");
  auto offer = offer_provision(1, gone, {});
  ASSERT_TRUE(offer) << "it may come later";
  EXPECT_NAMES(offer->why_not(), "sgx_provision");
}

TEST_F(NodeTest, device_that_has_vanished_is_never_given) {
  auto offer = offer_epc("example.com/epc", some(), node_with(kGib), {});
  EXPECT_EQ(offer->why_not(), "");
  fs::remove(dev_ / "sgx_enclave");
  EXPECT_NAMES(offer->why_not(), (dev_ / "sgx_enclave").string() + " cannot be given: missing");
  const std::size_t first = 0;
  auto refused = offer->plugin.allocate(std::span(&first, 1));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kUnavailable);
  fs::create_directory(dev_ / "sgx_enclave");
  EXPECT_NAMES(offer->why_not(), "not a character device");
}

TEST_F(NodeTest, device_that_is_not_the_drivers_is_never_given) {
  auto offer = offer_epc("example.com/epc", some(), node_with(kGib), {});
  EXPECT_EQ(offer->why_not(), "");
  fs::remove(dev_ / "sgx_enclave");
  fake::add_stray_device(dev_, "sgx_enclave", "/dev/full");
  fake::call_device(sys_, "mem", "/dev/full");
  EXPECT_NAMES(offer->why_not(), (dev_ / "sgx_enclave").string() + " cannot be given: not the SGX driver's device");
  EXPECT_NAMES(offer->why_not(), "1:7 (mem)");
  const std::size_t first = 0;
  auto refused = offer->plugin.allocate(std::span(&first, 1));
  ASSERT_FALSE(refused);
  EXPECT_NAMES(refused.error().message(), "1:7 (mem)");
  fs::remove(dev_ / "sgx_enclave");
  fake::add_device(dev_, sys_, "sgx_enclave");
  EXPECT_EQ(offer->why_not(), "") << "and it is given again once it is";
}

TEST_F(NodeTest, quote_resource_hands_over_the_folder_of_an_aesmd_read_only_and_the_variable) {
  auto grant = granted(offer_aesmd(110, folder_.path(), true));
  EXPECT_TRUE(grant.devices.empty());
  ASSERT_EQ(grant.mounts.size(), 1u);
  EXPECT_EQ(grant.mounts[0].container_path, "/var/run/aesmd");
  EXPECT_EQ(grant.mounts[0].host_path, folder_.path().string());
  EXPECT_TRUE(grant.mounts[0].read_only);
  EXPECT_EQ(grant.envs, (std::map<std::string, std::string>{{"SGX_AESM_ADDR", "1"}, {"ENCLAYER_PLATFORM", "sim"}}));
  EXPECT_EQ(granted(offer_aesmd(110, folder_.path(), false)).envs.count("ENCLAYER_PLATFORM"), 0u);
}

TEST_F(NodeTest, quote_resource_without_a_helper_says_what_is_missing) {
  auto offer = offer_aesmd(110, folder_.path() / "none", false);
  EXPECT_NAMES(offer->why_not(), "none/aesm.socket");
  const std::size_t first = 0;
  EXPECT_EQ(offer->plugin.allocate(std::span(&first, 1)).error().kind(), ErrorKind::kUnavailable);
}

TEST_F(NodeTest, cdi_device_is_named_beside_the_plain_one_and_has_a_mode_for_everybody) {
  Node node = node_with(kGib);
  auto grant = granted(offer_epc("example.com/epc", some(), node, {true, true}));
  EXPECT_EQ(grant.cdi_devices, (std::vector<std::string>{"enclayer.io/sgx=enclave", "enclayer.io/sgx=provision"}));
  EXPECT_EQ(grant.devices.size(), 4u) << "a runtime without CDI needs them";

  const fs::path folder = folder_.path() / "cdi";
  const std::vector<Device> devices = {node.enclave, *node.provision};
  ASSERT_TRUE(write_cdi_spec(folder, devices));
  auto text = base::read_text(folder / "enclayer.io-sgx.json", 65536);
  ASSERT_TRUE(text) << text.error().message();
  for (const char* part :
       {R"("cdiVersion": "0.5.0")", R"("kind": "enclayer.io/sgx")", R"("name": "enclave")",
        R"("path": "/dev/sgx/provision")", R"("hostPath": "/dev/sgx_provision")", R"("fileMode": 438)", R"("gid": 0)"})
    EXPECT_NAMES(*text, part);

  auto before = base::Root(folder).stat("enclayer.io-sgx.json");
  ASSERT_TRUE(write_cdi_spec(folder, devices));
  EXPECT_EQ(base::Root(folder).stat("enclayer.io-sgx.json")->st_ino, before->st_ino) << "the same text is written once";
}

TEST_F(NodeTest, cdi_folder_that_cannot_be_made_is_an_error_with_its_path) {
  Node node = node_with(kGib);
  ASSERT_TRUE(base::write_file_atomic(folder_.path() / "file", {}, 0644));
  EXPECT_NAMES(write_cdi_spec(folder_.path() / "file/cdi", std::span(&node.enclave, 1)).error().message(), "file/cdi");
}

}  // namespace
}  // namespace enclayer::device_plugin
