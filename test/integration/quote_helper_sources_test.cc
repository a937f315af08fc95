// SPDX-License-Identifier: Apache-2.0
// enclayer-quote-helper, the real binary: quotes from (a stand-in of) Intel's libraries, and its own user.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

#include "aesm/client.h"
#include "base/file.h"
#include "base/hex.h"
#include "fake/aesm_frames.h"
#include "fake/dcap_standin.h"
#include "fake/http_get.h"
#include "fake/process.h"
#include "fake/quote_helper.h"
#include "net/frame_client.h"
#include "sim/enclave.h"
#include "slots/slots.h"
#include "troubles/troubles.h"

namespace enclayer {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using fake::Process;
using fake::standin_report;
using testing::HasSubstr;

constexpr auto kPatience = 60s;
constexpr char kProgram[] = ENCLAYER_BIN_DIR "/enclayer-quote-helper";

class SourcesTest : public testing::Test {
 protected:
  std::unique_ptr<Process> start(std::vector<std::string> argv,
                                 const std::map<std::string, std::string>& environment = {}) {
    auto process = std::make_unique<Process>(argv, environment);
    EXPECT_TRUE(process->wait_for_output(" serving ", kPatience)) << process->output();
    return process;
  }
  Bytes reply(ByteView request) {
    auto got = net::call(socket_, request, kPatience);
    EXPECT_TRUE(got) << got.error().message();
    return got.value_or(Bytes{});
  }
  fake::QuoteClient client() { return fake::QuoteClient(socket_); }
  Result<quoting::QuoteTarget> target() { return client().target(); }
  Result<quoting::QuoteReply> quote(const sgx::Report& report) { return client().quote(report); }
  static std::string page(const Process& helper, const std::string& path) {
    return fake::http_get(fake::metrics_address(helper.err()), path);
  }
  static bool wait_for(const std::function<bool()>& holds) {
    auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (!holds()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      std::this_thread::sleep_for(5ms);  // a poll of another process
    }
    return true;
  }

  fake::TempFolder folder_;
  fs::path socket_ = folder_.path() / "run" / "aesm.socket", state_ = folder_.path() / "state";
};

// ---- Intel's libraries ----

class HardwareTest : public SourcesTest {
 protected:
  HardwareTest() {
    folder_.write("dev/sgx_enclave", "");
    standin_.options().cache_dir = folder_.path() / "cache";
  }
  std::vector<std::string> argv(std::vector<std::string> more = {}) {
    std::vector<std::string> all = {kProgram,
                                    "--socket",
                                    socket_,
                                    "--slots-dir",
                                    folder_.path() / "slots",
                                    "--state-dir",
                                    state_,
                                    "--dev-root",
                                    folder_.path() / "dev",
                                    "--dcap-lib-dir",
                                    standin_.options().lib_dir,
                                    "--cache-dir",
                                    standin_.options().cache_dir,
                                    "--metrics-listen",
                                    "127.0.0.1:0"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  std::map<std::string, std::string> environment() const {
    return {{"ENCLAYER_STANDIN", standin_.folder() / "orders"},
            {"ENCLAYER_STANDIN_LOG", standin_.folder() / "log"},
            {"SGX_AESM_ADDR", "1"}};
  }
  std::unique_ptr<Process> start(std::vector<std::string> more = {}) {
    return SourcesTest::start(argv(std::move(more)), environment());
  }

  fake::DcapStandin standin_;
};

TEST_F(HardwareTest, clients_get_quotes_of_the_library) {
  auto helper = start({"--workers", "2"});
  auto found = target();
  ASSERT_TRUE(found) << found.error().message() << helper->output();
  EXPECT_EQ(aesm::read_quote_size_reply(reply(aesm::quote_size_request())).value(), 4600u);
  auto made = quote(standin_report());
  ASSERT_TRUE(made) << made.error().message();
  EXPECT_EQ(made->quote.size(), 4600u);
  EXPECT_THAT(quote(sgx::Report{}).error().message(), HasSubstr("ATT_KEY_NOT_INITIALIZED (42)"))
      << "not 47: the enclave may have learned its target from an earlier instance";
  EXPECT_THAT(page(*helper, "/readyz"), HasSubstr("200 OK"));
  EXPECT_THAT(page(*helper, "/metrics"), HasSubstr("\nenclayer_quotes_total 1\n"));
  helper->signal(SIGTERM);
  EXPECT_EQ(helper->wait(kPatience), 0);
}

TEST_F(HardwareTest, quote_that_hangs_delays_nobody_and_crash_costs_one_request) {
  auto helper = start({"--workers", "2"});
  ASSERT_TRUE(target());
  auto hanging = std::async(std::launch::async, [&] { return quote(standin_report(1, 'H')); });
  ASSERT_TRUE(wait_for([&] { return standin_.calls("quote") > 0; }));
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(quote(standin_report()));
  EXPECT_TRUE(target());
  EXPECT_FALSE(quote(standin_report(1, 'C')));
  EXPECT_TRUE(wait_for([&] { return quote(standin_report()).has_value(); }));
  EXPECT_EQ(hanging.wait_for(0s), std::future_status::timeout);
  auto late = hanging.get();
  ASSERT_FALSE(late);
  EXPECT_THAT(late.error().message(), HasSubstr("BUSY")) << "before Intel's clients give up at 15 s";
  EXPECT_THAT(page(*helper, "/metrics"), HasSubstr("enclayer_quote_worker_deaths_total{reason=\"crash\"} 1"));
}

TEST_F(HardwareTest, hang_of_a_worker_that_has_quoted_costs_its_request_five_seconds) {
  auto helper = start();
  ASSERT_TRUE(quote(standin_report()));
  auto begin = std::chrono::steady_clock::now();
  auto hung = quote(standin_report(1, 'H'));
  auto took = std::chrono::steady_clock::now() - begin;
  ASSERT_FALSE(hung);
  EXPECT_THAT(hung.error().message(), HasSubstr("BUSY"));
  EXPECT_GE(took, 5s);
  EXPECT_LT(took, 8s);
  EXPECT_TRUE(wait_for([&] { return quote(standin_report()).has_value(); }));
}

TEST_F(HardwareTest, quote_that_hangs_is_made_by_another_worker_before_clients_give_up) {
  auto helper = start({"--workers", "2"});
  ASSERT_TRUE(target());
  ASSERT_TRUE(
      wait_for([&] { return page(*helper, "/metrics").find("\nenclayer_quote_workers_up 2\n") != std::string::npos; }));
  standin_.tell("hang-at 1");
  auto begin = std::chrono::steady_clock::now();
  EXPECT_TRUE(quote(standin_report())) << helper->output();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 12s);
  EXPECT_EQ(standin_.calls("quote"), 2);
}

TEST_F(HardwareTest, missing_library_is_said_and_what_needs_no_quote_is_answered) {
  auto command = argv();
  *std::next(std::ranges::find(command, "--dcap-lib-dir")) = folder_.path();
  auto helper = SourcesTest::start(command, environment());
  EXPECT_EQ(reply(fake::aesm_body("quote_ex-num.req")).size(), fake::aesm_body("quote_ex-num.standin-res").size());
  auto refused = target();
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message(), HasSubstr("SERVICE_UNAVAILABLE"));
  EXPECT_THAT(helper->err(), HasSubstr("install package libsgx-dcap-ql"));
  std::string ready = page(*helper, "/readyz");
  EXPECT_THAT(ready, HasSubstr("503"));
  EXPECT_THAT(ready, HasSubstr("libsgx_dcap_ql.so.1 cannot be loaded"));
}

TEST_F(HardwareTest, helper_that_cannot_quote_leaves_it_for_an_event) {
  auto command = argv({"--troubles-dir", folder_.path() / "troubles"});
  *std::next(std::ranges::find(command, "--dcap-lib-dir")) = folder_.path();
  auto helper = SourcesTest::start(command, environment());
  const fs::path file = folder_.path() / "troubles" / troubles::kQuoteHelper / troubles::kFile;
  ASSERT_TRUE(wait_for([&] { return fs::exists(file); })) << helper->output();
  auto said = troubles::parse_troubles(base::read_text(file, troubles::kMostFile).value());
  ASSERT_TRUE(said) << said.error().message();
  ASSERT_EQ(said->size(), 1u);
  EXPECT_EQ(said->front().kind, troubles::kCannotQuote);
  EXPECT_THAT(said->front().says, HasSubstr("libsgx_dcap_ql.so.1 cannot be loaded"));
}

TEST_F(HardwareTest, predecessor_serves_until_the_new_instance_can_quote) {
  auto old = start();
  ASSERT_TRUE(quote(standin_report()));
  standin_.tell("init e019");  // the certificate service is out of reach, for who starts now
  Process fresh(argv(), environment());
  ASSERT_TRUE(fresh.wait_for_output("the sockets are left to who serves them", kPatience)) << fresh.output();
  EXPECT_TRUE(quote(standin_report()));
  EXPECT_FALSE(old->wait(0ms));
  EXPECT_THAT(page(fresh, "/readyz"), HasSubstr("503"));
  standin_.tell("");
  ASSERT_TRUE(fresh.wait_for_output(" serving ", kPatience)) << fresh.output();
  EXPECT_EQ(old->wait(kPatience), 0) << old->output();
  EXPECT_TRUE(quote(standin_report()));
}

TEST_F(HardwareTest, hangup_starts_the_workers_again_with_the_configuration_read_anew) {
  folder_.write("qcnl.conf", "{\"pccs_url\": \"https://one/\"}");
  auto helper = start({"--qcnl-conf", folder_.path() / "qcnl.conf"});
  ASSERT_TRUE(target());
  folder_.write("qcnl.conf", "{\"pccs_url\": \"https://two/\"}");
  helper->signal(SIGHUP);
  ASSERT_TRUE(helper->wait_for_output("started again with what was reloaded", kPatience)) << helper->output();
  EXPECT_TRUE(quote(standin_report()));
  fs::path used = standin_.options().cache_dir / "dcap" / "sgx_default_qcnl.conf";
  EXPECT_THAT(base::read_text(used, 4096).value(), HasSubstr("https://two/"));

  fs::remove(folder_.path() / "qcnl.conf");
  helper->signal(SIGHUP);
  ASSERT_TRUE(helper->wait_for_output("not reloaded", kPatience));
  EXPECT_TRUE(quote(standin_report())) << "everything stays as it was";
}

TEST_F(HardwareTest, worker_dies_with_the_helper_and_never_sees_its_socket) {
  auto helper = start();
  ASSERT_TRUE(target());
  std::string log = standin_.log();
  EXPECT_THAT(log, HasSubstr("SGX_AESM_ADDR=unset"));
  pid_t worker = std::stoi(log.substr(log.find("load pid=") + 9));
  helper->signal(SIGKILL);
  ASSERT_TRUE(helper->wait(kPatience));
  EXPECT_TRUE(wait_for([&] { return ::kill(worker, 0) != 0; }));
}

TEST_F(HardwareTest, self_test_says_what_works_and_ends) {
  auto good = fake::run(argv({"--self-test"}), kPatience, environment());
  EXPECT_EQ(good.exit_code, 0) << good.err;
  for (const char* line : {"passed  load", "passed  init", "passed  size", "passed  quote", "not run verify"})
    EXPECT_THAT(good.out, HasSubstr(line));
  standin_.tell("init e019");
  auto bad = fake::run(argv({"--self-test"}), kPatience, environment());
  EXPECT_EQ(bad.exit_code, 4);
  EXPECT_THAT(bad.out, HasSubstr("FAILED  init"));
  EXPECT_FALSE(fs::exists(socket_)) << "nobody is served by it";
}

TEST_F(HardwareTest, facts_are_told_by_the_self_test_and_of_the_one_that_serves) {
  fs::path libraries = folder_.path() / "lib";
  fs::copy(standin_.options().lib_dir, libraries, fs::copy_options::recursive);
  fs::rename(libraries / "libsgx_dcap_ql.so.1", libraries / "libsgx_dcap_ql.so.1.22.100.3");
  fs::create_symlink("libsgx_dcap_ql.so.1.22.100.3", libraries / "libsgx_dcap_ql.so.1");
  standin_.options().lib_dir = libraries;
  auto command = argv({"--instance", "uid-1"});
  auto with = [&](std::vector<std::string> more) {
    auto all = command;
    all.insert(all.end(), more.begin(), more.end());
    return fake::run(all, kPatience, environment());
  };
  EXPECT_EQ(with({"--facts"}).exit_code, 3) << "nobody has served yet";

  auto tested = with({"--self-test", "--output", "json"});
  EXPECT_EQ(tested.exit_code, 0) << tested.err;
  auto test = nlohmann::json::parse(tested.out);
  EXPECT_EQ(test.at("passed"), true);
  EXPECT_EQ(test.at("steps").at(4).at("result"), "not run");
  EXPECT_EQ(test.at("facts").at("platform"), "hardware");
  EXPECT_EQ(test.at("facts").at("libraries").at(0).at("version"), "1.22.100.3");
  EXPECT_TRUE(test.at("facts").at("qe").at("isvsvn").is_null()) << "no enclave file is there, and nobody can tell";

  auto helper = SourcesTest::start(command, environment());
  ASSERT_TRUE(quote(standin_report()));
  nlohmann::json told;
  ASSERT_TRUE(wait_for([&] {
    told = nlohmann::json::parse(with({"--facts"}).out, nullptr, false);
    return told.is_object() && told.at("qe").is_object() && told.at("qe").at("from") == "quote";
  })) << told;
  EXPECT_EQ(told.at("qe").at("isvsvn"), 10);
  EXPECT_EQ(told.at("pce").at("isvsvn"), 15);
  EXPECT_EQ(told.at("instance"), "uid-1");
  EXPECT_EQ(told.at("generation"), 1);
  EXPECT_TRUE(told.at("tcb").is_null());
  EXPECT_THAT(told.at("tcb_unknown").get<std::string>(), HasSubstr("no collateral is at hand"));
  EXPECT_THAT(page(*helper, "/metrics"),
              HasSubstr("enclayer_quote_source_info{fmspc=\"unknown\",library_version=\"1.22.100.3\",pce_svn=\"15\","
                        "qe_isvsvn=\"10\",tcb=\"unknown\",tcb_status=\"unknown\"} 1\n"))
      << "the stand-in's PCK certificate names no platform";
}

TEST_F(HardwareTest, wrong_flags_are_refused_by_name) {
  auto refused = [&](std::vector<std::string> more, int code) {
    auto finished = fake::run(argv(std::move(more)), kPatience, environment());
    EXPECT_EQ(finished.exit_code, code) << finished.err;
    return finished.err;
  };
  EXPECT_THAT(refused({"--workers", "0"}, 1), HasSubstr("--workers"));
  EXPECT_THAT(refused({"--pccs-url", "ftp://x"}, 1), HasSubstr("--pccs-url"));
  EXPECT_THAT(refused({"--pccs-url", "https://x", "--qcnl-conf", "/x"}, 1), HasSubstr("exclude each other"));
  EXPECT_THAT(refused({"--qcnl-conf", "/nonexistent/x"}, 3), HasSubstr("/nonexistent/x"));
  EXPECT_THAT(refused({"--quotes-per-minute", "0"}, 1), HasSubstr("--quotes-per-minute"));
  EXPECT_THAT(refused({"--user", "root"}, 1), HasSubstr("--user"));
  EXPECT_THAT(refused({"--user", "0"}, 1), HasSubstr("--user"));
}

TEST_F(SourcesTest, facts_of_a_simulation_name_the_level_that_its_quotes_reach) {
  auto helper = SourcesTest::start(fake::sim_quote_helper(socket_, state_));
  auto printed = fake::run(fake::sim_quote_helper(socket_, state_, {"--facts"}), kPatience);
  EXPECT_EQ(printed.exit_code, 0) << printed.err;
  auto told = nlohmann::json::parse(printed.out);
  EXPECT_EQ(told.at("platform"), "sim");
  EXPECT_EQ(told.at("tcb").at("status"), "UpToDate");
  EXPECT_EQ(told.at("qe").at("from"), "quote");
  EXPECT_TRUE(told.at("libraries").empty());
}

// ---- Its own user ----

class UserTest : public SourcesTest {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "takes user 0: the helper gives it up";
    // Everybody may pass, as in /var: the helper's user has to.
    fs::permissions(folder_.path(), fs::perms(0755));
  }
  std::unique_ptr<Process> start(std::vector<std::string> more = {"--user", "64213"}) {
    return SourcesTest::start(fake::sim_quote_helper(socket_, state_, more));
  }
  Result<quoting::QuoteReply> quote() {
    ENCLAYER_TRY(sgx::Report report, client().report());
    return SourcesTest::quote(report);
  }
  static std::string status(const Process& helper) {
    return base::read_text("/proc/" + std::to_string(helper.pid()) + "/status", 1 << 16).value();
  }
  struct stat status_of(const fs::path& path) {
    struct stat found {};
    EXPECT_EQ(::stat(path.c_str(), &found), 0) << path;
    return found;
  }
};

TEST_F(UserTest, user_0_is_given_up_for_good_with_all_capabilities_and_folders_stay_roots) {
  const fs::path troubles = folder_.path() / "troubles";
  auto helper = start({"--user", "64213", "--troubles-dir", troubles});
  std::string found = status(*helper);
  EXPECT_THAT(found, HasSubstr("Uid:\t64213\t64213\t64213\t64213"));
  EXPECT_THAT(found, HasSubstr("Gid:\t64213\t64213\t64213\t64213"));
  EXPECT_THAT(found, HasSubstr("Groups:\t \n"));
  for (const char* set : {"CapPrm", "CapEff"}) EXPECT_THAT(found, HasSubstr(std::string(set) + ":\t0000000000000000"));
  EXPECT_THAT(found, HasSubstr("NoNewPrivs:\t1"));
  EXPECT_EQ(status_of(troubles).st_mode & 07777, 0755u) << "what others say is wrong is not the helper's to change";
  for (const fs::path& folder : {socket_.parent_path(), state_, troubles / "quote-helper"}) {
    EXPECT_EQ(status_of(folder).st_uid, 0u);
    EXPECT_EQ(status_of(folder).st_gid, 64213u);
    EXPECT_EQ(status_of(folder).st_mode & 07777, 0775u);
  }
  EXPECT_TRUE(quote());
}

// As in a container of the DaemonSet, which drops all other capabilities and is in the group.
TEST_F(UserTest, two_capabilities_and_the_group_are_enough_at_every_start) {
  ASSERT_TRUE(slots::make_slot(socket_.parent_path().parent_path() / "slots", "p0"));
  for (int times = 0; times < 2; ++times) {
    std::vector<std::string> argv = {"/usr/bin/setpriv", "--groups=64213", "--bounding-set=-all,+setuid,+setgid",
                                     "--inh-caps=-all,+setuid,+setgid"};
    for (const auto& word : fake::sim_quote_helper(socket_, state_, {"--user", "64213"})) argv.push_back(word);
    auto helper = SourcesTest::start(argv);
    EXPECT_THAT(status(*helper), HasSubstr("Uid:\t64213"));
    EXPECT_THAT(helper->err(), HasSubstr("slots=1"));
    EXPECT_TRUE(quote());
    argv.push_back("--self-test");
    auto tested = fake::run(argv, kPatience);
    EXPECT_EQ(tested.exit_code, 0) << tested.err;
  }
}

TEST_F(UserTest, bad_helper_can_neither_replace_nor_remove_a_slot_nor_make_one) {
  fs::path slots = socket_.parent_path().parent_path() / "slots";
  ASSERT_TRUE(slots::make_slot(slots, "p0"));
  // What the helper is when it serves, with all that it may.
  auto as_helper = [&](const std::string& command) {
    return fake::run({"/usr/bin/setpriv", "--reuid=64213", "--regid=64213", "--clear-groups", "/bin/sh", "-c",
                      "cd " + slots.string() + " && " + command});
  };
  for (const char* command : {"mv p0 away", "rmdir p0", "ln -sfnT /etc p0", "mkdir p1", "mv holders.json x",
                              "chmod 0777 .", "chmod 0777 p0", "chown 64213 p0"})
    EXPECT_NE(as_helper(command).exit_code, 0) << command;
  EXPECT_EQ(as_helper("touch p0/aesm.socket").exit_code, 0) << "that is what it is for";
  EXPECT_TRUE(fs::is_directory(fs::symlink_status(slots / "p0")));
}

TEST_F(UserTest, folders_that_an_earlier_version_gave_to_the_user_are_taken_as_they_are) {
  for (const fs::path& folder : {socket_.parent_path(), state_}) {
    fs::create_directories(folder);
    ASSERT_EQ(::chown(folder.c_str(), 64213, 64213), 0);
  }
  auto helper = start();
  EXPECT_TRUE(quote());
}

TEST_F(UserTest, what_is_somebody_elses_is_named_with_the_remedy) {
  fs::create_directories(socket_.parent_path());
  ASSERT_EQ(::chown(socket_.parent_path().c_str(), 995, 995), 0);
  auto refused = fake::run(fake::sim_quote_helper(socket_, state_, {"--user", "64213"}));
  EXPECT_EQ(refused.exit_code, 3);
  EXPECT_THAT(refused.err, HasSubstr(socket_.parent_path().string() + " belongs to user 995"));
  EXPECT_THAT(refused.err, HasSubstr("chown -R 64213:64213 " + socket_.parent_path().string()));
  ASSERT_EQ(::chown(socket_.parent_path().c_str(), 0, 0), 0);
  {
    auto as_user_0 = start({});
    EXPECT_TRUE(quote());
  }
  refused = fake::run(fake::sim_quote_helper(socket_, state_, {"--user", "64213"}));
  EXPECT_EQ(refused.exit_code, 3);
  EXPECT_THAT(refused.err, HasSubstr((state_ / "private").string() + " belongs to user 0"));
}

TEST_F(UserTest, folder_that_everybody_may_write_to_is_left_as_it_is) {
  fs::create_directory(folder_.path() / "shared");
  fs::permissions(folder_.path() / "shared", fs::perms(01777));
  socket_ = folder_.path() / "shared" / "aesm.socket";
  auto helper = start();
  EXPECT_EQ(status_of(folder_.path() / "shared").st_uid, 0u);
  EXPECT_EQ(status_of(folder_.path() / "shared").st_mode & 07777, 01777u);
  EXPECT_TRUE(quote());
}

}  // namespace
}  // namespace enclayer
