// SPDX-License-Identifier: Apache-2.0
#include "detect/events.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/dns_name.h"
#include "base/file.h"
#include "fake/api_server.h"

namespace enclayer::detect {
namespace {

using namespace std::chrono_literals;
using fake::http_answer;
using nlohmann::json;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using troubles::Trouble;

const Time kNoon = *parse_time("2026-01-31T12:00:00Z");
const troubles::Pod kPod{"bank", "ledger-0", "7c2e0d2c-3f5a-4a0e-9c55-0a1b2c3d4e5f"};
const Trouble kGone{troubles::kEpcLost, "/dev/sgx_enclave is gone", kNoon, kNoon + 20min, 3};

std::vector<troubles::Pod> pods(std::size_t count) {
  std::vector<troubles::Pod> out(count, kPod);
  for (std::size_t i = 0; i < count; ++i) out[i].name = "ledger-" + std::to_string(i);
  return out;
}

TEST(Events, are_of_the_node_first_and_then_of_each_pod_that_is_concerned) {
  Trouble gone = kGone;
  gone.pods = {kPod};
  auto events = events_of(std::vector{gone}, "n1");
  ASSERT_THAT(events, SizeIs(2));
  EXPECT_EQ(events[0],
            (Event{"Node", "", "n1", "n1", "EpcLost", "/dev/sgx_enclave is gone; pods concerned: bank/ledger-0", true,
                   kNoon, kNoon + 20min, 3}));
  EXPECT_EQ(events[1], (Event{"Pod", "bank", "ledger-0", kPod.uid, "EpcLost", "on node n1: /dev/sgx_enclave is gone",
                              true, kNoon, kNoon + 20min, 3}));
}

TEST(Events, of_a_pod_whose_uid_is_not_known_are_not_made_but_the_node_s_names_it) {
  Trouble gone = kGone;
  gone.pods = {{"bank", "ledger-0", ""}};
  auto events = events_of(std::vector{gone}, "n1");
  ASSERT_THAT(events, SizeIs(1));
  EXPECT_THAT(events[0].message, EndsWith("; pods concerned: bank/ledger-0"));
}

TEST(Events, say_that_it_is_over_with_a_reason_of_its_own_once) {
  Trouble gone = kGone;
  gone.over = true;
  auto events = events_of(std::vector{gone}, "n1");
  EXPECT_THAT(events, ElementsAre(Event{"Node", "", "n1", "n1", "EpcBack", "over: /dev/sgx_enclave is gone", false,
                                        kNoon + 20min, kNoon + 20min, 1}));
}

TEST(Events, of_pods_say_first_on_which_node) {
  Trouble gone = kGone;
  gone.over = true;
  gone.pods = {kPod};
  EXPECT_EQ(events_of(std::vector{gone}, "n1")[1].message, "on node n1: over: /dev/sgx_enclave is gone");
}

TEST(Events, are_at_most_twenty_at_a_time_and_no_message_is_longer_than_kubernetes_has_them) {
  Trouble gone = kGone, silent = kGone;
  silent.kind = troubles::kQuotesLost;
  gone.says = std::string(troubles::kMostSays, 'x');
  for (Trouble* each : {&gone, &silent}) each->pods = pods(troubles::kMostPods);
  auto events = events_of(std::vector{gone, silent}, "n1");
  ASSERT_THAT(events, SizeIs(kMostEvents));
  EXPECT_EQ(events[1].reason, "QuotesLost") << "what is of the node comes first";
  EXPECT_EQ(events[1].kind, "Node");
  for (const Event& event : events) EXPECT_LE(event.message.size(), kMostMessage);
  EXPECT_THAT(events[0].message, EndsWith(" more at least"));
  gone.pods = std::vector<troubles::Pod>(16, {std::string(63, 'n'), std::string(253, 'p'), "u"});
  EXPECT_THAT(events_of(std::vector{gone}, "n1")[0].message, EndsWith("; pods concerned: 16 or more"));
  gone.pods = pods(15);
  EXPECT_THAT(events_of(std::vector{gone}, "n1")[0].message, HasSubstr("bank/ledger-0, bank/ledger-1, "));
  EXPECT_THAT(events_of(std::vector{gone}, "n1")[0].message, testing::Not(HasSubstr("at least")));
}

TEST(Events, have_names_that_follow_from_object_and_reason_alone) {
  auto event = event_of_node("n1", "EpcLost", true, "x", kNoon);
  const std::string name = name_of(event, "n1");
  EXPECT_TRUE(base::is_dns_name(name)) << name;
  EXPECT_THAT(name, testing::StartsWith("enclayer.n1."));
  auto later = event_of_node("n1", "EpcLost", true, "y", kNoon + 1h);
  EXPECT_EQ(name_of(later, "n1"), name);
  std::set<std::string> names = {name, name_of(event_of_node("n1", "EpcBack", false, "x", kNoon), "n1"),
                                 name_of(event_of_node("n2", "EpcLost", true, "x", kNoon), "n2")};
  Event pod{"Pod", "bank", "n1", "n1", "EpcLost", "x"};
  names.insert(name_of(pod, "n1"));
  pod.uid = "other";
  names.insert(name_of(pod, "n1"));
  EXPECT_THAT(names, SizeIs(5));
  EXPECT_TRUE(base::is_dns_name(name_of(event, std::string(kMostNodeOfEvents, 'n'))));
}

TEST(Events, have_the_reasons_that_the_policy_lets_through_and_the_page_explains) {
  auto read = [](const char* path) {
    return base::read_text(std::filesystem::path(ENCLAYER_SOURCE_DIR) / path, 1 << 20).value();
  };
  const std::string policy = read("deploy/manifests/detect/detect-policy.yaml"), page = read("docs/events.md");
  std::vector<troubles::Kind> kinds(troubles::kKinds.begin(), troubles::kKinds.end());
  kinds.push_back(kSgxLost);
  std::string list;
  for (const auto& kind : kinds)
    for (std::string_view reason : {kind.reason, kind.over}) {
      if (reason.empty()) continue;
      list += std::string(list.empty() ? "'" : ", '").append(reason) + "'";
      EXPECT_THAT(page, HasSubstr("`" + std::string(reason) + "`"));
    }
  EXPECT_THAT(policy, HasSubstr("variables.reason in [" + list + "]"));
}

TEST(Events, are_of_core_v1_as_the_kubelets_own_are) {
  auto sent = json::parse(event_json(event_of_node("n1", "EpcLost", true, "gone", kNoon), "n1"));
  EXPECT_EQ(sent["involvedObject"], (json{{"apiVersion", "v1"}, {"kind", "Node"}, {"name", "n1"}, {"uid", "n1"}}));
  EXPECT_EQ(sent["metadata"]["namespace"], "default");
  EXPECT_EQ(sent["source"], (json{{"component", "enclayer"}, {"host", "n1"}}));
  EXPECT_EQ(sent["reportingComponent"], "enclayer");
  EXPECT_EQ(sent["reportingInstance"], "n1");
  EXPECT_EQ(sent["type"], "Warning");
  EXPECT_EQ(sent["lastTimestamp"], "2026-01-31T12:00:00Z");
  EXPECT_EQ(sent["count"], 1);
  Event pod{"Pod", "bank", "ledger-0", "u", "EpcBack", "x", false, kNoon, kNoon, 1};
  sent = json::parse(event_json(pod, "n1"));
  EXPECT_EQ(sent["metadata"]["namespace"], "bank");
  EXPECT_EQ(sent["involvedObject"]["namespace"], "bank");
  EXPECT_EQ(sent["type"], "Normal");
}

class TellTest : public testing::Test {
 protected:
  TellTest() { options_.limits = event_limits(); }
  ~TellTest() override { EXPECT_EQ(api_.broken(), ""); }
  Result<> tell(const std::vector<Event>& events, const std::string& node = "n1") {
    return detect::tell({api_.url(), api_.account()}, node, events, options_);
  }
  static Event event(const std::string& reason, std::uint32_t count = 1) {
    Event out = event_of_node("n1", reason, true, "gone", kNoon);
    out.count = count;
    return out;
  }

  fake::ApiServer api_;
  http::Options options_;
};

TEST_F(TellTest, event_is_made_once_and_then_brought_up_to_date) {
  ASSERT_TRUE(tell({event("EpcLost")}));
  EXPECT_THAT(api_.methods(), ElementsAre("PATCH", "POST"));
  ASSERT_TRUE(tell({event("EpcLost", 2)}));
  EXPECT_THAT(api_.methods(), ElementsAre("PATCH", "POST", "PATCH"));
  auto events = api_.events();
  ASSERT_THAT(events, SizeIs(1));
  EXPECT_EQ(events.begin()->second["count"], 2);
  EXPECT_EQ(events.begin()->second["message"], "gone");
}

TEST_F(TellTest, what_is_refused_for_good_is_passed_over) {
  api_.next(http_answer(404, ""));
  api_.next(http_answer(403, R"({"kind":"Status","message":"the namespace is being terminated"})"));
  ASSERT_TRUE(tell({event("EpcLost"), event("QuotesLost")}));
  EXPECT_THAT(api_.events(), SizeIs(1));
}

TEST_F(TellTest, api_server_that_has_trouble_of_its_own_is_not_asked_on) {
  for (int status : {429, 500, 503}) {
    const auto before = api_.methods().size();
    api_.next(http_answer(status, ""));
    auto refused = tell({event("EpcLost"), event("QuotesLost")});
    ASSERT_FALSE(refused) << status;
    EXPECT_EQ(refused.error().kind(), ErrorKind::kUnavailable);
    EXPECT_EQ(api_.methods().size(), before + 1);
  }
  EXPECT_THAT(api_.events(), IsEmpty());
}

TEST_F(TellTest, silent_api_server_is_given_up_in_time) {
  options_.limits.request = 50ms;
  api_.next({"", fake::HttpAnswer::Then::kHang});
  auto refused = tell({event("EpcLost")});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kTimedOut);
}

TEST_F(TellTest, what_is_no_name_of_a_node_never_gets_into_a_url) {
  for (const std::string& name : {std::string(), std::string("n1/status"), std::string(221, 'n')})
    EXPECT_EQ(tell({event("EpcLost")}, name).error().kind(), ErrorKind::kInvalidArgument) << name;
  EXPECT_THAT(api_.methods(), IsEmpty());
}

}  // namespace
}  // namespace enclayer::detect
