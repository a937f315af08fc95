// SPDX-License-Identifier: Apache-2.0
#include "dra/preparation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/file.h"
#include "fake/temp_folder.h"
#include "slots/slots.h"

namespace enclayer::dra {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

std::string uuid(unsigned number) {
  char text[37];
  std::snprintf(text, sizeof text, "%08x-0000-4000-8000-000000000000", number);
  return text;
}

ClaimName name(unsigned claim) { return {"bank", "c" + std::to_string(claim), uuid(claim)}; }

class PreparationTest : public testing::Test {
 protected:
  PreparationTest() {
    devices_.node = "n1";
    devices_.sections = {{"epc", std::nullopt, 100}};
    devices_.all_mib = 100;
    folder_.write("state/plugin", "0\n");
  }

  // A claim as the scheduler leaves it.
  void allocate(unsigned claim, unsigned mib, bool quotes = false) {
    Json devices = {{"results",
                     {{{"request", "epc"},
                       {"driver", kDriver},
                       {"pool", "n1"},
                       {"device", "epc"},
                       {"shareID", uuid(1'000 + claim)},
                       {"consumedCapacity", {{"epc", std::to_string(mib) + "Mi"}}}}}}};
    if (quotes)
      devices["config"] = {
          {{"source", "FromClaim"},
           {"opaque",
            {{"driver", kDriver},
             {"parameters", {{"apiVersion", kParametersVersion}, {"kind", kParametersKind}, {"quotes", "Socket"}}}}}}};
    const ClaimName of = name(claim);
    api_[of.name] =
        Json{
            {"kind", "ResourceClaim"},
            {"metadata", {{"namespace", of.name_space}, {"name", of.name}, {"uid", of.uid}}},
            {"spec", {{"devices", {{"requests", {{{"name", "epc"}, {"exactly", {{"deviceClassName", kEpcClass}}}}}}}}}},
            {"status",
             {{"allocation", {{"devices", devices}}},
              {"reservedFor", {{{"resource", "pods"}, {"name", "p" + std::to_string(claim)}}}}}}}
            .dump();
  }

  Preparation::Claims claims() {
    return {[this](const ClaimName& of) -> Result<std::string> {
              if (auto found = api_.find(of.name); found != api_.end()) return found->second;
              return Error(ErrorKind::kNotFound, "no such claim");
            },
            [this]() -> Result<std::vector<std::string>> {
              std::vector<std::string> all;
              for (const auto& [of, json] : api_) all.push_back(json);
              return all;
            }};
  }

  Preparation preparation() const {
    return {device_plugin::node_of_simulation("100Mi", "/dev/null", "/dev/null", "/dev").value(),
            devices_,
            {folder_.path() / "state", folder_.path() / "cdi", folder_.path() / "slots"}};
  }
  std::vector<std::string> files(const char* in) const { return base::Root(folder_.path()).list(in); }
  std::string cdi_file(unsigned claim) const { return "k8s.sgx.enclayer.io-epc_" + uuid(claim) + ".json"; }

  NodeDevices devices_;
  std::map<std::string, std::string> api_;
  fake::TempFolder folder_;
};

TEST_F(PreparationTest, gives_a_claim_its_device_file_and_slot_and_takes_them_back) {
  const Preparation preparation = this->preparation();
  ASSERT_TRUE(preparation.start(claims()));
  allocate(1, 60, true);
  auto prepared = preparation.prepare(name(1), claims());
  ASSERT_TRUE(prepared) << prepared.error().message();
  EXPECT_THAT(*prepared, ElementsAre(PreparedDevice{"epc", "epc", uuid(1'001),
                                                    "k8s.sgx.enclayer.io/epc=" + uuid(1) + "-epc-" + uuid(1'001)}));
  EXPECT_THAT(files("cdi"), ElementsAre(cdi_file(1)));
  EXPECT_TRUE(fs::is_directory(folder_.path() / "slots" / (uuid(1) + ".epc")));
  const fs::path holders = folder_.path() / "slots" / slots::kDraHoldersFile;
  EXPECT_EQ(slots::read_holders(holders).value().at(uuid(1) + ".epc"), (slots::Holder{1, "bank", "p1", "epc", 60}));

  ASSERT_TRUE(preparation.unprepare(name(1), claims()));
  EXPECT_THAT(files("cdi"), ElementsAre());
  EXPECT_THAT(files("slots"), ElementsAre(slots::kDraHoldersFile));
  EXPECT_TRUE(slots::read_holders(holders).value().empty());
  EXPECT_TRUE(preparation.unprepare(name(1), claims()));
  EXPECT_TRUE(preparation.unprepare({"x", "y", "never heard of"}, claims()));
}

TEST_F(PreparationTest, gives_the_same_when_asked_again_also_by_another_instance_after_a_reboot) {
  const Preparation first = preparation(), second = preparation();
  ASSERT_TRUE(first.start(claims()));
  allocate(1, 60, true);
  const auto prepared = first.prepare(name(1), claims()).value();
  fs::remove_all(folder_.path() / "cdi");  // as /run is empty then
  fs::remove_all(folder_.path() / "slots");
  ASSERT_TRUE(second.start(claims()));
  EXPECT_EQ(second.prepare(name(1), claims()).value(), prepared);
  EXPECT_THAT(files("cdi"), ElementsAre(cdi_file(1)));
  EXPECT_TRUE(fs::is_directory(folder_.path() / "slots" / (uuid(1) + ".epc")));
  allocate(2, 41);
  EXPECT_EQ(first.prepare(name(2), claims()).error().kind(), ErrorKind::kExhausted);
}

TEST_F(PreparationTest, refuses_a_claim_that_is_gone_or_another_one) {
  const Preparation preparation = this->preparation();
  ASSERT_TRUE(preparation.start(claims()));
  EXPECT_EQ(preparation.prepare(name(1), claims()).error().kind(), ErrorKind::kNotFound);
  allocate(1, 60);
  ClaimName old = name(1);
  old.uid = uuid(77);
  EXPECT_EQ(preparation.prepare(old, claims()).error().kind(), ErrorKind::kConflict);
  EXPECT_THAT(files("cdi"), ElementsAre());
}

TEST_F(PreparationTest, gives_nothing_while_the_device_cannot_be_used) {
  fs::create_symlink("/dev/null", folder_.path() / "sgx");
  const Preparation preparation(
      device_plugin::node_of_simulation("100Mi", folder_.path() / "sgx", "/dev/null", "/dev").value(), devices_,
      {folder_.path() / "state", folder_.path() / "cdi", folder_.path() / "slots"});
  ASSERT_TRUE(preparation.start(claims()));
  allocate(1, 60);
  fs::remove(folder_.path() / "sgx");
  auto refused = preparation.prepare(name(1), claims());
  EXPECT_EQ(refused.error().kind(), ErrorKind::kUnavailable);
  EXPECT_FALSE(fs::exists(folder_.path() / "state" / "claims"));
}

TEST_F(PreparationTest, sweeps_up_at_the_start_what_is_of_no_claim) {
  const Preparation preparation = this->preparation();
  ASSERT_TRUE(preparation.start(claims()));
  allocate(1, 60, true);
  ASSERT_TRUE(preparation.prepare(name(1), claims()));
  folder_.write("cdi/" + cdi_file(9), "{}");
  folder_.write("cdi/vendor.com-gpu.json", "{}");
  folder_.write("slots/" + uuid(9) + ".epc/aesm.socket", "");
  folder_.write("slots/p0/aesm.socket", "");
  ASSERT_TRUE(this->preparation().start(claims()));
  EXPECT_THAT(files("cdi"), ElementsAre(cdi_file(1), "vendor.com-gpu.json"));
  EXPECT_THAT(files("slots"), ElementsAre(uuid(1) + ".epc", slots::kDraHoldersFile, "p0"));
}

TEST_F(PreparationTest, sweeps_up_at_the_start_what_a_killed_instance_had_half_written) {
  const std::vector<std::string> unfinished = {"state/claims.aB3xYz", "state/plugin.aB3xYz",
                                               "slots/holders-dra.json.aB3xYz", "cdi/" + cdi_file(1) + ".aB3xYz"};
  const std::vector<std::string> others = {"state/claims.damaged", "slots/holders.json.aB3xYz",
                                           "cdi/other.json.aB3xYz"};
  for (const auto& files : {unfinished, others})
    for (const std::string& file : files) folder_.write(file, "{");
  ASSERT_TRUE(preparation().start(claims()));
  for (const std::string& file : unfinished) EXPECT_FALSE(fs::exists(folder_.path() / file)) << file;
  for (const std::string& file : others) EXPECT_TRUE(fs::exists(folder_.path() / file)) << file;
}

TEST_F(PreparationTest, releases_at_the_start_what_a_kubelet_without_its_state_forgot) {
  const Preparation preparation = this->preparation();
  ASSERT_TRUE(preparation.start(claims()));
  for (unsigned claim : {1, 2, 3}) {
    allocate(claim, 30);
    ASSERT_TRUE(preparation.prepare(name(claim), claims()));
  }
  api_.erase(name(1).name);
  api_[name(2).name].replace(api_[name(2).name].find(uuid(2)), 36, uuid(77));  // made again
  Preparation::Claims away = claims();
  away.one = [](const ClaimName&) -> Result<std::string> { return Error(ErrorKind::kUnavailable, "away"); };
  ASSERT_TRUE(this->preparation().start(away));
  EXPECT_EQ(files("cdi").size(), 3u);
  ASSERT_TRUE(this->preparation().start(claims()));
  EXPECT_THAT(files("cdi"), ElementsAre(cdi_file(3)));
  EXPECT_EQ(Checkpoint(folder_.path() / "state").load().value().held_mib("epc"), 30u);
}

TEST_F(PreparationTest, makes_a_damaged_ledger_anew_of_what_is_here_and_goes_on) {
  const Preparation preparation = this->preparation();
  ASSERT_TRUE(preparation.start(claims()));
  allocate(1, 60, true);
  allocate(2, 10);
  allocate(3, 40);  // of a pod that is not on this node yet
  ASSERT_TRUE(preparation.prepare(name(1), claims()));
  ASSERT_TRUE(preparation.prepare(name(2), claims()));
  folder_.write("state/claims", "rubbish");

  ASSERT_TRUE(this->preparation().start(claims()));
  EXPECT_THAT(files("cdi"), ElementsAre(cdi_file(1), cdi_file(2)));
  EXPECT_THAT(files("state"), ElementsAre("claims", "claims.damaged", "claims.lock", "plugin"));
  EXPECT_EQ(preparation.prepare(name(3), claims()).error().kind(), ErrorKind::kExhausted);
  ASSERT_TRUE(preparation.unprepare(name(2), claims()));
  EXPECT_TRUE(preparation.prepare(name(3), claims()));
}

TEST_F(PreparationTest, with_a_damaged_ledger_and_no_api_server_gives_nothing_and_loses_nothing) {
  const Preparation preparation = this->preparation();
  ASSERT_TRUE(preparation.start(claims()));
  allocate(1, 60);
  ASSERT_TRUE(preparation.prepare(name(1), claims()));
  folder_.write("state/claims", "rubbish");
  Preparation::Claims away = claims();
  away.all = []() -> Result<std::vector<std::string>> { return Error(ErrorKind::kUnavailable, "away"); };
  EXPECT_EQ(this->preparation().start(away).error().kind(), ErrorKind::kUnavailable);
  EXPECT_EQ(preparation.unprepare(name(1), away).error().kind(), ErrorKind::kUnavailable);
  EXPECT_THAT(files("cdi"), ElementsAre(cdi_file(1)));
  EXPECT_THAT(files("state"), ElementsAre("claims", "claims.lock", "plugin"));
}

TEST_F(PreparationTest, of_which_a_step_failed_is_finished_by_the_next_try) {
  const Preparation preparation = this->preparation();
  ASSERT_TRUE(preparation.start(claims()));
  allocate(1, 60);
  folder_.write("cdi", "a file in the folder's place");
  auto refused = preparation.prepare(name(1), claims());
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message(), HasSubstr("cdi"));
  fs::remove(folder_.path() / "cdi");
  EXPECT_TRUE(preparation.prepare(name(1), claims()));  // the kubelet's next try
}

TEST_F(PreparationTest, of_many_at_a_time_never_gives_more_than_there_is) {
  const Preparation first = preparation(), second = preparation();
  ASSERT_TRUE(first.start(claims()));
  for (unsigned i = 0; i < 24; ++i) allocate(i, 10);
  const auto from = claims();
  std::atomic<int> given = 0;
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (unsigned i = t; i < 24; i += 4) given += (t % 2 ? first : second).prepare(name(i), from) ? 1 : 0;
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(given, 10);
  EXPECT_EQ(files("cdi").size(), 10u);
  EXPECT_EQ(Checkpoint(folder_.path() / "state").load().value().held_mib("epc"), 100u);
}

}  // namespace
}  // namespace enclayer::dra
