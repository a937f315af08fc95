// SPDX-License-Identifier: Apache-2.0
// The real enclayer-device-plugin as it makes the quote helper's slots and says whose they are.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <functional>

#include "base/file.h"
#include "base/folder_watch.h"
#include "fake/kubelet.h"
#include "fake/pod_resources.h"
#include "fake/process.h"
#include "fake/temp_folder.h"
#include "slots/slots.h"

namespace enclayer {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using slots::Holder;
using slots::Holders;
using testing::HasSubstr;

const std::string kProgram = ENCLAYER_BIN_DIR "/enclayer-device-plugin";
const std::string kHelper = ENCLAYER_BIN_DIR "/enclayer-quote-helper";
const std::string kEpc = "kubernetes.azure.com/sgx_epc_mem_in_MiB";
const std::string kQuote = "enclayer.io/quote";
constexpr auto kSoon = 100s;  // a deadline, not a pause

class DevicePluginSlots : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(kubelet_.start());
    ASSERT_TRUE(pods_.start());
  }

  std::vector<std::string> command(const std::vector<std::string>& flags) const {
    std::vector<std::string> argv = {kProgram, "--platform", "sim", "--sim-epc", "64Mi", "--kubelet-dir", kubelet_dir_};
    argv.insert(argv.end(), flags.begin(), flags.end());
    return argv;
  }

  void start() { plugin_ = std::make_unique<fake::Process>(command({"--slots-dir", slots_})); }

  void stop() {
    plugin_->signal(SIGTERM);
    ASSERT_EQ(plugin_->wait(kSoon), 0) << plugin_->output();
  }

  // Whoever answers in `health` lets quotes be given.
  void start_with_helper() {
    start();
    helper_ = std::make_unique<fake::Process>(
        std::vector<std::string>{kHelper, "--platform", "sim", "--socket", folder_.path() / "legacy/aesm.socket",
                                 "--slots-dir", slots_, "--state-dir", folder_.path() / "helper"});
    expect_quotes(110);
  }

  void expect_quotes(std::size_t allocatable) {
    auto seen = kubelet_.wait_for_devices(kQuote, allocatable, kSoon);
    ASSERT_TRUE(seen) << seen.error().message() << "\n" << plugin_->output() << (helper_ ? helper_->output() : "");
  }

  // `path` of the only mount.
  std::string given(std::size_t devices) {
    auto allocation = kubelet_.allocate(kQuote, devices);
    EXPECT_TRUE(allocation) << allocation.error().message();
    if (!allocation || allocation->mounts.size() != 1) return {};
    EXPECT_EQ(allocation->mounts[0].container_path, "/var/run/aesmd");
    EXPECT_TRUE(allocation->mounts[0].read_only);
    EXPECT_EQ(allocation->envs["SGX_AESM_ADDR"], "1");
    EXPECT_TRUE(allocation->devices.empty());
    return allocation->mounts[0].host_path;
  }

  // Woken by whatever happens in the folder.
  bool wait_in_slots(const std::function<bool()>& enough) const {
    const auto deadline = std::chrono::steady_clock::now() + kSoon;
    base::FolderWatch watch;
    while (true) {
      watch.arm(slots_);
      if (enough()) return true;
      if (std::chrono::steady_clock::now() > deadline) return false;
      pollfd alarm{watch.fd(), POLLIN, 0};
      ::poll(&alarm, 1, 1'000);
      watch.drain();
    }
  }

  Holders holders() const { return slots::read_holders(slots_ / slots::kHoldersFile).value_or(Holders()); }

  std::vector<std::string> all_slots(std::size_t count) const {
    std::vector<std::string> names = {"health", "holders.json"};
    for (std::size_t i = 0; i < count; ++i) names.push_back("p" + std::to_string(i));
    std::sort(names.begin(), names.end());
    return names;
  }

  fake::TempFolder folder_;
  const fs::path slots_ = folder_.path() / "run/quotes";
  const std::string kubelet_dir_ = folder_.path() / "kubelet";
  fake::Kubelet kubelet_{kubelet_dir_};
  fake::PodResources pods_{kubelet_dir_};
  std::unique_ptr<fake::Process> plugin_, helper_;
};

TEST_F(DevicePluginSlots, all_110_folders_are_there_when_the_kubelet_hears_of_the_node) {
  start();
  auto seen = kubelet_.wait_for(
      kEpc, [](const auto& now) { return now.registrations > 0; }, kSoon);
  ASSERT_TRUE(seen) << seen.error().message() << plugin_->output();
  EXPECT_EQ(base::Root(slots_).list(""), all_slots(110));
  EXPECT_EQ(holders().size(), 110u);
  EXPECT_EQ(kubelet_.resource(kQuote).registrations, 0) << "no helper answers yet";
}

TEST_F(DevicePluginSlots, kubelet_hears_of_nothing_while_the_last_folder_cannot_be_made) {
  fs::create_directories(slots_);
  folder_.write("run/quotes/health", "a file");
  auto finished = fake::run(command({"--slots-dir", slots_}), kSoon);
  EXPECT_EQ(finished.exit_code, 5);
  EXPECT_THAT(finished.err, HasSubstr((slots_ / "health").string() + " is there and is no folder: remove it"));
  EXPECT_EQ(kubelet_.resource(kEpc).registrations, 0);
}

TEST_F(DevicePluginSlots, plugin_that_may_not_make_them_says_where_and_what_to_give_it) {
  // /proc takes no folder from anybody, user 0 included.
  auto finished = fake::run(command({"--slots-dir", "/proc/quotes"}), kSoon);
  EXPECT_EQ(finished.exit_code, 3) << finished.err;
  EXPECT_THAT(finished.err, HasSubstr("/proc/quotes"));
  EXPECT_THAT(finished.err, HasSubstr("give it the right to write there"));
}

TEST_F(DevicePluginSlots, container_gets_a_slot_of_its_own_which_is_named_when_the_kubelet_knows_its_pod) {
  start_with_helper();
  EXPECT_EQ(given(1), slots_ / "p0");
  EXPECT_EQ(given(1), slots_ / "p1");
  const Holders unnamed = holders();
  for (const char* slot : {"p0", "p1"}) {
    EXPECT_GT(unnamed.at(slot).generation, 1'700'000'000u) << "before Allocate was answered";
    EXPECT_FALSE(unnamed.at(slot).named());
  }
  EXPECT_EQ(unnamed.at("p2"), Holder());

  // The kubelet's own notes have the UID of one of the pods.
  folder_.write(
      "kubelet/device-plugins/kubelet_internal_checkpoint",
      R"({"Data":{"PodDeviceEntries":[{"PodUID":"u-1","ContainerName":"app","ResourceName":"enclayer.io/quote",)"
      R"("DeviceIDs":{"-1":["A"]},"AllocResp":""}],"RegisteredDevices":{}},"Checksum":1})");
  pods_.set({{"bank", "ledger-0", "app", kEpc, 64},
             {"bank", "ledger-0", "app", kQuote, 1, -1, 0},
             {"shop", "cart", "main", kQuote, 1, -1, 1}});
  ASSERT_TRUE(wait_in_slots([&] { return holders().at("p0").named(); })) << plugin_->output();
  EXPECT_EQ(holders().at("p0"), (Holder{unnamed.at("p0").generation, "bank", "ledger-0", "app", 64, "u-1"}));
  EXPECT_EQ(holders().at("p1"), (Holder{unnamed.at("p1").generation, "shop", "cart", "main", 0}));
}

TEST_F(DevicePluginSlots, container_with_two_devices_gets_the_slot_of_the_lower_one) {
  start_with_helper();
  EXPECT_EQ(given(2), slots_ / "p0");
  EXPECT_EQ(given(1), slots_ / "p2");
}

TEST_F(DevicePluginSlots, plugin_that_starts_again_finds_names_without_a_change_of_generation_or_folder) {
  start_with_helper();
  EXPECT_EQ(given(1), slots_ / "p0");
  const Holder before = holders().at("p0");
  const auto folder = base::Root(slots_).stat("p0");
  stop();
  pods_.set({{"bank", "ledger-0", "app", kQuote, 1}});
  start();
  ASSERT_TRUE(wait_in_slots([&] { return holders().at("p0").named(); })) << plugin_->output();
  EXPECT_EQ(holders().at("p0").generation, before.generation);
  EXPECT_EQ(base::Root(slots_).stat("p0")->st_ino, folder->st_ino) << "the container's mount is still it";
  EXPECT_TRUE(fs::is_socket(slots_ / "health/aesm.socket"));
  expect_quotes(110);
}

TEST_F(DevicePluginSlots, slots_that_somebody_removed_are_there_again_with_their_names_and_holders) {
  pods_.set({{"bank", "ledger-0", "app", kQuote, 1}});
  start_with_helper();
  EXPECT_EQ(given(1), slots_ / "p0");
  ASSERT_TRUE(wait_in_slots([&] { return holders().at("p0").named(); })) << plugin_->output();
  const Holders before = holders();
  for (const std::string& name : base::Root(slots_).list("")) {
    std::error_code refilled_meanwhile;
    fs::remove_all(slots_ / name, refilled_meanwhile);
  }
  ASSERT_TRUE(wait_in_slots([&] { return base::Root(slots_).list("") == all_slots(110); })) << plugin_->output();
  EXPECT_EQ(holders(), before);
  fs::rename(slots_, folder_.path() / "moved");
  ASSERT_TRUE(wait_in_slots([&] { return base::Root(slots_).list("") == all_slots(110); })) << plugin_->output();
  EXPECT_EQ(holders(), before);
}

TEST_F(DevicePluginSlots, somebody_elses_aesmd_is_a_setting_that_makes_no_slots_and_excludes_them) {
  const fs::path aesmd = folder_.path() / "aesmd";
  plugin_ = std::make_unique<fake::Process>(command({"--aesmd-dir", aesmd}));
  helper_ = std::make_unique<fake::Process>(
      std::vector<std::string>{kHelper, "--platform", "sim", "--socket", aesmd / "aesm.socket", "--slots-dir",
                               folder_.path() / "unused", "--state-dir", folder_.path() / "helper"});
  expect_quotes(110);
  EXPECT_EQ(given(1), aesmd);
  EXPECT_EQ(given(1), aesmd);
  EXPECT_FALSE(fs::exists(slots_));

  auto both = fake::run(command({"--aesmd-dir", aesmd, "--slots-dir", slots_}), kSoon);
  EXPECT_EQ(both.exit_code, 1);
  EXPECT_THAT(both.err, HasSubstr("--slots-dir"));
}

TEST_F(DevicePluginSlots, more_slots_than_are_served_are_refused) {
  auto finished = fake::run(command({"--slots-dir", slots_, "--quote-limit", "1024"}), kSoon);
  EXPECT_EQ(finished.exit_code, 1);
  EXPECT_THAT(finished.err, HasSubstr("--quote-limit 1024: at most 1023"));
  EXPECT_FALSE(fs::exists(slots_));
}

}  // namespace
}  // namespace enclayer
