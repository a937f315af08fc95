// SPDX-License-Identifier: Apache-2.0
// `enclayer detect` and the daemon enclayer-detect, the real binaries, against an API server that has its moods. Where
// a test wants a node without SGX, whatever this machine has, it shows a /dev without device nodes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/file.h"
#include "fake/api_server.h"
#include "fake/memory.h"
#include "fake/process.h"
#include "troubles/troubles.h"

namespace enclayer {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using fake::Finished;
using fake::http_answer;
using fake::HttpAnswer;
using nlohmann::json;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr auto kPatience = 30s;
constexpr auto kAtOnce = 4s;  // less than anything that a program could wait for on its own

class DetectTest : public testing::Test {
 protected:
  ~DetectTest() override { EXPECT_EQ(api_.broken(), ""); }

  Finished detect(std::vector<std::string> arguments, std::map<std::string, std::string> environment = {}) {
    arguments.insert(arguments.begin(), {ENCLAYER_BIN_DIR "/enclayer", "detect"});
    return fake::run(arguments, kPatience, environment);
  }
  Finished label(std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--label-node", "n1", "--account-dir", api_.account()});
    return detect(arguments, api_.environment());
  }
  std::unique_ptr<fake::Process> daemon(std::vector<std::string> more, const std::string& every = "0.05") {
    std::vector<std::string> arguments = {std::string(ENCLAYER_BIN_DIR) + "/enclayer-detect",
                                          "--label-node",
                                          "n1",
                                          "--every",
                                          every,
                                          "--account-dir",
                                          api_.account()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return std::make_unique<fake::Process>(arguments, api_.environment());
  }
  template <class Condition>
  static bool within(std::chrono::steady_clock::duration limit, Condition condition) {
    for (auto end = std::chrono::steady_clock::now() + limit; std::chrono::steady_clock::now() < end;) {
      if (condition()) return true;
      std::this_thread::sleep_for(5ms);
    }
    return condition();
  }
  // What a writer says is wrong.
  void say(const std::string& writer, const std::vector<troubles::Trouble>& all) {
    fs::create_directories(folder_.path() / writer);
    ASSERT_TRUE(base::write_file_atomic(folder_.path() / writer / troubles::kFile,
                                        base::as_bytes(troubles::to_json(all)), 0644));
  }
  Finished tell() { return label({"--troubles-dir", folder_.path()}); }
  static troubles::Trouble trouble(const troubles::Kind& kind, std::vector<troubles::Pod> pods = {}) {
    const Time noon = *parse_time("2026-01-31T12:00:00Z");
    return {kind, "it is gone", noon, noon, 1, false, std::move(pods)};
  }
  // By the object and the reason: "n1 EpcLost".
  std::map<std::string, json> events() const {
    std::map<std::string, json> out;
    for (const auto& [name, event] : api_.events())
      out[event["involvedObject"]["name"].get<std::string>() + " " + event["reason"].get<std::string>()] = event;
    return out;
  }
  bool labelled() const { return api_.labels().contains("enclayer.io/sgx"); }
  std::string no_devices() const { return folder_.path(); }

  fake::TempFolder folder_;
  fake::ApiServer api_;
};

TEST_F(DetectTest, node_without_a_device_is_not_usable_and_says_why) {
  auto table = detect({"--dev-root", no_devices()});
  EXPECT_EQ(table.exit_code, 4);
  EXPECT_THAT(table.out, HasSubstr("usable           no: this machine is not an SGX node: "));
  auto shown = detect({"--dev-root", no_devices(), "--output", "json"});
  EXPECT_EQ(shown.exit_code, 4);
  auto found = json::parse(shown.out);
  EXPECT_EQ(found["usable"], false);
  EXPECT_THAT(found["why_not"].get<std::string>(), HasSubstr("not an SGX node"));
  EXPECT_EQ(found["platform"], "hardware");
  EXPECT_EQ(found["labels"], json::object());
  EXPECT_EQ(found["devices"], json::array());
}

TEST_F(DetectTest, simulation_is_shown_as_one) {
  auto table = detect({"--platform", "sim", "--sim-epc", "4Gi"});
  EXPECT_EQ(table.exit_code, 0);
  EXPECT_THAT(table.out, HasSubstr("4096 MiB, SIMULATED"));
  auto found = json::parse(detect({"--platform", "sim", "--output", "json"}).out);
  EXPECT_EQ(found["labels"], (json{{"enclayer.io/epc-mib", "8192"},
                                   {"enclayer.io/platform", "sim"},
                                   {"enclayer.io/sgx", "true"},
                                   {"enclayer.io/sgx-driver", "sim"}}));
}

TEST_F(DetectTest, misuse_is_refused_with_1) {
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{"--sim-epc", "4Gi"},
                                             {"--platform", "sim", "--sim-epc", "4G"},
                                             {"--platform", "sim", "--sim-epc", "1Ki"},
                                             {"--platform", "other"},
                                             {"--output", "json", "--label-node", "n1"},
                                             {"--troubles-dir", "/tmp"},
                                             {"--output", "xml"}})
    EXPECT_EQ(detect(arguments).exit_code, 1) << testing::PrintToString(arguments);
  EXPECT_EQ(fake::run({ENCLAYER_BIN_DIR "/enclayer-detect"}, kPatience).exit_code, 1) << "no --label-node";
}

TEST_F(DetectTest, labelling_outside_a_pod_says_that_this_is_none) {
  auto refused = detect({"--label-node", "n1"}, {{"KUBERNETES_SERVICE_HOST", ""}, {"KUBERNETES_SERVICE_PORT", ""}});
  EXPECT_EQ(refused.exit_code, 4);
  EXPECT_THAT(refused.err, HasSubstr("this is no pod"));
}

TEST_F(DetectTest, node_is_labelled_and_unlabelled) {
  api_.set("enclayer.io/sim", "true");
  auto done = label({"--platform", "sim"});
  ASSERT_EQ(done.exit_code, 0) << done.err;
  EXPECT_THAT(done.out, IsEmpty());
  EXPECT_THAT(done.err, HasSubstr("labels changed"));
  EXPECT_TRUE(labelled());
  auto removed = label({"--dev-root", no_devices()});
  ASSERT_EQ(removed.exit_code, 0) << removed.err;
  EXPECT_EQ(api_.labels(), (fake::ApiServer::Labels{{"enclayer.io/sim", "true"}, {"kubernetes.io/os", "linux"}}));
}

TEST_F(DetectTest, node_that_loses_its_labels_has_an_event_that_says_why) {
  api_.set("enclayer.io/sim", "true");
  ASSERT_EQ(label({"--platform", "sim"}).exit_code, 0);
  ASSERT_TRUE(events().contains("n1 SgxFound"));
  EXPECT_EQ(events()["n1 SgxFound"]["type"], "Normal");
  EXPECT_THAT(events()["n1 SgxFound"]["message"].get<std::string>(),
              HasSubstr("8192 MiB of EPC, driver sim, SIMULATED"));
  ASSERT_EQ(label({"--dev-root", no_devices()}).exit_code, 0);
  ASSERT_TRUE(events().contains("n1 SgxLost"));
  EXPECT_EQ(events()["n1 SgxLost"]["type"], "Warning");
  EXPECT_THAT(events()["n1 SgxLost"]["message"].get<std::string>(), HasSubstr("this machine is not an SGX node"));
  const auto before = api_.methods().size();
  ASSERT_EQ(label({"--dev-root", no_devices()}).exit_code, 0);
  EXPECT_EQ(api_.methods().size(), before + 1) << "a node that never had SGX has no Events";
}

TEST_F(DetectTest, labels_are_changed_whether_an_event_says_so_or_not) {
  api_.set("enclayer.io/sim", "true");
  for (int i = 0; i < 2; ++i) api_.next([](const fake::HttpRequest&) { return std::nullopt; });
  api_.next({"", HttpAnswer::Then::kHang});
  auto done = label({"--platform", "sim"});
  EXPECT_EQ(done.exit_code, 0);
  EXPECT_TRUE(labelled());
  EXPECT_THAT(done.err, HasSubstr("no Event says so"));
}

TEST_F(DetectTest, what_daemons_say_is_wrong_becomes_events_of_the_node_and_of_pods) {
  say("device-plugin", {trouble(troubles::kEpcLost, {{"bank", "ledger-0", "u-1"}})});
  say("quote-helper", {trouble(troubles::kCannotQuote)});
  auto done = tell();
  ASSERT_EQ(done.exit_code, 0) << done.err;
  auto all = events();
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all["n1 EpcLost"]["message"], "it is gone; pods concerned: bank/ledger-0");
  EXPECT_EQ(all["ledger-0 EpcLost"]["involvedObject"]["uid"], "u-1");
  EXPECT_EQ(all["ledger-0 EpcLost"]["metadata"]["namespace"], "bank");
  EXPECT_EQ(all["n1 CannotQuote"]["source"]["host"], "n1");
  EXPECT_EQ(api_.count("GET"), 0u) << "labels are not looked at";
}

TEST_F(DetectTest, nothing_is_asked_of_the_api_server_where_nothing_is_wrong) {
  say("device-plugin", {});
  EXPECT_EQ(tell().exit_code, 0);
  EXPECT_THAT(api_.methods(), IsEmpty());
}

TEST_F(DetectTest, file_that_lies_or_leads_elsewhere_does_not_silence_the_other) {
  const std::string secret = "a secret of ours";
  for (int what = 0; what < 4; ++what) {
    const fs::path file = folder_.path() / "quote-helper" / troubles::kFile;
    say("quote-helper", {});
    fs::remove(file);
    if (what == 0) folder_.write("quote-helper/troubles.json", secret);
    if (what == 1) folder_.write("quote-helper/troubles.json", std::string(1 << 20, 'x'));
    if (what == 2) {
      folder_.write("elsewhere", secret);
      fs::create_symlink(folder_.path() / "elsewhere", file);
    }
    if (what == 3) fs::create_directory(file);
    say("device-plugin", {trouble(troubles::kEpcLost)});
    auto done = tell();
    EXPECT_EQ(done.exit_code, 0) << done.err;
    EXPECT_THAT(done.err, HasSubstr("what is wrong cannot be read")) << what;
    EXPECT_THAT(done.err, testing::Not(HasSubstr(secret))) << what;
    EXPECT_TRUE(events().contains("n1 EpcLost")) << what;
    fs::remove(file);
  }
}

TEST_F(DetectTest, daemon_tells_what_begins_and_what_is_over) {
  auto running = daemon({"--dev-root", no_devices(), "--troubles-dir", folder_.path()}, "3600");
  ASSERT_TRUE(running->wait_for_output("SGX cannot be used here", kPatience)) << running->output();
  say("device-plugin", {trouble(troubles::kEpcLost)});
  ASSERT_TRUE(within(kPatience, [&] { return events().contains("n1 EpcLost"); })) << running->output();
  auto over = trouble(troubles::kEpcLost);
  over.over = true;
  say("device-plugin", {over});
  ASSERT_TRUE(within(kPatience, [&] { return events().contains("n1 EpcBack"); })) << running->output();
  EXPECT_LE(fake::memory_mib(running->pid(), "VmHWM"), fake::kSanitized ? 1000 : 4);
  running->signal(SIGTERM);
  EXPECT_EQ(running->wait(kAtOnce), 0) << running->output();
}

TEST_F(DetectTest, daemon_labels_on_while_events_are_refused_and_tells_them_later) {
  api_.set("enclayer.io/sim", "true");
  say("device-plugin", {trouble(troubles::kEpcLost)});
  api_.refuse_events(503);
  auto running = daemon({"--platform", "sim", "--troubles-dir", folder_.path()});
  ASSERT_TRUE(running->wait_for_output("what is wrong is not told", kPatience)) << running->output();
  api_.set("enclayer.io/sgx", std::nullopt);
  ASSERT_TRUE(within(kPatience, [&] { return labelled(); })) << running->output();
  api_.refuse_events(0);
  ASSERT_TRUE(within(kPatience, [&] { return events().contains("n1 EpcLost"); })) << running->output();
}

TEST_F(DetectTest, simulation_leaves_a_node_without_the_users_label_alone_and_says_so) {
  auto done = label({"--platform", "sim"});
  EXPECT_EQ(done.exit_code, 0);
  EXPECT_THAT(done.err, HasSubstr("enclayer.io/sim=true"));
  EXPECT_EQ(api_.count("PATCH"), 0u);
}

TEST_F(DetectTest, exit_codes_tell_what_went_wrong) {
  api_.next(http_answer(200, "<html>"));
  EXPECT_EQ(label({}).exit_code, 2);
  api_.next(http_answer(403, "no"));
  EXPECT_EQ(label({}).exit_code, 4);
  fs::remove(api_.account() / "token");
  EXPECT_EQ(label({}).exit_code, 3);
}

TEST_F(DetectTest, daemon_labels_repairs_and_waits_in_little_memory) {
  api_.set("enclayer.io/sim", "true");
  auto running = daemon({"--platform", "sim"}, "0.2");
  ASSERT_TRUE(within(kPatience, [&] { return labelled(); })) << running->output();
  api_.set("enclayer.io/sgx", std::nullopt);
  api_.set("enclayer.io/sgx-driver", "other");
  ASSERT_TRUE(within(kPatience, [&] { return labelled(); })) << running->output();
  EXPECT_EQ(api_.labels()["enclayer.io/sgx-driver"], "sim");
  EXPECT_EQ(api_.labels()["enclayer.io/sim"], "true");
  if (!fake::kSanitized) {
    EXPECT_LE(fake::memory_mib(running->pid(), "VmHWM"), 4);
    EXPECT_GT(fake::memory_mib(running->pid(), "VmRSS"), 0);
  }
}

TEST_F(DetectTest, daemon_ends_at_once_when_it_is_told_to) {
  for (int number : {SIGTERM, SIGINT}) {
    auto running = daemon({"--dev-root", no_devices()}, "3600");
    ASSERT_TRUE(running->wait_for_output("SGX cannot be used here", kPatience)) << running->output();
    running->signal(number);
    EXPECT_EQ(running->wait(kAtOnce), 0) << running->output();
  }
}

TEST_F(DetectTest, daemon_does_not_wait_for_a_silent_api_server_when_it_is_told_to_end) {
  api_.next({"", HttpAnswer::Then::kHang});
  auto running = daemon({"--dev-root", no_devices()});
  ASSERT_TRUE(within(kPatience, [&] { return api_.count("GET") == 1; })) << running->output();
  running->signal(SIGTERM);
  EXPECT_EQ(running->wait(kAtOnce), 0) << running->output();
}

TEST_F(DetectTest, daemon_that_cannot_label_at_the_start_ends_and_says_why) {
  api_.next(http_answer(403, R"({"kind":"Status","message":"its own node only"})"));
  auto running = daemon({"--dev-root", no_devices()});
  EXPECT_EQ(running->wait(kPatience), 4);
  EXPECT_THAT(running->err(), HasSubstr("its own node only"));
}

TEST_F(DetectTest, daemon_that_cannot_label_later_tries_at_every_look) {
  api_.set("enclayer.io/sim", "true");
  auto running = daemon({"--platform", "sim"});
  ASSERT_TRUE(within(kPatience, [&] { return events().contains("n1 SgxFound"); })) << running->output();
  for (int i = 0; i < 3; ++i) api_.next(http_answer(403, "not now"));
  api_.set("enclayer.io/sgx", std::nullopt);
  ASSERT_TRUE(within(kPatience, [&] { return labelled(); })) << running->output();
  EXPECT_THAT(running->err(), HasSubstr("to be tried again at the next look"));
  EXPECT_THAT(running->err(), HasSubstr("not now"));
}

TEST_F(DetectTest, daemon_takes_the_labels_of_a_node_that_leaves_the_simulation_with_it) {
  api_.set("enclayer.io/sim", "true");
  auto running = daemon({"--platform", "sim"}, "3600");
  ASSERT_TRUE(within(kPatience, [&] { return labelled(); })) << running->output();
  api_.set("enclayer.io/sim", std::nullopt);
  running->signal(SIGTERM);  // so does the DaemonSet's controller, when the node is not one of its own any more
  EXPECT_EQ(running->wait(kPatience), 0);
  EXPECT_FALSE(labelled());
}

TEST_F(DetectTest, daemon_logs_json_when_it_is_asked_to) {
  auto running = daemon({"--dev-root", no_devices(), "--log-format", "json"}, "3600");
  ASSERT_TRUE(running->wait_for_output("SGX cannot be used here", kPatience)) << running->output();
  auto line = json::parse(running->err().substr(0, running->err().find('\n')));
  EXPECT_EQ(line["level"], "info");
  EXPECT_THAT(line["reason"].get<std::string>(), HasSubstr("not an SGX node"));
}

}  // namespace
}  // namespace enclayer
