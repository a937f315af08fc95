// SPDX-License-Identifier: Apache-2.0
// What is found on nodes that are literal trees and tables of CPUID leaves, and the labels that say so.
#include "detect/findings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fake/device_nodes.h"
#include "fake/temp_folder.h"

namespace enclayer::detect {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;

// As on an Azure DC2s_v3: 8 GiB in one section, SGX2.
sgx::CpuidRegs azure(std::uint32_t leaf, std::uint32_t subleaf) {
  if (leaf == 0) return {0x1f, 0, 0, 0};
  if (leaf == 7) return {0, 1u << 2, 1u << 30, 0};
  if (leaf == 0x12 && subleaf == 0) return {0x3, 0, 0, 0x381f};
  if (leaf == 0x12 && subleaf == 2) return {0x80000001, 0x3, 0x00000001, 0x2};
  return {};
}
sgx::CpuidRegs no_sgx(std::uint32_t leaf, std::uint32_t) {
  return leaf == 0 ? sgx::CpuidRegs{0x1f, 0, 0, 0} : sgx::CpuidRegs{};
}

class FindingsTest : public testing::Test {
 protected:
  FindingsTest() {
    fs::create_directories(dev_);
    fs::create_directories(folder_.path() / "sys");
  }
  void device(const std::string& name) { fake::add_device(dev_, folder_.path() / "sys", name); }
  Findings found(const sgx::Cpuid& cpuid = azure) { return find(cpuid, dev_, folder_.path() / "sys"); }

  fake::TempFolder folder_;
  fs::path dev_ = folder_.path() / "dev";
};

TEST_F(FindingsTest, node_with_a_usable_device_gets_its_four_labels) {
  device("sgx_enclave");
  device("sgx_provision");
  auto here = found();
  EXPECT_TRUE(here.usable()) << here.why_not;
  EXPECT_EQ(here.nodes.size(), 2u);
  EXPECT_THAT(labels_of(here),
              ElementsAre(Pair("enclayer.io/epc-mib", "8192"), Pair("enclayer.io/platform", "hardware"),
                          Pair("enclayer.io/sgx", "true"), Pair("enclayer.io/sgx-driver", "in-kernel")));
}

TEST_F(FindingsTest, driver_is_named_as_a_label_names_it) {
  device("sgx/enclave");
  EXPECT_EQ(labels_of(found()).at("enclayer.io/sgx-driver"), "dcap");
  fs::remove_all(dev_ / "sgx");
  device("isgx");
  EXPECT_EQ(labels_of(found()).at("enclayer.io/sgx-driver"), "legacy");
}

TEST_F(FindingsTest, processor_alone_is_never_enough) {
  auto here = found();
  EXPECT_FALSE(here.usable());
  EXPECT_THAT(here.why_not, HasSubstr("driver is missing"));
  EXPECT_TRUE(here.cpu.sgx1) << "what is there is shown all the same";
  EXPECT_EQ(here.epc.mib(), 8192u);
  EXPECT_THAT(labels_of(here), IsEmpty());
}

TEST_F(FindingsTest, device_alone_is_not_enough_either) {
  device("sgx_enclave");
  auto here = found(no_sgx);
  EXPECT_THAT(here.why_not, HasSubstr("does not have SGX"));
  EXPECT_EQ(here.nodes.size(), 1u);
  EXPECT_EQ(here.epc.sections.size(), 0u);
  EXPECT_THAT(labels_of(here), IsEmpty());
}

TEST_F(FindingsTest, labels_go_when_the_device_goes_and_come_back_with_it) {
  device("sgx_enclave");
  EXPECT_THAT(labels_of(found()), testing::SizeIs(4));
  fs::remove(dev_ / "sgx_enclave");
  EXPECT_THAT(labels_of(found()), IsEmpty());
  fs::create_directory(dev_ / "sgx_enclave");  // what a hostPath leaves behind
  auto folder = found();
  EXPECT_THAT(folder.why_not, HasSubstr("not a character device"));
  ASSERT_EQ(folder.nodes.size(), 1u);
  EXPECT_EQ(folder.nodes[0].node.state, sgx::NodeState::kNotCharacterDevice);
  fs::remove(dev_ / "sgx_enclave");
  device("sgx_enclave");
  EXPECT_THAT(labels_of(found()), testing::SizeIs(4));
}

TEST_F(FindingsTest, node_with_somebody_elses_device_gets_no_label) {
  fake::add_stray_device(dev_, "sgx_enclave", "/dev/zero");
  auto here = found();
  EXPECT_THAT(here.why_not, HasSubstr("not the SGX driver's"));
  ASSERT_EQ(here.nodes.size(), 1u);
  EXPECT_EQ(here.nodes[0].node.state, sgx::NodeState::kOtherDevice);
  EXPECT_THAT(labels_of(here), IsEmpty());
}

TEST(Labels, simulated_node_says_so) {
  auto here = pretend(4ull << 30);
  EXPECT_TRUE(here.usable());
  EXPECT_THAT(here.notes, ElementsAre(HasSubstr("SIMULATED")));
  EXPECT_THAT(labels_of(here), ElementsAre(Pair("enclayer.io/epc-mib", "4096"), Pair("enclayer.io/platform", "sim"),
                                           Pair("enclayer.io/sgx", "true"), Pair("enclayer.io/sgx-driver", "sim")));
}

TEST(Labels, users_label_is_not_one_of_ours) {
  for (std::string_view key : own_labels()) EXPECT_NE(key, kSimLabel);
  for (const auto& [key, value] : labels_of(pretend(1 << 20))) {
    EXPECT_THAT(own_labels(), testing::Contains(key));
    EXPECT_LE(value.size(), 63u);
  }
}

}  // namespace
}  // namespace enclayer::detect
