// The real enclayer-device-plugin, with the kubelet stand-in around it.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "base/file.h"
#include "fake/kubelet.h"
#include "fake/process.h"
#include "fake/temp_folder.h"
#include "sgx/cpuid.h"

namespace enclayer {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using Resource = fake::Kubelet::Resource;

const std::string kProgram = ENCLAYER_BIN_DIR "/enclayer-device-plugin";
const std::string kName = "kubernetes.azure.com/sgx_epc_mem_in_MiB";
constexpr auto kSoon = 20s;

std::string http_get(const std::string& address, const std::string& path) {
  sockaddr_in to{};
  to.sin_family = AF_INET;
  std::size_t colon = address.find(':');
  ::inet_pton(AF_INET, address.substr(0, colon).c_str(), &to.sin_addr);
  to.sin_port = htons(static_cast<std::uint16_t>(std::stoi(address.substr(colon + 1))));
  base::UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) return "cannot connect to " + address;
  std::string request = "GET " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", reply;
  if (::send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL) < 0) return "cannot send";
  char chunk[4096];
  for (ssize_t n; (n = ::recv(fd.get(), chunk, sizeof chunk, 0)) > 0;) reply.append(chunk, static_cast<std::size_t>(n));
  return reply;
}

class DevicePlugin : public testing::Test {
 protected:
  std::vector<std::string> command(const std::vector<std::string>& flags) const {
    std::vector<std::string> argv = {kProgram, "--kubelet-dir", kubelet_dir_};
    argv.insert(argv.end(), flags.begin(), flags.end());
    return argv;
  }

  void start(const std::vector<std::string>& flags = {"--platform", "sim", "--sim-epc", "64Mi"}) {
    plugin_ = std::make_unique<fake::Process>(command(flags));
  }

  void expect_devices(std::size_t count) {
    auto seen = kubelet_.wait_for_devices(kName, count, kSoon);
    ASSERT_TRUE(seen) << seen.error().message() << "\n" << plugin_->output();
  }

  std::size_t our_sockets() const {
    std::size_t count = 0;
    std::error_code error;
    for (const auto& entry : fs::recursive_directory_iterator(kubelet_dir_, error))
      count += fs::is_socket(entry.symlink_status()) && entry.path().filename() != "kubelet.sock" ? 1 : 0;
    return count;
  }

  // Runs to its end; what it says on standard error.
  std::string refused(int exit_code, const std::vector<std::string>& flags) {
    auto finished = fake::run(command(flags), kSoon);
    EXPECT_EQ(finished.exit_code, exit_code) << finished.err;
    EXPECT_EQ(finished.out, "");
    return finished.err;
  }

  fake::TempFolder folder_;
  std::string kubelet_dir_ = folder_.path() / "kubelet";
  fake::Kubelet kubelet_{kubelet_dir_};
  std::unique_ptr<fake::Process> plugin_;
};

TEST_F(DevicePlugin, offers_one_device_per_mib_with_short_ids) {
  ASSERT_TRUE(kubelet_.start());
  start({"--platform", "sim"});  // 8Gi unless told otherwise
  expect_devices(8192);
  auto ids = kubelet_.device_ids(kName);
  EXPECT_EQ(std::set<std::string>(ids.begin(), ids.end()).size(), 8192u);
  for (const std::string& id : ids) ASSERT_LE(id.size(), 3u);
}

TEST_F(DevicePlugin, gives_a_container_the_device_under_both_paths_and_says_that_it_is_simulated) {
  ASSERT_TRUE(kubelet_.start());
  start();
  expect_devices(64);
  auto given = kubelet_.allocate(kName, 10);
  ASSERT_TRUE(given) << given.error().message();
  ASSERT_EQ(given->devices.size(), 2u);
  EXPECT_EQ(given->devices[0].container_path, "/dev/sgx_enclave");
  EXPECT_EQ(given->devices[1].container_path, "/dev/sgx/enclave");
  for (const auto& device : given->devices) {
    EXPECT_EQ(device.host_path, "/dev/null");
    EXPECT_EQ(device.permissions, "rw");
  }
  EXPECT_EQ(given->envs, (std::map<std::string, std::string>{{"ENCLAYER_PLATFORM", "sim"}}));
  EXPECT_TRUE(given->mounts.empty());
  EXPECT_NE(plugin_->output().find("SIMULATED SGX"), std::string::npos) << plugin_->output();
}

TEST_F(DevicePlugin, looks_under_its_root_and_tells_the_kubelet_the_path_on_the_host) {
  fs::path dev = folder_.path() / "dev";
  fs::create_directory(dev);
  fs::create_symlink("/dev/null", dev / "standin");
  ASSERT_TRUE(kubelet_.start());
  start({"--platform", "sim", "--sim-epc", "3Mi", "--sim-device", "/dev/standin", "--dev-root", dev});
  expect_devices(3);
  auto given = kubelet_.allocate(kName, 1);
  ASSERT_TRUE(given) << given.error().message();
  EXPECT_EQ(given->devices.at(0).host_path, "/dev/standin");
}

TEST_F(DevicePlugin, refuses_a_device_that_it_never_offered_and_goes_on) {
  ASSERT_TRUE(kubelet_.start());
  start({"--platform", "sim", "--sim-epc", "5Mi"});
  expect_devices(5);
  auto given = kubelet_.allocate_ids(kName, {"A", "zzz"});
  ASSERT_FALSE(given);
  EXPECT_EQ(given.error().kind(), ErrorKind::kNotFound);
  EXPECT_NE(given.error().message().find("'zzz'"), std::string::npos) << given.error().message();
  EXPECT_TRUE(kubelet_.allocate(kName, 5));
  EXPECT_EQ(kubelet_.allocate(kName, 1).error().kind(), ErrorKind::kExhausted);
}

TEST_F(DevicePlugin, registers_again_with_a_restarted_kubelet) {
  ASSERT_TRUE(kubelet_.start());
  start();
  expect_devices(64);
  ASSERT_TRUE(kubelet_.restart());
  expect_devices(64);
  EXPECT_EQ(kubelet_.resource(kName).registrations, 2);
  EXPECT_TRUE(kubelet_.allocate(kName, 1));
  EXPECT_EQ(our_sockets(), 1u);
}

TEST_F(DevicePlugin, serves_a_kubelet_that_restarts_all_the_time_at_once_each_time) {
  ASSERT_TRUE(kubelet_.start());
  start();
  expect_devices(64);
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(kubelet_.restart());
    auto seen = kubelet_.wait_for_devices(kName, 64, 5s);  // takes 10 ms, or 10 s when something was waited out
    ASSERT_TRUE(seen) << "restart " << i << ": " << seen.error().message() << "\n" << plugin_->output();
  }
}

TEST_F(DevicePlugin, waits_for_a_kubelet_that_comes_later) {
  start();
  ASSERT_TRUE(plugin_->wait_for_output("waiting for the kubelet", kSoon)) << plugin_->output();
  ASSERT_TRUE(kubelet_.start());  // the folder is made, then the socket
  expect_devices(64);
}

TEST_F(DevicePlugin, waits_for_a_socket_that_comes_later_into_a_folder_that_is_there) {
  fs::create_directories(fs::path(kubelet_dir_) / "device-plugins");
  start();
  ASSERT_TRUE(plugin_->wait_for_output("waiting for the kubelet", kSoon)) << plugin_->output();
  ASSERT_TRUE(kubelet_.start());
  expect_devices(64);
}

TEST_F(DevicePlugin, ends_with_0_on_either_signal_and_leaves_no_socket) {
  ASSERT_TRUE(kubelet_.start());
  for (int number : {SIGTERM, SIGINT}) {
    start();
    expect_devices(64);
    plugin_->signal(number);
    EXPECT_EQ(plugin_->wait(kSoon), 0) << plugin_->output();
    EXPECT_EQ(our_sockets(), 0u);
    expect_devices(0);
  }
}

TEST_F(DevicePlugin, ends_with_0_while_it_waits_for_the_kubelet) {
  start();
  ASSERT_TRUE(plugin_->wait_for_output("waiting for the kubelet", kSoon)) << plugin_->output();
  plugin_->signal(SIGTERM);
  EXPECT_EQ(plugin_->wait(kSoon), 0) << plugin_->output();
}

TEST_F(DevicePlugin, end_of_an_old_instance_does_not_touch_the_socket_of_a_new_one) {
  ASSERT_TRUE(kubelet_.start());
  start();
  expect_devices(64);
  std::unique_ptr<fake::Process> old = std::move(plugin_);
  start({"--platform", "sim", "--sim-epc", "32Mi"});
  expect_devices(32);
  old->signal(SIGTERM);
  EXPECT_EQ(old->wait(kSoon), 0) << old->output();
  EXPECT_EQ(our_sockets(), 1u);
  EXPECT_EQ(kubelet_.resource(kName).allocatable, 32u);
  EXPECT_TRUE(kubelet_.allocate(kName, 32));
}

TEST_F(DevicePlugin, takes_the_place_of_a_killed_instance_and_removes_its_socket) {
  ASSERT_TRUE(kubelet_.start());
  start();
  expect_devices(64);
  plugin_->signal(SIGKILL);
  plugin_->wait(kSoon);
  expect_devices(0);
  EXPECT_EQ(our_sockets(), 1u);
  start();
  expect_devices(64);
  EXPECT_EQ(our_sockets(), 1u);
}

TEST_F(DevicePlugin, serves_metrics_and_health) {
  ASSERT_TRUE(kubelet_.start());
  start({"--platform", "sim", "--sim-epc", "64Mi", "--metrics-listen", "127.0.0.1:0", "--log-format", "json"});
  expect_devices(64);
  ASSERT_TRUE(kubelet_.allocate(kName, 10));
  EXPECT_FALSE(kubelet_.allocate_ids(kName, {"zzz"}));
  ASSERT_TRUE(plugin_->wait_for_output("metrics served", kSoon)) << plugin_->output();
  std::string log = plugin_->err(), before = R"("address":")";
  std::size_t at = log.find(before) + before.size();
  std::string address = log.substr(at, log.find('"', at) - at);
  std::string page = http_get(address, "/metrics");
  for (const std::string& line :
       {std::string("enclayer_epc_mib 64"), "enclayer_list_streams{resource=\"" + kName + "\"} 1",
        "enclayer_registrations_total{resource=\"" + kName + "\",result=\"ok\"} 1",
        "enclayer_allocations_total{resource=\"" + kName + "\",result=\"ok\"} 1",
        "enclayer_allocations_total{resource=\"" + kName + "\",result=\"error\"} 1"})
    EXPECT_NE(page.find(line), std::string::npos) << line << "\n" << page;
  EXPECT_NE(http_get(address, "/healthz").find("200"), std::string::npos);
}

TEST_F(DevicePlugin, without_sgx_ends_with_4_and_names_the_missing_link) {
  fs::path empty = folder_.path() / "empty";
  fs::create_directory(empty);
  std::string message = refused(4, {"--dev-root", empty, "--sysfs-root", empty});
  EXPECT_NE(message.find("this machine is not an SGX node: "), std::string::npos) << message;
  sgx::CpuFeatures cpu = sgx::cpu_features(sgx::cpuid_of_this_machine());
  std::string link = !cpu.sgx              ? "CPUID leaf 7, EBX bit 2"
                     : !cpu.sgx1           ? "SGX is switched off"
                     : !cpu.launch_control ? "SGX_LC"
                                           : "";  // an SGX machine: no EPC or no driver below the empty roots
  EXPECT_NE(message.find(link), std::string::npos) << message;
  EXPECT_FALSE(fs::exists(kubelet_dir_)) << "it touched the kubelet's folder";
}

TEST_F(DevicePlugin, simulation_is_never_meant_by_its_flags_alone) {
  EXPECT_NE(refused(1, {"--sim-epc", "8Gi"}).find("--platform sim"), std::string::npos);
  EXPECT_NE(refused(1, {"--platform", "hardware", "--sim-device", "/dev/null"}).find("--platform sim"),
            std::string::npos);
}

TEST_F(DevicePlugin, bad_amounts_of_simulated_epc_are_refused_by_name) {
  for (const char* amount : {"", "0", "1048575", "1023Ki", "8G", "-1", "junk", "1e9", "99999999999Ti"}) {
    std::string message = refused(1, {"--platform", "sim", "--sim-epc", amount});
    EXPECT_NE(message.find("--sim-epc"), std::string::npos) << message;
  }
}

TEST_F(DevicePlugin, more_epc_than_can_be_listed_is_refused_with_the_way_out) {
  std::string message = refused(4, {"--platform", "sim", "--sim-epc", "262409Mi"});
  EXPECT_NE(message.find("4194304"), std::string::npos) << message;
  EXPECT_NE(message.find("--sim-epc 256Gi or less"), std::string::npos) << message;
  refused(4, {"--platform", "sim", "--sim-epc", "16777215Ti"});
}

TEST_F(DevicePlugin, simulated_device_has_to_be_a_character_device_of_the_host) {
  for (const std::string& device : {std::string("null"), std::string(""), std::string("/dev/none-such"),
                                    folder_.path().string(), std::string("/dev/")}) {
    std::string message = refused(1, {"--platform", "sim", "--sim-device", device});
    EXPECT_NE(message.find("--sim-device"), std::string::npos) << message;
  }
}

TEST_F(DevicePlugin, misuse_ends_with_1_and_names_the_flag) {
  EXPECT_NE(refused(1, {"--no-such-flag"}).find("--no-such-flag"), std::string::npos);
  EXPECT_NE(refused(1, {"word"}).find("word"), std::string::npos);
  EXPECT_NE(refused(1, {"--platform", "emulated"}).find("--platform"), std::string::npos);
  EXPECT_NE(refused(1, {"--platform", "sim", "--resource", "cpu"}).find("'cpu'"), std::string::npos);
  EXPECT_NE(refused(1, {"--platform", "sim", "--metrics-listen", "nowhere"}).find("nowhere"), std::string::npos);
}

TEST_F(DevicePlugin, help_and_version_end_with_0) {
  auto help = fake::run({kProgram, "--help"}, kSoon);
  EXPECT_EQ(help.exit_code, 0);
  EXPECT_NE(help.out.find("Examples:"), std::string::npos) << help.out;
  auto version = fake::run({kProgram, "--version"}, kSoon);
  EXPECT_EQ(version.exit_code, 0);
  EXPECT_TRUE(version.out.starts_with("enclayer-device-plugin ")) << version.out;
}

}  // namespace
}  // namespace enclayer
