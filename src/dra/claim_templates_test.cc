// SPDX-License-Identifier: Apache-2.0
#include "dra/claim_templates.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <nlohmann/json.hpp>

#include "fake/template_api_server.h"

namespace enclayer::dra {
namespace {

using Json = nlohmann::json;
using namespace std::chrono_literals;
using fake::TemplateApiServer;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Key;

class ClaimTemplatesTest : public testing::Test {
 protected:
  ~ClaimTemplatesTest() override { EXPECT_EQ(api_.broken(), ""); }

  void look() {
    auto done = templates_.look(now_);
    EXPECT_TRUE(done) << done.error().message();
  }
  void look_after(std::chrono::seconds time) {
    now_ += time;
    look();
  }

  TemplateApiServer api_;
  ClaimTemplates templates_{{api_.url(), api_.account()}};
  ClaimTemplates::Time now_{};
};

TEST(ClaimTemplate, is_called_by_its_amount_and_nothing_else) {
  EXPECT_EQ(template_mib("enclayer-epc-1"), 1U);
  EXPECT_EQ(template_mib("enclayer-epc-65536"), 65'536U);
  EXPECT_EQ(template_mib("enclayer-epc-99999999"), 99'999'999U);
  for (const char* other :
       {"", "enclayer-epc-", "enclayer-epc-0", "enclayer-epc-01", "enclayer-epc-100000000", "enclayer-epc--1",
        "enclayer-epc-+1", "enclayer-epc-1Mi", "enclayer-epc-1 ", "epc-1", "enclayer-epc-1/status", "xenclayer-epc-1"})
    EXPECT_EQ(template_mib(other), std::nullopt) << other;
}

TEST(ClaimTemplate, asks_for_what_its_name_says_and_labels_its_claims) {
  const Json made = Json::parse(template_object({"bank", "enclayer-epc-65536"}));
  EXPECT_EQ(made["apiVersion"], "resource.k8s.io/v1");
  EXPECT_EQ(made["metadata"]["namespace"], "bank");
  EXPECT_EQ(made["metadata"]["name"], "enclayer-epc-65536");
  EXPECT_EQ(made["metadata"]["labels"]["app.kubernetes.io/component"], "claim-templates");
  EXPECT_EQ(made["spec"]["metadata"]["labels"], (Json{{"enclayer.io/epc-template", "enclayer-epc-65536"}}));
  const Json request = {
      {"name", "epc"},
      {"exactly", {{"deviceClassName", "sgx-epc.enclayer.io"}, {"capacity", {{"requests", {{"epc", "65536Mi"}}}}}}}};
  EXPECT_EQ(made["spec"]["spec"], (Json{{"devices", {{"requests", {request}}}}}));
}

TEST(ClaimTemplate, is_needed_by_pods_that_have_no_claim_of_it_yet) {
  Json waits = TemplateApiServer::pod("bank", "a", "enclayer-epc-65536");
  waits["spec"]["resourceClaims"].push_back({{"name", "more"}, {"resourceClaimTemplateName", "enclayer-epc-9000"}});
  waits["spec"]["resourceClaims"].push_back({{"name", "gpu"}, {"resourceClaimTemplateName", "gpu"}});
  waits["spec"]["resourceClaims"].push_back({{"name", "one"}, {"resourceClaimName", "enclayer-epc-7"}});
  waits["status"] = {{"resourceClaimStatuses", {{{"name", "more"}, {"resourceClaimName", "a-more-x7"}}}}};
  Json nowhere = TemplateApiServer::pod("../kube-system", "b", "enclayer-epc-1");
  std::set<TemplateName> needed;
  ASSERT_TRUE(read_needed(Json{{"items", {waits, nowhere, 1, nullptr}}}.dump(), needed));
  EXPECT_THAT(needed, ElementsAre(TemplateName{"bank", "enclayer-epc-65536"}));
  EXPECT_FALSE(read_needed("[]", needed));
}

TEST_F(ClaimTemplatesTest, are_made_where_a_pod_waits_each_once) {
  for (int i = 0; i < 30; ++i)  // more than a page
    api_.put_pod(TemplateApiServer::pod("bank", "p" + std::to_string(i), "enclayer-epc-65536"));
  api_.put_pod(TemplateApiServer::pod("shop", "p", "enclayer-epc-9000"));
  look();
  EXPECT_THAT(api_.templates(), ElementsAre(Key("bank/enclayer-epc-65536"), Key("shop/enclayer-epc-9000")));
  EXPECT_EQ(api_.templates()["shop/enclayer-epc-9000"]["spec"]["spec"]["devices"]["requests"][0]["exactly"]["capacity"]
                            ["requests"]["epc"],
            "9000Mi");
  EXPECT_EQ(api_.writes(), 2U);
}

TEST_F(ClaimTemplatesTest, are_made_beside_pods_that_are_as_large_as_can_be) {
  for (int i = 0; i < 6; ++i) {
    Json pod = TemplateApiServer::pod("huge", "p" + std::to_string(i), "enclayer-epc-65536");
    pod["metadata"]["annotations"] = {{"a", std::string(2 << 20, 'x')}};
    api_.put_pod(pod);
  }
  api_.put_pod(TemplateApiServer::pod("small", "p", "enclayer-epc-9000"));
  look();
  EXPECT_THAT(api_.templates(), ElementsAre(Key("huge/enclayer-epc-65536"), Key("small/enclayer-epc-9000")));
}

TEST_F(ClaimTemplatesTest, of_somebody_else_are_left_alone) {
  api_.put_template({{"metadata", {{"namespace", "bank"}, {"name", "enclayer-epc-65536"}}}, {"spec", "his"}});
  api_.put_pod(TemplateApiServer::pod("bank", "p", "enclayer-epc-65536"));
  look();
  api_.schedule("bank/p");
  for (int i = 0; i < 5; ++i) look_after(ClaimTemplates::kSweep);
  EXPECT_EQ(api_.templates()["bank/enclayer-epc-65536"]["spec"], "his");
}

TEST_F(ClaimTemplatesTest, that_are_refused_keep_no_other_from_being_made) {
  api_.refuse("bank");
  api_.put_pod(TemplateApiServer::pod("bank", "p", "enclayer-epc-65536"));
  api_.put_pod(TemplateApiServer::pod("shop", "p", "enclayer-epc-65536"));
  look();
  EXPECT_THAT(api_.templates(), ElementsAre(Key("shop/enclayer-epc-65536")));
  api_.refuse("");
  look();
  EXPECT_THAT(api_.templates(), ElementsAre(Key("bank/enclayer-epc-65536"), Key("shop/enclayer-epc-65536")));
}

TEST_F(ClaimTemplatesTest, go_at_the_second_sweep_that_finds_them_unused) {
  api_.put_pod(TemplateApiServer::pod("bank", "p", "enclayer-epc-65536"));
  look();
  look_after(10 * ClaimTemplates::kSweep);  // a pod waits
  api_.claim_of("bank", "enclayer-epc-65536");
  api_.schedule("bank/p");
  look_after(10 * ClaimTemplates::kSweep);
  look_after(ClaimTemplates::kSweep);  // its claim is there
  api_.claim_of("bank", "enclayer-epc-65536", false);
  look_after(ClaimTemplates::kSweep);
  look_after(ClaimTemplates::kSweep - 1s);  // no sweep is due
  EXPECT_THAT(api_.templates(), ElementsAre(Key("bank/enclayer-epc-65536")));
  look_after(1s);
  EXPECT_THAT(api_.templates(), IsEmpty());
}

TEST_F(ClaimTemplatesTest, stay_when_somebody_comes_between_two_sweeps) {
  for (const char* name :
       {"enclayer-epc-1", "enclayer-epc-2", "enclayer-epc-3", "enclayer-epc-4", "enclayer-epc-5", "enclayer-epc-6"})
    api_.put_template(Json::parse(template_object({"bank", name})));
  look();
  api_.put_pod(TemplateApiServer::pod("bank", "p", "enclayer-epc-3"));
  look_after(ClaimTemplates::kSweep);
  EXPECT_THAT(api_.templates(), ElementsAre(Key("bank/enclayer-epc-3")));
  api_.schedule("bank/p");
  look_after(ClaimTemplates::kSweep);
  EXPECT_THAT(api_.templates(), ElementsAre(Key("bank/enclayer-epc-3"))) << "unused at one sweep";
}

TEST_F(ClaimTemplatesTest, are_made_again_for_who_comes_after) {
  api_.put_pod(TemplateApiServer::pod("bank", "p", "enclayer-epc-65536"));
  look();
  api_.schedule("bank/p");
  look_after(ClaimTemplates::kSweep);
  look_after(ClaimTemplates::kSweep);
  EXPECT_THAT(api_.templates(), IsEmpty());
  api_.put_pod(TemplateApiServer::pod("bank", "q", "enclayer-epc-65536"));
  look_after(1s);
  EXPECT_THAT(api_.templates(), ElementsAre(Key("bank/enclayer-epc-65536")));
}

TEST_F(ClaimTemplatesTest, an_api_server_that_is_away_is_said) {
  look();
  api_.go_away(true);
  auto done = templates_.wait();
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().kind(), ErrorKind::kUnavailable);
}

TEST_F(ClaimTemplatesTest, a_pod_that_comes_ends_the_wait) {
  look();
  auto waited = std::async(std::launch::async, [&] { return templates_.wait(); });
  ASSERT_TRUE(api_.is_watched());
  api_.put_pod(TemplateApiServer::pod("bank", "p", "enclayer-epc-65536"));
  ASSERT_EQ(waited.wait_for(30s), std::future_status::ready) << "the watch itself never ends here";
  auto done = waited.get();
  EXPECT_TRUE(done) << done.error().message();
}

}  // namespace
}  // namespace enclayer::dra
