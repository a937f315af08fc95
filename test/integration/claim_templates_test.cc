// SPDX-License-Identifier: Apache-2.0
// The real enclayer-claim-templates, with a stand-in of the API server.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include "fake/process.h"
#include "fake/template_api_server.h"

namespace enclayer {
namespace {

using namespace std::chrono_literals;
using fake::TemplateApiServer;
using testing::AllOf;
using testing::HasSubstr;

const std::string kProgram = ENCLAYER_BIN_DIR "/enclayer-claim-templates";
constexpr auto kSoon = 60s;  // a deadline, not a pause

TEST(ClaimTemplatesProgram, makes_templates_as_pods_come_and_ends_when_it_is_told_to) {
  TemplateApiServer api;
  fake::Process program({kProgram, "--account-dir", api.account()}, api.environment());
  for (int i = 1; i <= 3; ++i) {
    const std::string name = "enclayer-epc-" + std::to_string(i * 1'000);
    ASSERT_TRUE(api.is_watched()) << program.output();
    api.put_pod(TemplateApiServer::pod("bank", "p" + std::to_string(i), name));
    EXPECT_TRUE(api.wait_for([&](const auto& there) { return there.contains("bank/" + name); }, kSoon))
        << program.output();
  }
  program.signal(SIGTERM);
  EXPECT_EQ(program.wait(kSoon), 0) << program.output();
  EXPECT_EQ(api.broken(), "");
}

TEST(ClaimTemplatesProgram, goes_on_when_the_api_server_is_back) {
  TemplateApiServer api;
  api.go_away(true);
  fake::Process program({kProgram, "--account-dir", api.account()}, api.environment());
  ASSERT_TRUE(program.wait_for_output("the API server does not do its part", kSoon)) << program.output();
  api.put_pod(TemplateApiServer::pod("bank", "p", "enclayer-epc-65536"));
  api.go_away(false);
  EXPECT_TRUE(api.wait_for([](const auto& there) { return there.size() == 1; }, kSoon)) << program.output();
}

TEST(ClaimTemplatesProgram, says_that_it_runs_in_no_pod_or_without_an_account) {
  auto nowhere = fake::run({kProgram}, kSoon, {});
  EXPECT_EQ(nowhere.exit_code, 4);
  EXPECT_THAT(nowhere.err, HasSubstr("this is no pod"));
  auto nobody = fake::run({kProgram, "--account-dir", "/nonexistent"}, kSoon,
                          {{"KUBERNETES_SERVICE_HOST", "127.0.0.1"}, {"KUBERNETES_SERVICE_PORT", "1"}});
  EXPECT_EQ(nobody.exit_code, 3);
  EXPECT_THAT(nobody.err, HasSubstr("/nonexistent/ca.crt"));
}

}  // namespace
}  // namespace enclayer
