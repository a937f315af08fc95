// SPDX-License-Identifier: Apache-2.0
// The real enclayer-device-plugin on a node whose devices and quote helper come and go.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <filesystem>

#include "base/bytes.h"
#include "base/file.h"
#include "base/resource_names.h"
#include "fake/http_get.h"
#include "fake/kubelet.h"
#include "fake/pod_resources.h"
#include "fake/process.h"
#include "fake/temp_folder.h"
#include "sgx/mapped_epc.h"
#include "troubles/troubles.h"

namespace enclayer {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using Resource = fake::Kubelet::Resource;

const std::string kProgram = ENCLAYER_BIN_DIR "/enclayer-device-plugin";
const std::string kHelper = ENCLAYER_BIN_DIR "/enclayer-quote-helper";
const std::string kEpc = "kubernetes.azure.com/sgx_epc_mem_in_MiB";
const std::string kEnclave = "sgx.intel.com/enclave";
const std::string kProvision = "sgx.intel.com/provision";
const std::string kQuote = "enclayer.io/quote";
// A deadline, not a pause: under sanitizers, on busy cores, the stand-in takes that long to read a long list.
#ifdef __SANITIZE_THREAD__
constexpr auto kSoon = 600s;
#else
constexpr auto kSoon = 100s;
#endif

class DevicePluginResources : public testing::Test {
 protected:
  DevicePluginResources() {
    fs::create_directories(dev_);
    fs::create_directories(aesmd_);
  }

  void SetUp() override {
    if (!make_node("sgx_enclave") || !make_node("sgx_provision")) GTEST_SKIP() << "device nodes cannot be made here";
    ASSERT_TRUE(kubelet_.start());
  }

  // A node that any process may have: /dev/null's numbers.
  bool make_node(const std::string& name, mode_t mode = 0660) {
    return ::mknod((dev_ / name).c_str(), S_IFCHR | 0600, makedev(1, 3)) == 0 &&
           ::chmod((dev_ / name).c_str(), mode) == 0;
  }

  std::vector<std::string> command(const std::vector<std::string>& flags) const {
    std::vector<std::string> argv = {kProgram, "--platform", "sim", "--metrics-listen", "127.0.0.1:0"};
    auto add = [&](const std::string& flag, const std::string& value) { argv.insert(argv.end(), {flag, value}); };
    add("--sim-epc", sim_epc_);
    add("--sim-device", "/dev/sgx_enclave");
    add("--sim-provision-device", "/dev/sgx_provision");
    add("--dev-root", dev_);
    add("--aesmd-dir", aesmd_);
    add("--kubelet-dir", kubelet_dir_);
    argv.insert(argv.end(), flags.begin(), flags.end());
    return argv;
  }

  void start(const std::vector<std::string>& flags = {}) {
    plugin_ = std::make_unique<fake::Process>(command(flags));
    ASSERT_TRUE(plugin_->wait_for_output("metrics served", kSoon)) << plugin_->output();
  }

  std::unique_ptr<fake::Process> start_helper() {
    auto helper = std::make_unique<fake::Process>(
        std::vector<std::string>{kHelper, "--platform", "sim", "--socket", aesmd_ / "aesm.socket", "--slots-dir",
                                 folder_.path() / "slots", "--state-dir", folder_.path() / "helper"});
    EXPECT_TRUE(helper->wait_for_output(" serving ", kSoon)) << helper->output();
    return helper;
  }

  void expect_devices(const std::string& name, std::size_t allocatable) {
    auto seen = kubelet_.wait_for_devices(name, allocatable, kSoon);
    ASSERT_TRUE(seen) << seen.error().message() << "\n" << plugin_->output();
  }

  std::string page(const std::string& path) { return fake::http_get(fake::metrics_address(plugin_->err()), path); }

  std::string refused(int exit_code, const std::vector<std::string>& flags) {
    auto finished = fake::run(command(flags), kSoon);
    EXPECT_EQ(finished.exit_code, exit_code) << finished.err;
    return finished.err;
  }

  fake::TempFolder folder_;
  const fs::path dev_ = folder_.path() / "dev", aesmd_ = folder_.path() / "aesmd";
  std::string sim_epc_ = "64Mi";
  const std::string kubelet_dir_ = folder_.path() / "kubelet";
  fake::Kubelet kubelet_{kubelet_dir_};
  std::unique_ptr<fake::Process> plugin_;
};

#define EXPECT_HAS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

TEST_F(DevicePluginResources, device_that_vanishes_takes_the_epc_with_it_until_it_is_back) {
  start();
  expect_devices(kEpc, 64);
  fs::remove(dev_ / "sgx_enclave");
  expect_devices(kEpc, 0);
  EXPECT_EQ(kubelet_.resource(kEpc).capacity, 64u) << "unhealthy, not unknown";
  EXPECT_EQ(kubelet_.resource(kEpc).registrations, 1);
  std::string ready = page("/readyz");
  EXPECT_HAS(ready, "503");
  EXPECT_HAS(ready, "sgx_enclave cannot be given: missing");
  auto probe = [&](const char* what) {
    return fake::run({kProgram, "--metrics-listen", fake::metrics_address(plugin_->err()), "--probe", what}, kSoon);
  };
  EXPECT_EQ(probe("/readyz").exit_code, 4);
  EXPECT_HAS(probe("/readyz").err, "sgx_enclave cannot be given: missing");
  EXPECT_EQ(probe("/healthz").exit_code, 0);
  EXPECT_HAS(page("/metrics"), "enclayer_device_usable{device=\"enclave\"} 0");
  ASSERT_TRUE(make_node("sgx_enclave"));
  expect_devices(kEpc, 64);
  EXPECT_EQ(kubelet_.resource(kEpc).registrations, 1) << "on the same stream";
  EXPECT_HAS(page("/readyz"), "200");
  EXPECT_EQ(probe("/readyz").exit_code, 0);
  EXPECT_TRUE(kubelet_.allocate(kEpc, 64));
}

TEST_F(DevicePluginResources, epc_that_is_lost_is_left_for_an_event_that_says_why) {
  start({"--troubles-dir", folder_.path() / "troubles"});
  expect_devices(kEpc, 64);
  const fs::path file = folder_.path() / "troubles" / troubles::kDevicePlugin / troubles::kFile;
  EXPECT_FALSE(fs::exists(file));
  fs::remove(dev_ / "sgx_enclave");
  for (const auto end = std::chrono::steady_clock::now() + kSoon;
       !fs::exists(file) && std::chrono::steady_clock::now() < end;)
    std::this_thread::sleep_for(10ms);
  auto said = troubles::parse_troubles(base::read_text(file, troubles::kMostFile).value());
  ASSERT_TRUE(said) << said.error().message();
  ASSERT_EQ(said->size(), 1u);
  EXPECT_EQ(said->front().kind, troubles::kEpcLost);
  EXPECT_HAS(said->front().says, kEpc + ": ");
  EXPECT_HAS(said->front().says, "sgx_enclave cannot be given: missing");
}

TEST_F(DevicePluginResources, device_whose_mode_lets_nobody_in_or_that_became_a_folder_is_unhealthy) {
  start();
  expect_devices(kEpc, 64);
  ASSERT_EQ(::chmod((dev_ / "sgx_enclave").c_str(), 0), 0);
  expect_devices(kEpc, 0);
  ASSERT_EQ(::chmod((dev_ / "sgx_enclave").c_str(), 0660), 0);
  expect_devices(kEpc, 64);
  fs::remove(dev_ / "sgx_enclave");
  fs::create_directory(dev_ / "sgx_enclave");
  expect_devices(kEpc, 0);
  EXPECT_HAS(plugin_->output(), "not a character device");
}

TEST_F(DevicePluginResources, list_at_the_limit_is_told_as_lost_without_breaking_the_stream) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "two lists of 262,144 devices take the stand-in a quarter of an hour under TSan";
#endif
  sim_epc_ = "256Gi";
  start();
  expect_devices(kEpc, 262'144);
  fs::remove(dev_ / "sgx_enclave");
  expect_devices(kEpc, 0);
  ASSERT_TRUE(make_node("sgx_enclave"));
  expect_devices(kEpc, 262'144);
  EXPECT_EQ(kubelet_.resource(kEpc).registrations, 1);
}

TEST_F(DevicePluginResources, no_descriptor_of_an_sgx_device_is_ever_held) {
  start({"--enclave-limit", "2", "--provision-limit", "2"});
  expect_devices(kEpc, 64);
  ASSERT_TRUE(kubelet_.allocate(kEpc, 1));
  for (const auto& entry : fs::directory_iterator("/proc/" + std::to_string(plugin_->pid()) + "/fd")) {
    std::error_code error;
    EXPECT_FALSE(fs::read_symlink(entry.path(), error).native().starts_with(dev_.native() + "/")) << entry.path();
  }
}

TEST_F(DevicePluginResources, provisioning_and_bare_enclave_devices_are_offered_only_when_asked_for) {
  start();
  expect_devices(kEpc, 64);
  EXPECT_EQ(kubelet_.resource(kProvision).registrations, 0);
  EXPECT_EQ(kubelet_.resource(kEnclave).registrations, 0);
  EXPECT_EQ(kubelet_.allocate(kEpc, 1)->devices.size(), 2u);
}

TEST_F(DevicePluginResources, provisioning_and_bare_enclave_devices_have_their_limits_and_their_own_paths) {
  start({"--enclave-limit", "3", "--provision-limit", "2", "--helper-provision-limit", "4"});
  expect_devices(kEnclave, 3);
  expect_devices(kProvision, 2);
  expect_devices(base::kHelperProvisionResource, 4);
  for (const std::string& resource : {kProvision, std::string(base::kHelperProvisionResource)}) {
    auto given = kubelet_.allocate(resource, 1);
    ASSERT_TRUE(given) << given.error().message();
    ASSERT_EQ(given->devices.size(), 2u);
    EXPECT_EQ(given->devices[0].container_path, "/dev/sgx_provision");
    EXPECT_EQ(given->devices[1].container_path, "/dev/sgx/provision");
    EXPECT_EQ(given->devices[0].host_path, "/dev/sgx_provision");
  }
  fs::remove(dev_ / "sgx_provision");
  expect_devices(kProvision, 0);
  expect_devices(base::kHelperProvisionResource, 0);
  EXPECT_EQ(kubelet_.resource(kEpc).allocatable, 64u) << "the other resources go on";
  EXPECT_EQ(kubelet_.resource(kEnclave).allocatable, 3u);
}

TEST_F(DevicePluginResources, compatibility_mode_gives_the_provisioning_device_with_epc_and_warns) {
  start({"--provision-with-epc"});
  expect_devices(kEpc, 64);
  EXPECT_EQ(kubelet_.allocate(kEpc, 1)->devices.size(), 4u);
  EXPECT_HAS(plugin_->output(), "every container with EPC gets the provisioning device");
}

TEST_F(DevicePluginResources, quotes_are_offered_only_while_the_helper_answers) {
  start();
  expect_devices(kEpc, 64);
  EXPECT_EQ(kubelet_.resource(kQuote).registrations, 0) << "there is no helper yet";
  auto helper = start_helper();
  expect_devices(kQuote, 110);
  auto given = kubelet_.allocate(kQuote, 1);
  ASSERT_TRUE(given) << given.error().message();
  ASSERT_EQ(given->mounts.size(), 1u);
  EXPECT_EQ(given->mounts[0].container_path, "/var/run/aesmd");
  EXPECT_EQ(given->mounts[0].host_path, aesmd_.string());
  EXPECT_TRUE(given->mounts[0].read_only);
  EXPECT_EQ(given->envs["SGX_AESM_ADDR"], "1");
  EXPECT_TRUE(given->devices.empty()) << "quotes need no SGX device";
  helper->signal(SIGTERM);  // its socket file stays, so this is seen within ten seconds
  ASSERT_EQ(helper->wait(kSoon), 0);
  expect_devices(kQuote, 0);
  EXPECT_HAS(page("/readyz"), "200") << "a node may have no helper";
  helper = start_helper();
  expect_devices(kQuote, 110);
}

TEST_F(DevicePluginResources, socket_on_which_nobody_answers_is_no_helper) {
  start({"--log-level", "debug"});
  ASSERT_TRUE(base::write_file_atomic(aesmd_ / "aesm.socket", base::as_bytes("no socket"), 0666));
  ASSERT_TRUE(plugin_->wait_for_output("resource is not offered yet", kSoon)) << plugin_->output();
  expect_devices(kEpc, 64);
  EXPECT_EQ(kubelet_.resource(kQuote).registrations, 0);
}

TEST_F(DevicePluginResources, quotes_are_not_offered_at_all_with_a_limit_of_0) {
  auto helper = start_helper();
  start({"--quote-limit", "0", "--enclave-limit", "1"});
  expect_devices(kEnclave, 1);
  EXPECT_EQ(kubelet_.resource(kQuote).registrations, 0);
}

TEST_F(DevicePluginResources, cdi_specification_is_written_and_named_and_stays) {
  const fs::path cdi = folder_.path() / "cdi";
  start({"--cdi", "--cdi-dir", cdi});
  expect_devices(kEpc, 64);
  auto given = kubelet_.allocate(kEpc, 1);
  EXPECT_EQ(given->cdi_devices, (std::vector<std::string>{"enclayer.io/sgx=enclave"}));
  EXPECT_EQ(given->devices.size(), 2u);
  auto text = base::read_text(cdi / "enclayer.io-sgx.json", 65536);
  ASSERT_TRUE(text) << text.error().message();
  EXPECT_HAS(*text, "\"fileMode\": 438");
  plugin_->signal(SIGTERM);
  EXPECT_EQ(plugin_->wait(kSoon), 0);
  EXPECT_TRUE(fs::exists(cdi / "enclayer.io-sgx.json")) << "containers that restart need it";
}

TEST_F(DevicePluginResources, without_cdi_nothing_is_written_or_named) {
  const fs::path cdi = folder_.path() / "cdi";
  start({"--cdi-dir", cdi});
  expect_devices(kEpc, 64);
  EXPECT_TRUE(kubelet_.allocate(kEpc, 1)->cdi_devices.empty());
  EXPECT_FALSE(fs::exists(cdi));
}

TEST_F(DevicePluginResources, maximum_and_reserve_shape_what_is_offered) {
  sim_epc_ = "1Gi";
  start({"--max-epc", "512Mi", "--reserve-epc", "768Mi"});
  expect_devices(kEpc, 256);
  std::string metrics = page("/metrics");
  EXPECT_HAS(metrics, "enclayer_epc_capacity_mib 1024");
  EXPECT_HAS(metrics, "enclayer_epc_mib 256");
  EXPECT_HAS(metrics, "enclayer_devices{health=\"healthy\",resource=\"" + kEpc + "\"} 256");
}

TEST_F(DevicePluginResources, more_than_256_gib_is_offered_when_capped_on_purpose) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "a list of 262,144 devices takes the stand-in ten minutes under TSan";
#endif
  sim_epc_ = "1Ti";
  EXPECT_HAS(refused(4, {}), "--max-epc 256Gi");
  start({"--max-epc", "256Gi"});
  expect_devices(kEpc, 262'144);
}

TEST_F(DevicePluginResources, bad_amounts_and_limits_are_refused_by_the_name_of_the_flag) {
  for (const char* flag : {"--max-epc", "--reserve-epc"})
    for (const char* amount : {"8G", "-1", "junk", "1.5Gi"}) EXPECT_HAS(refused(1, {flag, amount}), flag);
  EXPECT_HAS(refused(1, {"--reserve-epc", "64Mi"}), "--reserve-epc");
  EXPECT_HAS(refused(1, {"--max-epc", "0"}), "--max-epc");
  for (const char* flag : {"--enclave-limit", "--provision-limit", "--quote-limit"})
    for (const char* limit : {"-1", "many", "262409", "1.5"}) EXPECT_HAS(refused(1, {flag, limit}), flag);
  EXPECT_HAS(refused(1, {"--registration", "carrier-pigeon"}), "--registration");
}

TEST_F(DevicePluginResources, numa_without_what_the_kernel_tells_is_refused_with_the_path) {
  EXPECT_HAS(refused(4, {"--numa", "--sysfs-root", folder_.path() / "none"}), "devices/system/node");
}

TEST_F(DevicePluginResources, epc_of_each_container_is_on_the_page_as_the_kubelet_tells_it) {
  fake::PodResources pods(kubelet_dir_);
  ASSERT_TRUE(pods.start());
  pods.set({{"shop", "cart-0", "main", kEpc, 10}, {"shop", "cart-1", "main", "example.com/gpu", 3}});
  start();
  expect_devices(kEpc, 64);
  std::string metrics = page("/metrics");
  EXPECT_HAS(metrics, R"(enclayer_epc_requested_mib{container="main",namespace="shop",pod="cart-0"} 10)");
  EXPECT_HAS(metrics, "enclayer_epc_allocated_mib 10");
  EXPECT_EQ(metrics.find("cart-1"), std::string::npos) << metrics;
  EXPECT_HAS(metrics, "enclayer_allocation_seconds");
}

TEST_F(DevicePluginResources, pod_resources_that_do_not_answer_cost_their_figures_and_nothing_else) {
  start();
  expect_devices(kEpc, 64);
  std::string metrics = page("/metrics");
  EXPECT_HAS(metrics, R"(enclayer_accounting_errors_total{source="pod-resources"} 1)");
  EXPECT_HAS(metrics, "enclayer_epc_mib 64");
  EXPECT_EQ(metrics.find("enclayer_epc_requested_mib{"), std::string::npos) << metrics;
}

TEST_F(DevicePluginResources, mapped_enclave_memory_is_accounted_where_processes_can_be_seen_and_refused_elsewhere) {
  auto why_not = sgx::why_not_accountable(base::Root("/proc"));
  if (why_not) {
    EXPECT_HAS(refused(3, {"--account-mapped"}), *why_not);
    return;
  }
  // This process maps a stand-in: a clone of /dev/zero that has the device's name.
  constexpr std::size_t kBytes = 3 << 20;
  ASSERT_EQ(::mknod((folder_.path() / "sgx_enclave").c_str(), S_IFCHR | 0600, makedev(1, 5)), 0);
  base::UniqueFd fd(::open((folder_.path() / "sgx_enclave").c_str(), O_RDWR | O_CLOEXEC));
  void* at = ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd.get(), 0);
  ASSERT_NE(at, MAP_FAILED);
  start({"--account-mapped"});
  std::string metrics = page("/metrics"), name = "\nenclayer_epc_committed_bytes ";
  EXPECT_HAS(metrics, name);
  EXPECT_GE(std::stod(metrics.substr(metrics.find(name) + name.size())), static_cast<double>(kBytes)) << metrics;
  ::munmap(at, kBytes);
}

TEST_F(DevicePluginResources, processes_are_not_looked_at_unless_that_is_asked_for) {
  start();
  EXPECT_EQ(page("/metrics").find("\nenclayer_epc_committed_bytes"), std::string::npos);
}

TEST_F(DevicePluginResources, leaks_in_the_kernels_log_are_counted_and_said) {
  const fs::path log = folder_.path() / "kmsg";
  ASSERT_TRUE(base::write_file_atomic(
      log,
      base::as_bytes("4,1,2,-;EREMOVE returned 13 (0xd) and an EPC page was leaked. SGX may become unusable.\n"
                     "12,2,3,-;EREMOVE returned 13 (0xd) and an EPC page was leaked, says a user\n"),
      0644));
  start({"--kernel-log", log});
  ASSERT_TRUE(plugin_->wait_for_output("the kernel has lost EPC", kSoon)) << plugin_->output();
  EXPECT_HAS(page("/metrics"), "enclayer_epc_leaks_total 1");
}

TEST_F(DevicePluginResources, kernels_log_that_cannot_be_read_is_said_once_and_no_obstacle) {
  start({"--kernel-log", folder_.path() / "none"});
  expect_devices(kEpc, 64);
  EXPECT_HAS(plugin_->output(), "are not counted, the kernel's log cannot be read");
}

TEST_F(DevicePluginResources, misc_controller_of_the_kernel_is_shown_and_never_written_to) {
  const fs::path sys = folder_.path() / "sys";
  fs::create_directories(sys / "fs/cgroup");
  ASSERT_TRUE(base::write_file_atomic(sys / "fs/cgroup/misc.capacity", base::as_bytes("sgx_epc 8589934592\n"), 0444));
  start({"--sysfs-root", sys});
  EXPECT_HAS(page("/metrics"), "enclayer_misc_cgroup_sgx_epc 1");
  EXPECT_HAS(plugin_->output(), "this kernel can limit EPC by cgroup");
  EXPECT_EQ(base::Root(sys / "fs/cgroup").list("").size(), 1u);
}

}  // namespace
}  // namespace enclayer
