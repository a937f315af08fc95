// SPDX-License-Identifier: Apache-2.0
// The real enclayer-device-plugin and enclayer-dra-driver on one node of 64 MiB, with stand-ins of the kubelet and the
// API server around them: what one of them gives, the other does not.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>

#include <deque>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>

#include "base/file.h"
#include "dra/ledger.h"
#include "fake/claims.h"
#include "fake/dra_api_server.h"
#include "fake/dra_kubelet.h"
#include "fake/kubelet.h"
#include "fake/pod_resources.h"
#include "fake/process.h"
#include "fake/temp_folder.h"

namespace enclayer {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using Json = nlohmann::json;
using fake::claim_name;
using fake::claim_uid;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const std::string kEpc = "kubernetes.azure.com/sgx_epc_mem_in_MiB";
constexpr auto kSoon = 100s;  // a deadline, not a pause

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr unsigned kKills = 10;
#else
constexpr unsigned kKills = 100;  // of each of two kinds
#endif

class TwoDoors : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(kubelet_.start());
    ASSERT_TRUE(pods_.start());
  }

  std::unique_ptr<fake::Process> started(const std::string& program, const std::string& part,
                                         std::vector<std::string> more = {}) {
    std::vector<std::string> argv = {std::string(ENCLAYER_BIN_DIR "/") + program,
                                     "--platform",
                                     "sim",
                                     "--sim-epc",
                                     "64Mi",
                                     "--kubelet-dir",
                                     kubelet_dir_,
                                     "--slots-dir",
                                     folder_.path() / "slots",
                                     "--dra-epc",
                                     part};
    argv.insert(argv.end(), more.begin(), more.end());
    return std::make_unique<fake::Process>(argv, api_.environment());
  }
  void start_plugin(const std::string& part) {
    if (plugin_) {
      plugin_->signal(SIGTERM);
      ASSERT_EQ(plugin_->wait(kSoon), 0) << plugin_->output();
    }
    plugin_ = started("enclayer-device-plugin", part);
  }
  void start_driver(const std::string& part) {
    driver_ = started("enclayer-dra-driver", part,
                      {"--node", "n1", "--cdi-dir", folder_.path() / "cdi", "--account-dir", api_.account(),
                       "--sysfs-root", folder_.path() / "sys"});
    auto registered = claims_.register_driver(kSoon);
    ASSERT_TRUE(registered) << registered.error().message() << driver_->output();
  }

  void expect_by_plugin(std::size_t mib) {
    auto seen = kubelet_.wait_for_devices(kEpc, mib, kSoon);
    ASSERT_TRUE(seen) << seen.error().message() << "\n" << plugin_->output();
  }
  void expect_by_driver(const std::string& amount) {
    auto offered = [&](const auto& slices) {
      if (slices.empty()) return false;
      const Json devices = slices.begin()->second["spec"].value("devices", Json::array());
      return devices.empty() ? amount == "0" : devices[0]["capacity"]["epc"]["value"] == amount;
    };
    ASSERT_TRUE(api_.wait_for(offered, kSoon)) << driver_->output();
  }

  void allocate(unsigned claim, unsigned mib, bool quotes = false) {
    api_.put_claim(fake::allocated_claim(claim, mib, quotes ? fake::quotes_by_socket() : Json()));
  }
  std::string prepare(unsigned claim) {
    auto all = claims_.prepare({claim_name(claim)});
    return all ? all->at(claim_uid(claim)).error : "call: " + all.error().message();
  }
  std::string unprepare(unsigned claim) {
    auto all = claims_.unprepare({claim_name(claim)});
    return all ? all->at(claim_uid(claim)) : "call: " + all.error().message();
  }

  std::vector<std::string> files(const char* in) const { return base::Root(folder_.path()).list(in); }

  fake::TempFolder folder_;
  const std::string kubelet_dir_ = folder_.path() / "kubelet";
  fake::DraApiServer api_;
  fake::Kubelet kubelet_{kubelet_dir_};
  fake::PodResources pods_{kubelet_dir_};
  fake::DraKubelet claims_{kubelet_dir_};
  std::unique_ptr<fake::Process> plugin_, driver_;
};

TEST_F(TwoDoors, parts_of_one_setting_add_up) {
  start_plugin("50%");
  expect_by_plugin(33);  // 63 MiB can be shared out, since the plugin keeps 1
  start_driver("50%");
  expect_by_driver("31Mi");
  allocate(1, 31);
  EXPECT_EQ(prepare(1), "");
  allocate(2, 1);
  EXPECT_THAT(prepare(2), HasSubstr("31 MiB of them held"));
}

TEST_F(TwoDoors, the_driver_has_what_pods_of_an_earlier_setting_give_back) {
  start_plugin("0");
  expect_by_plugin(64);
  pods_.set({{"bank", "old", "app", kEpc, 40, -1, 10}});  // the devices 10 to 49
  start_plugin("50%");
  expect_by_plugin(33);
  start_driver("50%");
  expect_by_driver("14Mi");  // the pod has 17 that the list has no more
  allocate(1, 15);
  EXPECT_THAT(prepare(1), HasSubstr("has 14 MiB"));
  pods_.set({});
  expect_by_driver("31Mi");
  EXPECT_EQ(prepare(1), "");
}

TEST_F(TwoDoors, the_plugin_has_what_claims_of_an_earlier_setting_give_back) {
  start_plugin("50%");
  start_driver("50%");
  expect_by_driver("31Mi");
  allocate(1, 20);
  allocate(2, 5);
  ASSERT_EQ(prepare(1), "");
  start_plugin("0");
  expect_by_plugin(44);
  EXPECT_THAT(prepare(2), HasSubstr("which has 20 MiB, 20 MiB of them held")) << driver_->output();
  EXPECT_EQ(unprepare(1), "");
  expect_by_plugin(64);
  expect_by_driver("0");
}

TEST_F(TwoDoors, while_the_kubelet_does_not_tell_who_holds_epc_the_driver_gives_none) {
  pods_.stop();
  start_plugin("50%");
  expect_by_plugin(33);
  start_driver("50%");
  expect_by_driver("0");
  ASSERT_TRUE(pods_.start());
  expect_by_driver("31Mi");
}

// The kubelet asks again until it has an answer; whenever the driver was killed, that is the same as if it had not been.
class TwoDoorsKilled : public TwoDoors {
 protected:
  enum Call { kPrepare, kUnprepare };

  // Pods start and end, ten of them at a time; the driver is killed in the middle of one call for each.
  void kill_in(Call killed) {
    start_plugin("50%");
    std::mt19937 random(17);
    std::deque<unsigned> live;
    const dra::Checkpoint checkpoint(fs::path(kubelet_dir_) / "plugins/sgx.enclayer.io");
    start_driver("50%");
    expect_by_driver("31Mi");
    for (unsigned pod = 0; pod < kKills; ++pod) {
      allocate(pod, 1 + pod % 3, pod % 2 == 0);
      const bool ends = live.size() > 9;
      std::thread call([&] { ends&& killed == kUnprepare ? unprepare(live.front()) : prepare(pod); });
      ::poll(nullptr, 0, static_cast<int>(random() % 12));  // when it is killed is the test
      driver_->signal(SIGKILL);
      call.join();
      ASSERT_TRUE(driver_->wait(kSoon));
      start_driver("50%");
      if (ends) {
        ASSERT_EQ(unprepare(live.front()), "") << driver_->output();
        live.pop_front();
      }
      ASSERT_EQ(prepare(pod), "") << driver_->output();
      live.push_back(pod);
      const auto ledger = checkpoint.load();
      ASSERT_TRUE(ledger) << ledger.error().message();
      std::vector<std::string> held, expected, cdi;
      for (const auto& [uid, claim] : ledger->claims()) held.push_back(uid);
      for (unsigned claim : live) {
        expected.push_back(claim_uid(claim));
        cdi.push_back("k8s.sgx.enclayer.io-epc_" + claim_uid(claim) + ".json");
      }
      ASSERT_EQ(held, expected) << "after pod " << pod;
      ASSERT_EQ(files("cdi"), cdi) << "after pod " << pod;
      ASSERT_LE(ledger->held_mib(), 31u);
    }
    for (unsigned claim : live) EXPECT_EQ(unprepare(claim), "");
    EXPECT_EQ(checkpoint.load()->held_mib(), 0u);
    EXPECT_THAT(files("cdi"), IsEmpty());
    for (const std::string& slot : files("slots")) EXPECT_LT(slot.size(), 20u) << "left over: " << slot;
    EXPECT_THAT(files("kubelet/plugins/sgx.enclayer.io"), ElementsAre("claims", "claims.lock", "plugin"));
  }
};

TEST_F(TwoDoorsKilled, while_it_prepares_the_driver_leaks_nothing_and_gives_nothing_twice) { kill_in(kPrepare); }

TEST_F(TwoDoorsKilled, while_it_releases_the_driver_leaks_nothing_and_gives_nothing_twice) { kill_in(kUnprepare); }

}  // namespace
}  // namespace enclayer
