// SPDX-License-Identifier: Apache-2.0
// The real enclayer-dra-driver, with stand-ins of the kubelet and the API server around it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/file.h"
#include "fake/claims.h"
#include "fake/dra_api_server.h"
#include "fake/dra_kubelet.h"
#include "fake/http_get.h"
#include "fake/process.h"
#include "fake/temp_folder.h"

namespace enclayer {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using fake::DraKubelet;
using Json = nlohmann::json;
using fake::claim_name;
using fake::claim_share;
using fake::claim_uid;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const std::string kProgram = ENCLAYER_BIN_DIR "/enclayer-dra-driver";
const std::string kSlice = "00000-sgx.enclayer.io-n1";
constexpr auto kSoon = 100s;  // a deadline, not a pause

class DraDriver : public testing::Test {
 protected:
  DraDriver() {
    fs::create_directory(folder_.path() / "dev");
    fs::create_symlink("/dev/null", folder_.path() / "dev" / "sgx");
    plugin_has(1);
  }

  // What enclayer-device-plugin writes, in MiB.
  void plugin_has(unsigned mib) const {
    folder_.write("kubelet/plugins/sgx.enclayer.io/plugin", std::to_string(mib) + "\n");
  }

  std::vector<std::string> command(const std::vector<std::string>& flags) const {
    std::vector<std::string> argv = {kProgram,
                                     "--node",
                                     "n1",
                                     "--kubelet-dir",
                                     kubelet_dir(),
                                     "--slots-dir",
                                     folder_.path() / "slots",
                                     "--cdi-dir",
                                     folder_.path() / "cdi",
                                     "--account-dir",
                                     api_.account(),
                                     "--sysfs-root",
                                     folder_.path() / "sys",
                                     "--dev-root",
                                     folder_.path() / "dev"};
    argv.insert(argv.end(), flags.begin(), flags.end());
    return argv;
  }
  static std::vector<std::string> simulated(const std::string& part = "100%") {
    return {"--platform", "sim", "--sim-epc", "101Mi", "--sim-device", "/dev/sgx", "--dra-epc", part};
  }
  std::unique_ptr<fake::Process> start(const std::vector<std::string>& flags = simulated()) const {
    return std::make_unique<fake::Process>(command(flags), api_.environment());
  }
  // Registered, and its slice published.
  std::unique_ptr<fake::Process> start_and_register(const std::vector<std::string>& flags = simulated()) {
    auto driver = start(flags);
    auto registered = kubelet_.register_driver(kSoon);
    EXPECT_TRUE(registered) << registered.error().message() << driver->output();
    return driver;
  }
  std::string refused(int exit_code, const std::vector<std::string>& flags) const {
    auto finished = fake::run(command(flags), kSoon, api_.environment());
    EXPECT_EQ(finished.exit_code, exit_code) << finished.err;
    EXPECT_EQ(finished.out, "");
    return finished.err;
  }

  void allocate(unsigned claim, unsigned mib, const Json& config = nullptr) {
    api_.put_claim(fake::allocated_claim(claim, mib, config));
  }

  DraKubelet::Prepared prepare(unsigned claim) {
    auto all = kubelet_.prepare({claim_name(claim)});
    if (!all) return {{}, "call: " + all.error().message()};
    return all->at(claim_uid(claim));
  }
  std::string unprepare(unsigned claim) {
    auto all = kubelet_.unprepare({claim_name(claim)});
    return all ? all->at(claim_uid(claim)) : "call: " + all.error().message();
  }

  fs::path kubelet_dir() const { return folder_.path() / "kubelet"; }
  std::vector<std::string> files(const char* in) const { return base::Root(folder_.path()).list(in); }
  std::vector<std::string> sockets() const {
    std::vector<std::string> all;
    for (const std::string& file : files("kubelet/plugins_registry"))
      if (!file.starts_with(".")) all.push_back(file);
    return all;
  }

  fake::TempFolder folder_;
  fake::DraApiServer api_;
  DraKubelet kubelet_{kubelet_dir()};
};

TEST_F(DraDriver, publishes_its_epc_and_registers) {
  auto driver = start(simulated("50%"));
  auto registered = kubelet_.register_driver(kSoon);
  ASSERT_TRUE(registered) << registered.error().message() << driver->output();
  EXPECT_EQ(registered->type, "DRAPlugin");
  EXPECT_EQ(registered->name, "sgx.enclayer.io");
  EXPECT_EQ(registered->endpoint, "");
  EXPECT_THAT(registered->services, ElementsAre("v1.DRAPlugin", "v1.DRAResourceHealth", "v1alpha1.DRAResourceHealth"));
  const auto slices = api_.slices();  // before it registers
  ASSERT_EQ(slices.size(), 1u) << driver->output();
  const Json& slice = slices.at(kSlice);
  EXPECT_EQ(slice["metadata"]["ownerReferences"][0]["uid"], "u-1");
  ASSERT_EQ(slice["spec"]["devices"].size(), 1u);
  EXPECT_EQ(slice["spec"]["devices"][0]["capacity"]["epc"]["value"], "50Mi");
  EXPECT_EQ(slice["spec"]["devices"][0]["attributes"]["simulated"]["bool"], true);
  EXPECT_EQ(api_.broken(), "");
}

TEST_F(DraDriver, offers_the_epc_of_each_numa_node_and_the_provisioning_device_when_told_to) {
  folder_.write("sys/devices/system/node/node0/x86/sgx_total_bytes", "78643200\n");
  folder_.write("sys/devices/system/node/node1/x86/sgx_total_bytes", "26214400\n");
  auto flags = simulated();
  flags.push_back("--provision");
  auto driver = start_and_register(flags);
  const Json devices = api_.slices().at(kSlice)["spec"]["devices"];
  ASSERT_EQ(devices.size(), 3u);
  EXPECT_EQ(devices[0]["name"], "epc-numa0");
  EXPECT_EQ(devices[0]["capacity"]["epc"]["value"], "74Mi");  // of 75, and the device plugin has 1 MiB of the 101
  EXPECT_EQ(devices[1]["capacity"]["epc"]["value"], "26Mi");
  EXPECT_EQ(devices[2]["attributes"]["kind"]["string"], "provision");
}

TEST_F(DraDriver, prepares_a_claim_and_releases_it) {
  auto driver = start_and_register();
  allocate(1, 64, fake::quotes_by_socket());
  const auto prepared = prepare(1);
  ASSERT_EQ(prepared.error, "") << driver->output();
  ASSERT_EQ(prepared.devices.size(), 1u);
  const auto& device = prepared.devices[0];
  EXPECT_THAT(device.requests, ElementsAre("epc"));
  EXPECT_EQ(device.pool, "n1");
  EXPECT_EQ(device.device, "epc");
  EXPECT_EQ(device.share_id, claim_share(1));
  EXPECT_THAT(device.cdi_ids, ElementsAre("k8s.sgx.enclayer.io/epc=" + claim_uid(1) + "-epc-" + claim_share(1)));

  const Json cdi = Json::parse(
      base::read_text(folder_.path() / "cdi" / ("k8s.sgx.enclayer.io-epc_" + claim_uid(1) + ".json"), 1 << 16).value());
  const Json edits = cdi["devices"][0]["containerEdits"];
  EXPECT_EQ(edits["env"], (Json{"ENCLAYER_EPC_MIB=64", "ENCLAYER_PLATFORM=sim", "SGX_AESM_ADDR=1"}));
  EXPECT_EQ(edits["deviceNodes"][1]["path"], "/dev/sgx/enclave");
  EXPECT_EQ(edits["deviceNodes"][1]["hostPath"], "/dev/sgx");
  EXPECT_TRUE(fs::is_directory(fs::path(edits["mounts"][0]["hostPath"].get<std::string>())));

  EXPECT_EQ(prepare(1).devices.at(0).cdi_ids, device.cdi_ids);  // again
  EXPECT_EQ(unprepare(1), "");
  EXPECT_EQ(unprepare(1), "");
  EXPECT_THAT(files("cdi"), IsEmpty());
  EXPECT_THAT(files("slots"), ElementsAre("holders-dra.json"));
}

TEST_F(DraDriver, answers_for_every_claim_of_a_pod_and_says_what_is_wrong_with_each) {
  auto driver = start_and_register();
  allocate(1, 60);
  allocate(2, 41);
  auto third = claim_name(3);
  allocate(4, 1);
  auto another = claim_name(4);
  another.uid = claim_uid(44);
  auto all = kubelet_.prepare({claim_name(1), claim_name(2), third, another, {"..", "x", "no uid"}});
  ASSERT_TRUE(all) << all.error().message();
  ASSERT_EQ(all->size(), 5u);
  EXPECT_EQ(all->at(claim_uid(1)).error, "");
  EXPECT_THAT(all->at(claim_uid(2)).error, HasSubstr("wants 41 MiB of device epc, which has 100 MiB, 60 MiB"));
  EXPECT_THAT(all->at(claim_uid(3)).error, HasSubstr("status 404"));
  EXPECT_THAT(all->at(claim_uid(44)).error, HasSubstr("deleted and made again"));
  EXPECT_THAT(all->at("no uid").error, HasSubstr("no name of a claim"));
  EXPECT_EQ(files("cdi").size(), 1u);
  EXPECT_EQ(unprepare(1), "");
  EXPECT_EQ(prepare(2).error, "");
}

TEST_F(DraDriver, offers_what_the_device_plugin_leaves_and_nothing_before_that_has_said_what_that_is) {
  fs::remove(kubelet_dir() / "plugins/sgx.enclayer.io/plugin");
  auto driver = start_and_register();
  EXPECT_THAT(api_.slices().at(kSlice)["spec"]["devices"], IsEmpty());
  EXPECT_TRUE(driver->wait_for_output("enclayer-device-plugin has not written yet", kSoon)) << driver->output();
  allocate(1, 30);
  EXPECT_THAT(prepare(1).error, HasSubstr("enclayer-device-plugin has not written yet"));
  EXPECT_EQ(unprepare(1), "");
  plugin_has(71);
  auto mib = [](const auto& slices) {
    const Json devices = slices.begin()->second["spec"].value("devices", Json::array());
    return devices.empty() ? Json() : devices[0]["capacity"]["epc"]["value"];
  };
  ASSERT_TRUE(api_.wait_for([&](const auto& slices) { return mib(slices) == "30Mi"; }, kSoon)) << driver->output();
  EXPECT_EQ(prepare(1).error, "");
  plugin_has(1);  // pods ended
  ASSERT_TRUE(api_.wait_for([&](const auto& slices) { return mib(slices) == "100Mi"; }, kSoon)) << driver->output();
}

TEST_F(DraDriver, refuses_a_part_that_the_node_does_not_have_and_one_that_leaves_no_room_for_the_quote_helper) {
  EXPECT_THAT(refused(1, simulated("101Mi")), AllOf(HasSubstr("'101Mi'"), HasSubstr("101 MiB"), HasSubstr("100Mi")));
  auto flags = simulated("90Mi");
  flags.insert(flags.end(), {"--helper-epc", "20"});
  EXPECT_THAT(refused(1, flags), AllOf(HasSubstr("'90Mi'"), HasSubstr("keeps 20 MiB"), HasSubstr("81Mi at most")));
}

TEST_F(DraDriver, puts_its_slice_back_after_a_kubelet_that_started_removed_it) {
  auto driver = start_and_register();
  const auto generation = api_.slices().at(kSlice)["spec"]["pool"]["generation"].get<int>();
  api_.wipe_slices();
  ASSERT_TRUE(api_.wait_for([](const auto& slices) { return slices.size() == 1; }, kSoon)) << driver->output();
  EXPECT_GT(api_.slices().at(kSlice)["spec"]["pool"]["generation"].get<int>(), generation);
}

TEST_F(DraDriver, mends_its_slice_and_removes_others_of_its_own) {
  auto driver = start_and_register();
  Json wrong = api_.slices().at(kSlice);
  wrong["spec"]["devices"][0]["capacity"]["epc"]["value"] = "1Ti";
  Json old = wrong;
  old["metadata"]["name"] = "old-name";
  api_.put_slice(wrong);
  api_.put_slice(old);
  EXPECT_TRUE(api_.wait_for(
      [](const auto& slices) {
        return slices.size() == 1 &&
               slices.begin()->second["spec"]["devices"][0]["capacity"]["epc"]["value"] == "100Mi";
      },
      kSoon))
      << driver->output();
}

TEST_F(DraDriver, stays_out_of_a_cluster_that_does_not_keep_amounts) {
  api_.drop_capacity();
  EXPECT_THAT(refused(2, simulated()), HasSubstr("devices[0].allowMultipleAllocations is missing"));
  EXPECT_THAT(api_.slices(), IsEmpty());
  EXPECT_THAT(sockets(), IsEmpty());
}

TEST_F(DraDriver, stays_out_of_a_node_whose_runtime_may_pass_cdi_over_unless_it_is_forced) {
  api_.set_runtime("containerd://1.7.27");
  EXPECT_THAT(refused(2, simulated()), HasSubstr("containerd://1.7.27"));
  EXPECT_THAT(api_.slices(), IsEmpty());
  auto flags = simulated();
  flags.push_back("--force-cdi");
  auto driver = start_and_register(flags);
  EXPECT_EQ(api_.slices().size(), 1u) << driver->output();
}

TEST_F(DraDriver, registers_again_when_its_socket_is_gone) {
  auto driver = start_and_register();
  ASSERT_EQ(sockets().size(), 1u);
  const std::string first = sockets()[0];
  fs::remove(kubelet_dir() / "plugins_registry" / first);
  auto again = kubelet_.register_driver(kSoon);
  ASSERT_TRUE(again) << driver->output();
  EXPECT_NE(fs::path(again->socket).filename(), first);
  allocate(1, 64);
  EXPECT_EQ(prepare(1).error, "");
}

TEST_F(DraDriver, of_two_instances_either_knows_what_the_other_has_given) {
  auto old = start_and_register();
  allocate(1, 60);
  ASSERT_EQ(prepare(1).error, "");
  auto young = start_and_register();
  EXPECT_EQ(sockets().size(), 2u);
  allocate(2, 41);
  EXPECT_THAT(prepare(2).error, HasSubstr("60 MiB of them held"));
  old->signal(SIGTERM);
  EXPECT_EQ(old->wait(kSoon), 0) << old->output();
  EXPECT_EQ(sockets().size(), 1u);
  EXPECT_EQ(unprepare(1), "");
  EXPECT_EQ(prepare(2).error, "");
}

TEST_F(DraDriver, killed_leaves_nothing_that_its_successor_does_not_mend) {
  auto first = start_and_register();
  allocate(1, 60);
  ASSERT_EQ(prepare(1).error, "");
  first->signal(SIGKILL);
  ASSERT_TRUE(first->wait(kSoon));
  EXPECT_EQ(sockets().size(), 1u);
  folder_.write("cdi/k8s.sgx.enclayer.io-epc_" + claim_uid(9) + ".json", "{}");
  auto second = start_and_register();
  EXPECT_EQ(sockets().size(), 1u) << second->output();  // the dead one is gone
  EXPECT_THAT(files("cdi"), ElementsAre("k8s.sgx.enclayer.io-epc_" + claim_uid(1) + ".json"));
  allocate(2, 41);
  EXPECT_THAT(prepare(2).error, HasSubstr("60 MiB of them held"));
}

TEST_F(DraDriver, fails_a_claim_when_the_api_server_is_away_and_prepares_it_when_it_is_back) {
  auto driver = start_and_register();
  allocate(1, 60);
  api_.go_away(true);
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_NE(prepare(1).error, "");
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 45s);
  api_.go_away(false);
  EXPECT_EQ(prepare(1).error, "");
}

TEST_F(DraDriver, says_its_devices_health_in_both_versions_and_gives_no_device_that_is_gone) {
  auto driver = start_and_register();
  for (const char* service : {"v1", "v1alpha1"}) {
    auto health = kubelet_.health(
        service, [](const auto& all) { return all.size() == 1; }, kSoon);
    ASSERT_TRUE(health) << health.error().message();
    EXPECT_EQ(health->at(0).pool, "n1");
    EXPECT_EQ(health->at(0).device, "epc");
    EXPECT_TRUE(health->at(0).healthy);
    EXPECT_GE(health->at(0).timeout_seconds, 60);
  }
  fs::remove(folder_.path() / "dev" / "sgx");
  auto lost = kubelet_.health(
      "v1", [](const auto& all) { return all.size() == 1 && !all[0].healthy; }, kSoon);
  ASSERT_TRUE(lost) << driver->output();
  EXPECT_THAT(lost->at(0).message, HasSubstr("sgx cannot be given: missing"));
  allocate(1, 60);
  EXPECT_THAT(prepare(1).error, HasSubstr("cannot be given"));
}

TEST_F(DraDriver, prepares_two_hundred_claims_at_once_and_refuses_none) {
  auto flags = simulated();
  flags[3] = "201Mi";
  auto driver = start_and_register(flags);
  for (unsigned i = 0; i < 200; ++i) allocate(i, 1);
  std::vector<std::string> errors(200);
  std::vector<std::thread> pods;
  for (unsigned i = 0; i < 200; ++i) pods.emplace_back([&, i] { errors[i] = prepare(i).error; });
  for (std::thread& pod : pods) pod.join();
  EXPECT_THAT(errors, testing::Each("")) << driver->output();
  EXPECT_EQ(files("cdi").size(), 200u);
  allocate(200, 1);
  EXPECT_THAT(prepare(200).error, HasSubstr("200 MiB of them held"));
}

TEST_F(DraDriver, tells_a_prober_whether_the_kubelet_has_it) {
  auto flags = simulated();
  flags.insert(flags.end(), {"--metrics-listen", "127.0.0.1:0", "--log-format", "json"});
  auto driver = start(flags);
  ASSERT_TRUE(driver->wait_for_output("waiting for the kubelet's plugin watcher", kSoon)) << driver->output();
  const std::string address = fake::metrics_address(driver->output());
  EXPECT_THAT(fake::http_get(address, "/healthz"), HasSubstr(" 200 "));
  auto ready = [&] { return fake::http_get(address, "/readyz"); };
  EXPECT_THAT(ready(), AllOf(HasSubstr(" 503 "), HasSubstr("has not registered the driver")));
  ASSERT_TRUE(kubelet_.register_driver(kSoon, "no such plugin type"));
  EXPECT_THAT(ready(), AllOf(HasSubstr(" 503 "), HasSubstr("no such plugin type")));
  fs::remove(kubelet_dir() / "plugins_registry" / sockets().at(0));
  ASSERT_TRUE(kubelet_.register_driver(kSoon));
  EXPECT_THAT(ready(), HasSubstr(" 200 "));
  allocate(1, 60);
  ASSERT_EQ(prepare(1).error, "");
  allocate(2, 60);
  EXPECT_NE(prepare(2).error, "");
  EXPECT_THAT(fake::http_get(address, "/metrics"),
              AllOf(HasSubstr("\nenclayer_claim_epc_mib 100\n"), HasSubstr("\nenclayer_claim_epc_held_mib 60\n"),
                    HasSubstr("\nenclayer_claims_prepared 1\n"),
                    HasSubstr("\nenclayer_claim_errors_total{call=\"prepare\"} 1\n"),
                    HasSubstr("\nenclayer_claim_errors_total{call=\"unprepare\"} 0\n")));
}

TEST_F(DraDriver, ends_at_sigterm_and_leaves_its_slice_to_the_next_instance) {
  auto driver = start_and_register();
  driver->signal(SIGTERM);
  EXPECT_EQ(driver->wait(kSoon), 0) << driver->output();
  EXPECT_THAT(sockets(), IsEmpty());
  EXPECT_EQ(api_.slices().size(), 1u);
}

TEST_F(DraDriver, refuses_flags_that_make_no_sense) {
  EXPECT_THAT(refused(1, {"--platform", "sim"}), HasSubstr("--dra-epc"));
  EXPECT_THAT(refused(1, {"--dra-epc", "100%", "--sim-epc", "1Gi"}), HasSubstr("never started silently"));
  auto finished = fake::run(command(simulated()), kSoon);  // no pod's environment
  EXPECT_EQ(finished.exit_code, 4);
  EXPECT_THAT(finished.err, HasSubstr("this is no pod"));
}

}  // namespace
}  // namespace enclayer
