// SPDX-License-Identifier: Apache-2.0
// The real enclayer-device-plugin, with the kubelet stand-in around it.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <list>
#include <set>
#include <thread>

#include "base/file.h"
#include "fake/http_get.h"
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
// A deadline, not a pause: under sanitizers, on busy cores, the stand-in takes that long to read a long list.
#ifdef __SANITIZE_THREAD__
constexpr auto kSoon = 600s;
#else
constexpr auto kSoon = 100s;
#endif

class DevicePlugin : public testing::Test {
 protected:
  std::vector<std::string> command(const std::vector<std::string>& flags) const {
    std::vector<std::string> argv = {kProgram, "--kubelet-dir", kubelet_dir_, "--slots-dir", folder_.path() / "quotes"};
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

TEST_F(DevicePlugin, finds_a_kubelet_within_seconds_on_a_node_whose_inotify_watches_are_used_up) {
  // A user namespace has limits of its own.
  const std::vector<std::string> no_watches = {
      "/usr/bin/unshare", "-Ur", "/bin/sh", "-c", "echo 0 >/proc/sys/user/max_inotify_watches && exec \"$@\"", "sh"};
  auto argv = no_watches;
  argv.push_back("/bin/true");
  if (fake::run(argv).exit_code != 0) GTEST_SKIP() << "no user namespace with limits of its own can be had here";
  ASSERT_TRUE(kubelet_.start());
  argv = no_watches;
  // Its slots belong to a group that this namespace does not have.
  const auto plugin = command({"--platform", "sim", "--sim-epc", "64Mi", "--quote-limit", "0"});
  argv.insert(argv.end(), plugin.begin(), plugin.end());
  plugin_ = std::make_unique<fake::Process>(argv);
  expect_devices(64);
  EXPECT_NE(plugin_->output().find("raise fs.inotify.max_user_watches"), std::string::npos) << plugin_->output();
  kubelet_.stop();
  ASSERT_TRUE(plugin_->wait_for_output("waiting for the kubelet", kSoon)) << plugin_->output();
  ASSERT_TRUE(kubelet_.start());
  auto seen = kubelet_.wait_for_devices(kName, 64, 15s);  // takes one second, or 30 when nothing told of the blindness
  ASSERT_TRUE(seen) << seen.error().message() << "\n" << plugin_->output();
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

TEST_F(DevicePlugin, second_one_by_mistake_ends_with_5_and_leaves_the_first_alone) {
  ASSERT_TRUE(kubelet_.start());
  start();
  expect_devices(64);
  std::string message = refused(5, {"--platform", "sim", "--sim-epc", "32Mi"});
  for (const std::string& part : {kName, kubelet_dir_ + "/device-plugins/enclayer",
                                  "process " + std::to_string(plugin_->pid()) + " on ", std::string("stop one of")})
    EXPECT_NE(message.find(part), std::string::npos) << part << "\n" << message;
  EXPECT_EQ(kubelet_.resource(kName).registrations, 1);
  EXPECT_TRUE(kubelet_.allocate(kName, 64));
  EXPECT_EQ(our_sockets(), 1u);
}

TEST_F(DevicePlugin, of_several_that_start_at_the_same_moment_one_serves_and_the_others_end_with_5) {
  ASSERT_TRUE(kubelet_.start());
  std::list<fake::Process> all;
  for (int i = 0; i < 4; ++i) all.emplace_back(command({"--platform", "sim", "--sim-epc", "64Mi"}));
  auto deadline = std::chrono::steady_clock::now() + kSoon;
  while (all.size() > 1 && std::chrono::steady_clock::now() < deadline)
    for (auto one = all.begin(); one != all.end();) {
      auto code = one->wait(1ms);
      EXPECT_EQ(code.value_or(5), 5) << one->output();
      one = code ? all.erase(one) : std::next(one);
    }
  ASSERT_EQ(all.size(), 1u);
  auto seen = kubelet_.wait_for_devices(kName, 64, kSoon);
  ASSERT_TRUE(seen) << seen.error().message() << "\n" << all.front().output();
  EXPECT_EQ(seen->registrations, 1);
  EXPECT_FALSE(all.front().wait(0ms)) << all.front().output();
}

TEST_F(DevicePlugin, killed_while_pods_run_and_started_again_knows_their_devices_and_gives_none_twice) {
  ASSERT_TRUE(kubelet_.start());
  start();
  expect_devices(64);
  auto ids = kubelet_.device_ids(kName);
  auto pod = kubelet_.allocate(kName, 40);
  ASSERT_TRUE(pod) << pod.error().message();

  plugin_->signal(SIGKILL);
  plugin_->wait(kSoon);
  expect_devices(0);
  EXPECT_EQ(our_sockets(), 1u) << "there is no dead socket, so this shows nothing";
  start();
  expect_devices(64);
  EXPECT_EQ(our_sockets(), 1u) << "the dead socket is left";
  EXPECT_EQ(kubelet_.device_ids(kName), ids);
  EXPECT_EQ(kubelet_.allocated_ids(kName).size(), 40u);
  auto again = kubelet_.allocate_ids(kName, pod->ids);  // the pod starts again on a kubelet that lost its checkpoint
  ASSERT_TRUE(again) << again.error().message();
  EXPECT_EQ(again->envs, pod->envs);

  auto other = kubelet_.allocate(kName, 24);
  ASSERT_TRUE(other) << other.error().message();
  std::set<std::string> given(pod->ids.begin(), pod->ids.end());
  given.insert(other->ids.begin(), other->ids.end());
  EXPECT_EQ(given.size(), 64u) << "a device was given twice";
  EXPECT_EQ(kubelet_.allocate(kName, 1).error().kind(), ErrorKind::kExhausted);
}

TEST_F(DevicePlugin, registers_again_after_the_kubelets_folder_was_deleted_and_made_again) {
  ASSERT_TRUE(kubelet_.start());
  start();
  expect_devices(64);
  kubelet_.stop();
  fs::remove_all(kubelet_dir_);
  ASSERT_TRUE(kubelet_.start());
  expect_devices(64);
  EXPECT_TRUE(kubelet_.allocate(kName, 64));

  fs::remove_all(kubelet_dir_);  // under a kubelet that runs, and has our stream
  EXPECT_EQ(kubelet_.resource(kName).allocatable, 64u);
  ASSERT_TRUE(kubelet_.restart());
  expect_devices(64);
  EXPECT_EQ(our_sockets(), 1u);
  refused(5, {"--platform", "sim"});  // the lock lay in that folder too
}

TEST_F(DevicePlugin, registration_that_is_refused_is_tried_until_it_is_accepted) {
  kubelet_.refuse_registrations(3, "too many plugins");
  ASSERT_TRUE(kubelet_.start());
  start();
  expect_devices(64);
  EXPECT_EQ(kubelet_.resource(kName).refusals, 3);
  EXPECT_NE(plugin_->output().find("too many plugins"), std::string::npos) << plugin_->output();
  EXPECT_EQ(our_sockets(), 1u);
}

TEST_F(DevicePlugin, kubelet_that_is_slow_to_register_is_waited_for) {
  kubelet_.take_time_to_register(1s);
  ASSERT_TRUE(kubelet_.start());
  start();
  expect_devices(64);
  EXPECT_EQ(kubelet_.resource(kName).registrations, 1);
  EXPECT_EQ(plugin_->output().find("registration failed"), std::string::npos) << plugin_->output();
}

TEST_F(DevicePlugin, kubelet_that_accepts_and_asks_for_no_list_is_told_again_after_a_second) {
  kubelet_.forget_to_list(1);
  ASSERT_TRUE(kubelet_.start());
  start();
  expect_devices(64);
  EXPECT_EQ(kubelet_.resource(kName).registrations, 2);
  EXPECT_NE(plugin_->output().find("has not asked for the devices of " + kName + " in 1000 ms"), std::string::npos)
      << plugin_->output();
}

TEST_F(DevicePlugin, survives_that_the_end_of_its_old_stream_arrives_after_the_new_one_began) {
  ASSERT_TRUE(kubelet_.start());
  start();
  expect_devices(64);
  kubelet_.notice_next_end_late();
  fs::remove(fs::path(kubelet_dir_) / "device-plugins" / kubelet_.resource(kName).endpoint);
  auto seen = kubelet_.wait_for(
      kName, [](const Resource& r) { return r.registrations == 3 && r.allocatable == 64; }, kSoon);
  ASSERT_TRUE(seen) << seen.error().message() << "\n" << plugin_->output();
}

TEST_F(DevicePlugin, says_so_when_somebody_else_may_take_its_place_again_and_again) {
  ASSERT_TRUE(kubelet_.start());
  start();
  int times = 0;
  do {
    ASSERT_LT(++times, 20) << plugin_->output();
    auto seen = kubelet_.wait_for(
        kName, [](const Resource& r) { return r.allocatable == 64; }, kSoon);
    ASSERT_TRUE(seen) << seen.error().message() << "\n" << plugin_->output();
    kubelet_.end_list(kName);
  } while (!plugin_->wait_for_output("another plugin may offer the same resource", 500ms));
  EXPECT_GE(times, 3) << plugin_->output();
}

TEST_F(DevicePlugin, told_to_end_while_it_allocates_answers_whole_or_not_at_all_and_ends_with_0) {
  ASSERT_TRUE(kubelet_.start());
  start({"--platform", "sim", "--sim-epc", "64Gi"});
  expect_devices(65'536);
  std::atomic<int> answers = 0;
  Result<fake::Kubelet::Allocation> last = Error(ErrorKind::kInternal, "never asked");
  std::thread pods([&, ids = kubelet_.device_ids(kName)] {
    do {
      last = kubelet_.allocate_ids(kName, ids);
      if (last && (last->devices.size() != 2 || last->envs.size() != 1))
        last = Error(ErrorKind::kMalformed, "half an answer");
      ++answers;
    } while (last);
  });
  auto deadline = std::chrono::steady_clock::now() + kSoon;
  while (answers < 3 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  plugin_->signal(SIGTERM);
  EXPECT_EQ(plugin_->wait(kSoon), 0) << plugin_->output();
  pods.join();
  EXPECT_GT(answers, 3);
  EXPECT_EQ(last.error().kind(), ErrorKind::kUnavailable) << last.error().message();
  EXPECT_EQ(our_sockets(), 0u);
}

TEST_F(DevicePlugin, requests_that_no_kubelet_makes_are_refused_by_name_and_it_goes_on_serving) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP()
      << "lists and requests of megabytes through gRPC's archives, which are not instrumented, take TSan minutes";
#endif
  ASSERT_TRUE(kubelet_.start());
  start({"--platform", "sim", "--sim-epc", "128Gi"});
  expect_devices(131'072);
  auto ids = kubelet_.device_ids(kName);
  ASSERT_EQ(ids.size(), 131'072u);
  auto expect_refused = [&](ErrorKind kind, const std::string& part, const std::vector<std::string>& request) {
    auto given = kubelet_.allocate_ids(kName, request);
    ASSERT_FALSE(given) << part;
    EXPECT_EQ(given.error().kind(), kind) << given.error().message();
    EXPECT_NE(given.error().message().find(part), std::string::npos) << given.error().message();
    EXPECT_LT(given.error().message().size(), 1000u);
  };
  expect_refused(ErrorKind::kNotFound, "'none-such'", {ids[0], "none-such"});
  expect_refused(ErrorKind::kNotFound, "''", {""});
  expect_refused(ErrorKind::kInvalidArgument, "'" + ids[1] + "' twice", {ids[1], ids[0], ids[1]});
  expect_refused(ErrorKind::kInvalidArgument, kName, {});
  expect_refused(ErrorKind::kNotFound, "'none-0'", [] {
    std::vector<std::string> unknown;
    for (int i = 0; i < 100'000; ++i) unknown.push_back("none-" + std::to_string(i));
    return unknown;
  }());
  expect_refused(ErrorKind::kInvalidArgument, "'" + ids[0] + "' twice", std::vector<std::string>(100'000, ids[0]));
  expect_refused(ErrorKind::kNotFound, "device", {std::string(1 << 20, 'x')});
  expect_refused(ErrorKind::kExhausted, "8388608", {std::string(9 << 20, 'x')});

  auto none = kubelet_.allocate_containers(kName, {});
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().kind(), ErrorKind::kInvalidArgument);
  EXPECT_NE(none.error().message().find(kName), std::string::npos) << none.error().message();

  auto given = kubelet_.allocate(kName, 100'000);
  EXPECT_TRUE(given) << given.error().message();
  EXPECT_EQ(kubelet_.resource(kName).registrations, 1) << "it did not live through all that";
}

TEST_F(DevicePlugin, plugin_watcher_registers_it_at_the_start_and_after_each_restart) {
  kubelet_.watch_plugins();
  ASSERT_TRUE(kubelet_.start());
  start({"--platform", "sim", "--sim-epc", "64Mi", "--registration", "watcher"});
  for (int i = 0; i < 3; ++i) {
    expect_devices(64);
    EXPECT_EQ(fs::path(kubelet_.resource(kName).endpoint).parent_path(), kubelet_dir_ + "/plugins_registry");
    ASSERT_TRUE(kubelet_.restart());
  }
  expect_devices(64);
  EXPECT_TRUE(kubelet_.allocate(kName, 64));
  refused(5, {"--platform", "sim", "--registration", "watcher"});
  plugin_->signal(SIGTERM);
  EXPECT_EQ(plugin_->wait(kSoon), 0) << plugin_->output();
  EXPECT_EQ(our_sockets(), 0u);
}

TEST_F(DevicePlugin, plugin_watcher_that_refuses_it_is_shown_another_socket_and_the_log_says_why) {
  kubelet_.watch_plugins();
  kubelet_.refuse_registrations(2, "too many plugins");
  start({"--platform", "sim", "--sim-epc", "64Mi", "--registration", "watcher"});
  ASSERT_TRUE(plugin_->wait_for_output("waiting for the kubelet", kSoon)) << plugin_->output();
  ASSERT_TRUE(kubelet_.start());
  expect_devices(64);
  EXPECT_EQ(kubelet_.resource(kName).refusals, 2);
  EXPECT_NE(plugin_->output().find("too many plugins"), std::string::npos) << plugin_->output();
}

// A mount that nobody else sees, and that goes with this process. It has to be made before any thread is, so each of
// these tests needs a process of its own: ctest gives it one.
class OwnMounts {
 protected:
  OwnMounts() {
    if (std::distance(fs::directory_iterator("/proc/self/task"), fs::directory_iterator()) > 1)
      why_not_ = "other tests have left threads in this process: run it alone, as ctest does";
    else if (::unshare(CLONE_NEWNS) != 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
      why_not_ = std::string("a private mount is not permitted here: ") + std::strerror(errno);
  }

  std::string why_not_;
};

class DevicePluginOnAFullDisk : private OwnMounts, public DevicePlugin {
 protected:
  void SetUp() override {
    if (!why_not_.empty()) GTEST_SKIP() << why_not_;
    fs::create_directories(kubelet_dir_);
    ASSERT_EQ(::mount("tmpfs", kubelet_dir_.c_str(), "tmpfs", 0, "size=1m,nr_inodes=64"), 0) << std::strerror(errno);
    ASSERT_TRUE(kubelet_.start());
  }

  void TearDown() override {
    plugin_.reset();
    kubelet_.stop();
    ::umount2(kubelet_dir_.c_str(), MNT_DETACH);
  }

  // Takes every inode that is left.
  void fill() {
    int files = 0;
    while (base::UniqueFd(::open(filler(files).c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600))) ++files;
    ASSERT_EQ(errno, ENOSPC);
    ASSERT_GT(files, 0);
  }
  void make_room() {
    for (int file = 0; fs::remove(filler(file)); ++file) {
    }
  }
  fs::path filler(int number) const { return fs::path(kubelet_dir_) / ("filler-" + std::to_string(number)); }
};

TEST_F(DevicePluginOnAFullDisk, says_so_and_registers_when_there_is_room) {
  fill();
  start();
  ASSERT_TRUE(plugin_->wait_for_output("No space left on device", kSoon)) << plugin_->output();
  EXPECT_FALSE(plugin_->wait(0ms)) << plugin_->output();
  EXPECT_EQ(kubelet_.resource(kName).registrations, 0);
  make_room();
  expect_devices(64);
}

TEST_F(DevicePluginOnAFullDisk, says_so_also_when_only_its_socket_has_no_room) {
  start();
  expect_devices(64);
  plugin_->signal(SIGTERM);
  ASSERT_EQ(plugin_->wait(kSoon), 0) << plugin_->output();
  fill();
  start();
  ASSERT_TRUE(plugin_->wait_for_output("device-plugins/enclayer: No space left on device", kSoon)) << plugin_->output();
  EXPECT_EQ(kubelet_.resource(kName).registrations, 1);
  make_room();
  expect_devices(64);
}

TEST_F(DevicePlugin, serves_metrics_and_health) {
  ASSERT_TRUE(kubelet_.start());
  start({"--platform", "sim", "--sim-epc", "64Mi", "--metrics-listen", "127.0.0.1:0", "--log-format", "json"});
  expect_devices(64);
  ASSERT_TRUE(kubelet_.allocate(kName, 10));
  EXPECT_FALSE(kubelet_.allocate_ids(kName, {"zzz"}));
  ASSERT_TRUE(plugin_->wait_for_output("metrics served", kSoon)) << plugin_->output();
  std::string address = fake::metrics_address(plugin_->err());
  std::string page = fake::http_get(address, "/metrics");
  for (const std::string& line :
       {std::string("enclayer_epc_mib 64"), "enclayer_list_streams{resource=\"" + kName + "\"} 1",
        "enclayer_registrations_total{resource=\"" + kName + "\",result=\"ok\"} 1",
        "enclayer_allocations_total{resource=\"" + kName + "\",result=\"ok\"} 1",
        "enclayer_allocations_total{resource=\"" + kName + "\",result=\"error\"} 1"})
    EXPECT_NE(page.find(line), std::string::npos) << line << "\n" << page;
  EXPECT_NE(fake::http_get(address, "/healthz").find("200"), std::string::npos);
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
  EXPECT_NE(message.find("256Gi"), std::string::npos) << message;
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
  EXPECT_NE(refused(1, {"--probe", "/readyz"}).find("--metrics-listen"), std::string::npos);
  EXPECT_NE(refused(1, {"--platform", "emulated"}).find("--platform"), std::string::npos);
  EXPECT_NE(refused(1, {"--platform", "sim", "--registration", "magic"}).find("--registration"), std::string::npos);
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
