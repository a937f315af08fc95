// SPDX-License-Identifier: Apache-2.0
// CPUID, EPC sections, device nodes and the platform made of them. A node is a literal tree and a table of CPUID
// leaves.
#include "sgx/platform.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <map>
#include <utility>

#include "base/bytes.h"
#include "fake/device_nodes.h"
#include "fake/temp_folder.h"

namespace enclayer::sgx {
namespace {

namespace fs = std::filesystem;

constexpr std::uint32_t kLeaf = 0x12;

struct FakeCpu {
  std::map<std::pair<std::uint32_t, std::uint32_t>, CpuidRegs> leaves;

  // As on an Azure DC2s_v3: 8 GiB in one section, SGX2.
  static FakeCpu with_sgx() {
    FakeCpu cpu;
    cpu.leaves[{0, 0}].eax = 0x1f;
    cpu.leaves[{7, 0}] = {0, 1u << 2, 1u << 30, 0};
    cpu.leaves[{kLeaf, 0}] = {0x3, 0, 0, 0x381f};
    cpu.leaves[{kLeaf, 2}] = {0x80000001, 0x3, 0x00000001, 0x2};
    return cpu;
  }

  Cpuid cpuid() const {
    return [cpu = *this](std::uint32_t leaf, std::uint32_t subleaf) {
      auto found = cpu.leaves.find({leaf, subleaf});
      return found == cpu.leaves.end() ? CpuidRegs{} : found->second;
    };
  }
};

FakeCpu with_sections(const std::vector<CpuidRegs>& sections) {
  FakeCpu cpu = FakeCpu::with_sgx();
  cpu.leaves.erase({kLeaf, 2});
  for (std::size_t i = 0; i < sections.size(); ++i)
    cpu.leaves[{kLeaf, static_cast<std::uint32_t>(2 + i)}] = sections[i];
  return cpu;
}

TEST(CpuFeatures, a_leaf_beyond_the_highest_is_not_asked) {
  FakeCpu cpu = FakeCpu::with_sgx();
  EXPECT_TRUE(cpu_features(cpu.cpuid()).sgx1);
  EXPECT_TRUE(cpu_features(cpu.cpuid()).sgx2);
  cpu.leaves[{0, 0}].eax = 0x11;
  EXPECT_TRUE(cpu_features(cpu.cpuid()).sgx);
  EXPECT_FALSE(cpu_features(cpu.cpuid()).sgx1);
  cpu.leaves[{0, 0}].eax = 0x6;
  EXPECT_FALSE(cpu_features(cpu.cpuid()).sgx);
}

TEST(CpuFeatures, this_machine_answers) {
#if defined(__x86_64__)
  EXPECT_GT(cpuid_of_this_machine()(0, 0).eax, 0u);
#else
  GTEST_SKIP() << "no CPUID on this architecture";
#endif
}

TEST(Epc, known_sections_are_read) {
  Epc small = epc_sections(with_sections({{0x80000001, 0, 0x02000001, 0}}).cpuid());
  EXPECT_EQ(small.sections, (std::vector<EpcSection>{{0x80000000, 32 * kMiB}}));
  Epc azure = epc_sections(FakeCpu::with_sgx().cpuid());
  EXPECT_EQ(azure.sections, (std::vector<EpcSection>{{0x380000000, 0x200000000}}));
  EXPECT_EQ(azure.mib(), 8192u);
}

TEST(Epc, sections_add_up_and_the_sum_is_rounded_down_to_mib) {
  // 94 MiB and 4 KiB, and 1 MiB less 4 KiB: 95 MiB together, though no section but the first has a whole number.
  Epc epc =
      epc_sections(with_sections({{0x1, 0, 94u * kMiB + 0x1001, 0}, {0x10000001, 0, kMiB - 0x1000 + 1, 0}}).cpuid());
  EXPECT_EQ(epc.sections.size(), 2u);
  EXPECT_EQ(epc.mib(), 95u);
  EXPECT_EQ(epc_sections(with_sections({{0x1, 0, 2 * kMiB - 0x1000 + 1, 0}}).cpuid()).mib(), 1u);
}

TEST(Epc, reserved_bits_are_no_part_of_base_or_size) {
  Epc epc = epc_sections(with_sections({{0x80000ff1, 0xfff00003, 0x00000ff1, 0xfff00002}}).cpuid());
  EXPECT_EQ(epc.sections, (std::vector<EpcSection>{{0x380000000, 0x200000000}}));
}

TEST(Epc, the_first_empty_sub_leaf_ends_the_list) {
  Epc epc = epc_sections(with_sections({{0x1, 0, 0x100001, 0}, {}, {0x1, 0, 0x100001, 0}}).cpuid());
  EXPECT_EQ(epc.mib(), 1u);
  EXPECT_TRUE(epc.notes.empty());
}

TEST(Epc, an_unknown_type_ends_the_list_as_in_linux_and_is_noted) {
  Epc epc = epc_sections(with_sections({{0x1, 0, 0x100001, 0}, {0x2, 0, 0x100001, 0}, {0x1, 0, 0x100001, 0}}).cpuid());
  EXPECT_EQ(epc.mib(), 1u);
  ASSERT_EQ(epc.notes.size(), 1u);
  EXPECT_NE(epc.notes[0].find("unknown type 2"), std::string::npos) << epc.notes[0];
}

TEST(Epc, more_than_eight_sections_are_not_counted_but_noted) {
  std::vector<CpuidRegs> sections(8, {0x1, 0, 0x100001, 0});
  EXPECT_TRUE(epc_sections(with_sections(sections).cpuid()).notes.empty());
  sections.resize(1000, sections[0]);
  Epc epc = epc_sections(with_sections(sections).cpuid());
  EXPECT_EQ(epc.mib(), 8u);
  EXPECT_EQ(epc.notes.size(), 1u);
}

class PlatformTest : public testing::Test {
 protected:
  PlatformTest() {
    fs::create_directories(dev_);
    fs::create_directories(sys_);
  }

  void add_node(std::string_view name) { fake::add_device(dev_, sys_, std::string(name)); }

  void add_sysfs(const fs::path& name, std::string_view content) {
    fs::create_directories((sys_ / name).parent_path());
    ASSERT_TRUE(base::write_file_atomic(sys_ / name, base::as_bytes(content), 0444));
  }

  // The message of the error that find_platform() has to give.
  std::string missing_link(const FakeCpu& cpu = FakeCpu::with_sgx()) {
    auto platform = find_platform(cpu.cpuid(), dev_, sys_);
    if (platform) return "nothing is missing";
    EXPECT_EQ(platform.error().kind(), ErrorKind::kUnavailable);
    return platform.error().message();
  }

  fake::TempFolder folder_;
  fs::path dev_ = folder_.path() / "dev", sys_ = folder_.path() / "sys";
};

#define EXPECT_NAMES(message, part) EXPECT_NE((message).find(part), std::string::npos) << (message)

TEST_F(PlatformTest, sgx_node_is_found_with_all_its_facts) {
  add_node("sgx_enclave");
  add_node("sgx_provision");
  auto platform = find_platform(FakeCpu::with_sgx().cpuid(), dev_, sys_);
  ASSERT_TRUE(platform) << platform.error().message();
  EXPECT_EQ(platform->epc.mib(), 8192u);
  EXPECT_TRUE(platform->sgx2);
  EXPECT_EQ(platform->provision.state, NodeState::kUsable);
  EXPECT_TRUE(platform->notes.empty());
}

TEST_F(PlatformTest, provision_device_may_be_missing) {
  add_node("sgx_enclave");
  auto platform = find_platform(FakeCpu::with_sgx().cpuid(), dev_, sys_);
  ASSERT_TRUE(platform) << platform.error().message();
  EXPECT_EQ(platform->provision.state, NodeState::kMissing);
}

TEST_F(PlatformTest, missing_processor_flag_is_named) {
  FakeCpu cpu = FakeCpu::with_sgx();
  cpu.leaves[{7, 0}].ebx = 0;
  EXPECT_NAMES(missing_link(cpu), "CPUID leaf 7, EBX bit 2");
}

TEST_F(PlatformTest, switch_in_the_bios_is_named) {
  FakeCpu cpu = FakeCpu::with_sgx();
  cpu.leaves[{kLeaf, 0}] = {};
  EXPECT_NAMES(missing_link(cpu), "CPUID leaf 12H, EAX bit 0");
  EXPECT_NAMES(missing_link(cpu), "BIOS");
}

TEST_F(PlatformTest, missing_launch_control_is_named) {
  FakeCpu cpu = FakeCpu::with_sgx();
  cpu.leaves[{7, 0}].ecx = 0;
  EXPECT_NAMES(missing_link(cpu), "SGX_LC");
}

TEST_F(PlatformTest, missing_epc_is_named) {
  EXPECT_NAMES(missing_link(with_sections({})), "there is no EPC: CPUID leaf 12H lists 0 sections with 0 bytes");
  EXPECT_NAMES(missing_link(with_sections({{0x1, 0, 0xff001, 0}})), "1 sections with 1044480 bytes");
}

TEST_F(PlatformTest, missing_driver_is_named) { EXPECT_NAMES(missing_link(), "the kernel's SGX driver is missing"); }

TEST_F(PlatformTest, missing_node_of_a_driver_that_is_there_is_named_with_its_number) {
  add_sysfs("class/misc/sgx_enclave/dev", "10:126\n");
  EXPECT_NAMES(missing_link(),
               (dev_ / "sgx_enclave").string() + " is missing, though the kernel's SGX driver is there");
  EXPECT_NAMES(missing_link(), "mknod /dev/sgx_enclave c 10 126");
}

TEST_F(PlatformTest, locked_launch_control_registers_are_told_from_a_missing_driver) {
  add_sysfs("devices/system/node/node0/x86/sgx_total_bytes", "8589934592\n");
  EXPECT_NAMES(missing_link(), "launch control registers are locked");
}

TEST_F(PlatformTest, virtual_epc_alone_means_locked_launch_control_registers) {
  add_node("sgx_vepc");
  EXPECT_NAMES(missing_link(), "launch control registers are locked");
}

TEST_F(PlatformTest, drivers_that_are_not_served_are_named) {
  fake::add_stray_device(dev_, "sgx", "/dev/null");
  EXPECT_NAMES(missing_link(), "/sgx belongs to one that cannot");
}

TEST_F(PlatformTest, every_generation_of_drivers_is_found_by_its_own_node) {
  for (const Driver& driver : drivers()) {
    fs::remove_all(dev_);
    add_node(driver.enclave);
    if (!driver.provision.empty()) add_node(driver.provision);
    auto platform = find_platform(FakeCpu::with_sgx().cpuid(), dev_, sys_);
    ASSERT_TRUE(platform) << platform.error().message();
    EXPECT_EQ(platform->driver.name, driver.name);
    EXPECT_EQ(platform->provision.state, driver.provision.empty() ? NodeState::kMissing : NodeState::kUsable);
  }
}

TEST_F(PlatformTest, newest_usable_driver_counts) {
  add_node("isgx");
  add_node("sgx/enclave");
  EXPECT_EQ(find_platform(FakeCpu::with_sgx().cpuid(), dev_, sys_)->driver.name, "DCAP");
  fs::create_directory(dev_ / "sgx_enclave");
  EXPECT_EQ(find_platform(FakeCpu::with_sgx().cpuid(), dev_, sys_)->driver.name, "DCAP");
  fs::remove(dev_ / "sgx_enclave");
  add_node("sgx_enclave");
  EXPECT_EQ(find_platform(FakeCpu::with_sgx().cpuid(), dev_, sys_)->driver.name, "in-kernel");
}

TEST_F(PlatformTest, legacy_driver_needs_no_launch_control) {
  FakeCpu cpu = FakeCpu::with_sgx();
  cpu.leaves[{7, 0}].ecx = 0;
  add_node("isgx");
  EXPECT_EQ(find_platform(cpu.cpuid(), dev_, sys_)->driver.name, "legacy");
}

TEST_F(PlatformTest, epc_of_numa_nodes_is_read_by_node_number) {
  add_sysfs("devices/system/node/node10/x86/sgx_total_bytes", "3145728\n");
  for (int node : {0, 2, 1, 3, 4, 5, 6, 7, 8, 9})
    add_sysfs("devices/system/node/node" + std::to_string(node) + "/x86/sgx_total_bytes",
              std::to_string(node) + "000\n");
  add_sysfs("devices/system/node/online", "0-10\n");
  auto nodes = epc_of_numa_nodes(sys_);
  ASSERT_TRUE(nodes) << nodes.error().message();
  EXPECT_EQ(*nodes, (std::vector<std::uint64_t>{0, 1000, 2000, 3000, 4000, 5000, 6000, 7000, 8000, 9000, 3145728}));
}

TEST_F(PlatformTest, epc_of_numa_nodes_that_is_not_told_or_nonsense_is_an_error_with_the_path) {
  EXPECT_EQ(epc_of_numa_nodes(sys_).error().kind(), ErrorKind::kUnavailable);
  fs::create_directories(sys_ / "devices/system/node/node0");
  EXPECT_NAMES(epc_of_numa_nodes(sys_).error().message(), "node0/x86/sgx_total_bytes");
  for (const char* text : {"", "-1\n", "many\n", "12 34\n", "99999999999999999999999\n"}) {
    add_sysfs("devices/system/node/node0/x86/sgx_total_bytes", text);
    EXPECT_EQ(epc_of_numa_nodes(sys_).error().kind(), ErrorKind::kMalformed) << text;
    EXPECT_NAMES(epc_of_numa_nodes(sys_).error().message(), "node0/x86/sgx_total_bytes");
  }
  fs::remove_all(sys_ / "devices");
  add_sysfs("devices/system/node/node4294967295/x86/sgx_total_bytes", "1\n");
  EXPECT_EQ(epc_of_numa_nodes(sys_).error().kind(), ErrorKind::kMalformed);
}

TEST_F(PlatformTest, folder_in_the_place_of_a_node_is_named) {
  fs::create_directory(dev_ / "sgx_enclave");
  EXPECT_NAMES(missing_link(), "sgx_enclave is not a character device");
}

TEST_F(PlatformTest, mode_that_lets_nobody_in_is_named) {
  // A pseudo-terminal is a character device whose mode is ours to set.
  base::UniqueFd terminal(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  char name[128];
  if (!terminal || ::grantpt(terminal.get()) != 0 || ::ptsname_r(terminal.get(), name, sizeof name) != 0)
    GTEST_SKIP() << "no pseudo-terminals here";
  fake::add_stray_device(dev_, "sgx_enclave", name);
  fake::call_device(sys_, "sgx_enclave", name);
  ASSERT_EQ(::chmod(name, 0200), 0);
  EXPECT_NAMES(missing_link(), "has mode 0200");

  ASSERT_EQ(::chmod(name, 0660), 0);
  auto platform = find_platform(FakeCpu::with_sgx().cpuid(), dev_, sys_);
  ASSERT_TRUE(platform) << platform.error().message();
  ASSERT_EQ(platform->notes.size(), 1u);
  EXPECT_NAMES(platform->notes[0], "has mode 0660: containers that do not run as root need group");
}

TEST_F(PlatformTest, device_that_is_not_the_drivers_is_named_with_what_it_is) {
  fake::add_stray_device(dev_, "sgx_enclave", "/dev/zero");
  EXPECT_NAMES(missing_link(), (dev_ / "sgx_enclave").string() + " is device 1:5 (unknown to " + sys_.string());
  fake::call_device(sys_, "mem", "/dev/zero");
  EXPECT_NAMES(missing_link(), "is device 1:5 (mem), which is not the SGX driver's sgx_enclave");
  fake::call_device(sys_, "sgx_provision", "/dev/zero");
  EXPECT_NAMES(missing_link(), "1:5 (sgx_provision)") << "the driver's other device is another one too";
  fake::call_device(sys_, std::string(5000, 'x'), "/dev/zero");
  EXPECT_NAMES(missing_link(), "unknown to") << "more than a page is not read";
  add_node("sgx/enclave");
  EXPECT_EQ(find_platform(FakeCpu::with_sgx().cpuid(), dev_, sys_)->driver.name, "DCAP") << "a true one counts";
}

TEST_F(PlatformTest, provision_node_that_is_not_the_drivers_is_not_usable) {
  add_node("sgx_enclave");
  fake::add_stray_device(dev_, "sgx_provision", "/dev/null");
  auto platform = find_platform(FakeCpu::with_sgx().cpuid(), dev_, sys_);
  ASSERT_TRUE(platform) << platform.error().message();
  EXPECT_EQ(platform->provision.state, NodeState::kOtherDevice);
}

TEST_F(PlatformTest, folder_that_may_not_be_searched_is_named) {
  add_node("sgx_enclave");
  ASSERT_EQ(::chmod(dev_.c_str(), 0), 0);
  uid_t before = ::geteuid();
  if (before == 0) {
    ASSERT_EQ(::seteuid(65534), 0);  // root may search every folder
  }
  std::string message = missing_link();
  ASSERT_EQ(::seteuid(before), 0);
  ::chmod(dev_.c_str(), 0700);
  EXPECT_NAMES(message, "is not permitted");
}

}  // namespace
}  // namespace enclayer::sgx
