// SPDX-License-Identifier: Apache-2.0
#include "addon/platforms.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "addon/names.h"
#include "attestation/pck_extension.h"
#include "collateral/service.h"
#include "sim/ca.h"

namespace enclayer::addon {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

const Time kNow = parse_time("2026-11-29T12:00:00Z").value();
constexpr auto kPccs = "https://pccs.example/sgx/certification/v4";

// Two nodes of one patch level, and what a cache has of their FMSPC.
class PlatformsTest : public testing::Test {
 protected:
  PlatformsTest() {
    asked_ = {helper("a"), helper("b")};
    cluster_.stored.push_back({"e", "0.2.0", "", ""});
  }

  static HelperFacts helper(const char* node) {
    HelperFacts out;
    out.node = node;
    out.image = "registry/enclayer:1";
    out.qe_svn = 1;
    out.fmspc = "53494d554c41";
    out.pck_tcb = "010101010101010101010101010101010100";
    out.pck_ca = "platform";
    return out;
  }
  // The newest level asks for more than the nodes have; their own is then old.
  static void recovery(sim::CollateralOrder& order) {
    order.tcb_evaluation_data_number = 18;
    sim::TcbLevel old = order.tcb_levels.front();
    order.tcb_levels.front().components[2] = 4;
    order.tcb_levels.front().date = parse_time("2026-11-11T00:00:00Z").value();
    old.status = "OutOfDate";
    old.advisory_ids = {"INTEL-SA-01234"};
    order.tcb_levels.push_back(old);
  }
  void keep(const std::string& url, const std::function<void(sim::CollateralOrder&)>& departs = nullptr,
            Time fetched = kNow) {
    sim::CollateralOrder order = sim::collateral_order(kNow);
    order.tcb_evaluation_data_number = 17;
    if (departs) departs(order);
    cache_.push_back(collateral::make_entry(url, fetched, sim::issue_collateral(ca_, order).value()).value());
  }
  void keep_early(const std::function<void(sim::CollateralOrder&)>& departs = nullptr) {
    keep(collateral::Edition::early().with_url(kPccs), departs);
  }
  Platforms platforms() const { return platforms_of(asked_, cluster_, cache_, kNow); }
  void add_pod(const char* name, const char* node, std::string_view app = "") {
    Pod pod;
    pod.name = name;
    pod.name_space = app.empty() ? "bank" : "e";
    pod.node = node;
    pod.app = app;
    pod.ours = !app.empty();
    pod.ready = true;
    pod.phase = "Running";
    if (app.empty()) pod.requests["enclayer.io/epc"] = 8;
    cluster_.pods.push_back(std::move(pod));
  }

  const sim::Ca ca_ = sim::make_ca(sim::ca_order(kNow)).value();
  std::vector<HelperFacts> asked_;
  std::vector<collateral::Entry> cache_;
  Cluster cluster_;
};

TEST_F(PlatformsTest, platform_that_falls_is_named_with_what_it_lacks_and_until_when_it_is_good) {
  keep(kPccs);
  keep_early(recovery);
  const Platforms found = platforms();
  ASSERT_THAT(found.known, SizeIs(1));
  EXPECT_THAT(found.known[0].nodes, ElementsAre("a", "b"));
  EXPECT_EQ(found.known[0].standard.status, "UpToDate");
  EXPECT_EQ(found.known[0].standard.evaluation_number, 17u);
  EXPECT_TRUE(found.known[0].standard.next_update);
  EXPECT_TRUE(found.known[0].falls());
  EXPECT_THAT(bad_today(found), IsEmpty());
  EXPECT_THAT(not_foreseen(found), IsEmpty());
  EXPECT_THAT(
      bad_soon(found),
      ElementsAre(AllOf(HasSubstr("quotes of a, b are UpToDate today, and OutOfDate by the early TCB Info"),
                        HasSubstr("number 18"), HasSubstr("SGX TCB component 3 is 1, needs 4 (level of 2026-11-11)"),
                        HasSubstr("INTEL-SA-01234"))));
}

TEST_F(PlatformsTest, platform_that_is_old_already_does_not_fall) {
  keep(kPccs, recovery);
  keep_early(recovery);
  EXPECT_THAT(bad_soon(platforms()), IsEmpty());
  EXPECT_THAT(bad_today(platforms()), ElementsAre(HasSubstr("quotes of a, b reach TCB status OutOfDate only")));
}

TEST_F(PlatformsTest, level_that_is_gone_from_the_early_tcb_info_is_a_fall_too) {
  keep(kPccs);
  keep_early([](sim::CollateralOrder& order) { order.tcb_levels.front().components[2] = 4; });
  EXPECT_THAT(bad_soon(platforms()), ElementsAre(HasSubstr("TCB_NOT_SUPPORTED by the early TCB Info")));
}

TEST_F(PlatformsTest, last_fetched_of_an_edition_counts) {
  keep(kPccs, recovery, kNow - 3h);
  keep("https://other.example/sgx/certification/v4", nullptr, kNow - 1h);
  EXPECT_EQ(platforms().known[0].standard.status, "UpToDate");
}

// ---- Unknown, never well ----

TEST_F(PlatformsTest, missing_collateral_is_unknown_with_the_command_that_brings_it) {
  keep(kPccs);
  const Platforms found = platforms();
  EXPECT_FALSE(found.known[0].falls());
  EXPECT_THAT(not_foreseen(found),
              ElementsAre(HasSubstr("a, b: no early collateral for FMSPC 53494d554c41 is in the cache of this machine: "
                                    "`enclayer collateral fetch --fmspc 53494d554c41 --ca platform --update early")));
  cache_.clear();
  EXPECT_THAT(not_foreseen(platforms()), ElementsAre(HasSubstr("no standard collateral")));
}

TEST_F(PlatformsTest, expired_and_older_early_collateral_is_unknown) {
  keep(kPccs);
  keep_early([](sim::CollateralOrder& order) { order.tcb_evaluation_data_number = 16; });
  EXPECT_THAT(not_foreseen(platforms()), ElementsAre(HasSubstr("has evaluation number 16, the standard one 17")));
  EXPECT_THAT(not_foreseen(platforms_of(asked_, cluster_, cache_, kNow + 24h * 60)),
              ElementsAre(HasSubstr("the collateral in the cache is valid from")));
}

TEST_F(PlatformsTest, helper_that_tells_no_patch_level_or_was_not_asked_leaves_its_node_unknown) {
  asked_[0].fmspc = asked_[0].pck_tcb = "";
  asked_[1].pck_tcb = "zz";
  add_pod("helper-c", "c", kHelper);
  const Platforms found = platforms();
  EXPECT_THAT(found.known, IsEmpty());
  EXPECT_THAT(not_foreseen(found), testing::UnorderedElementsAre("a: its quote helper has made no quote yet",
                                                                 HasSubstr("b: its quote helper does not say"),
                                                                 HasSubstr("c: its quote helper was not asked")));
}

TEST_F(PlatformsTest, simulation_tells_its_own_status_where_there_is_no_collateral_for_it) {
  asked_[0].tcb_status = asked_[1].tcb_status = "OutOfDate";
  EXPECT_THAT(bad_today(platforms()), ElementsAre(HasSubstr("reach TCB status OutOfDate only")));
  asked_[0].simulated = asked_[1].simulated = true;
  EXPECT_THAT(not_foreseen(platforms()),
              ElementsAre("a, b: the platform is simulated, and no service has collateral for it"));
}

// ---- Advisories ----

TEST_F(PlatformsTest, advisory_names_the_pods_that_hold_sgx_on_its_nodes) {
  asked_.push_back(helper("good"));
  asked_.back().pck_tcb = "040404040404040404040404040404040400";
  add_pod("ledger-0", "b");
  add_pod("vault-0", "good");
  cluster_.claims.push_back({.name = "c", .name_space = "bank", .node = "a", .pods = {"claimed-0"}, .mib = 64});
  keep(kPccs);
  keep_early(recovery);
  const auto found = advisories_of(platforms(), cluster_);
  ASSERT_THAT(found, SizeIs(1));
  EXPECT_EQ(found[0].id, "INTEL-SA-01234");
  EXPECT_TRUE(found[0].early);
  EXPECT_THAT(found[0].nodes, ElementsAre("a", "b"));
  EXPECT_THAT(found[0].pods, ElementsAre("bank/claimed-0", "bank/ledger-0"));
  cache_.clear();
  keep(kPccs, recovery);
  EXPECT_FALSE(advisories_of(platforms(), cluster_)[0].early);
}

TEST_F(PlatformsTest, lists_of_pods_and_advisories_are_bounded) {
  for (std::size_t i = 0; i < kMostPods + 7; ++i) add_pod(("p" + std::to_string(i)).c_str(), "a");
  keep(kPccs, [](sim::CollateralOrder& order) {
    recovery(order);
    for (std::size_t i = 0; i < kMostAdvisories + 9; ++i)
      order.tcb_levels.back().advisory_ids.push_back("INTEL-SA-" + std::to_string(20'000 + i));
  });
  const auto found = advisories_of(platforms(), cluster_);
  ASSERT_THAT(found, SizeIs(kMostAdvisories));
  EXPECT_THAT(found[0].pods, SizeIs(kMostPods));
  EXPECT_EQ(found[0].more_pods, 7u);
}

TEST_F(PlatformsTest, json_tells_both_editions_and_what_is_unknown) {
  keep(kPccs);
  asked_.push_back(helper("c"));
  asked_.back().trouble = "it does not answer";
  const auto json = to_json(platforms());
  ASSERT_THAT(json, SizeIs(2));
  EXPECT_EQ(json[0]["standard"]["status"], "UpToDate");
  EXPECT_TRUE(json[0]["early"]["status"].is_null());
  EXPECT_THAT(json[0]["early"]["unknown"].get<std::string>(), HasSubstr("--update early"));
  EXPECT_THAT(json[1]["unknown"].get<std::string>(), HasSubstr("it does not answer"));
}

}  // namespace
}  // namespace enclayer::addon
