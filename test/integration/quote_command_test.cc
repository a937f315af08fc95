// SPDX-License-Identifier: Apache-2.0
// `enclayer quote` and `enclayer sim export`, the real binary, against the real quote helper and against services that
// misbehave.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <nlohmann/json.hpp>

#include "aesm/service.h"
#include "base/bytes.h"
#include "fake/frame_answers.h"
#include "fake/listen.h"
#include "fake/process.h"
#include "fake/quote_source.h"
#include "fake/temp_folder.h"
#include "net/frame_server.h"
#include "sim/ca.h"
#include "sim/platform.h"

namespace enclayer {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using fake::Finished;
using nlohmann::json;
using testing::HasSubstr;
using testing::StartsWith;

constexpr auto kPatience = 30s;

class QuoteCommandTest : public testing::Test {
 protected:
  void start_helper() {
    helper_ = std::make_unique<fake::Process>(std::vector<std::string>{
        ENCLAYER_BIN_DIR "/enclayer-quote-helper", "--platform", "sim", "--socket", socket_, "--state-dir", state_});
    ASSERT_TRUE(helper_->wait_for_output(" serving ", kPatience)) << helper_->output();
  }
  // An AESM service in this process, whose quotes come from `source_`.
  void start_fake_service() {
    start_service([this](ByteView request, const net::Peer&) -> std::optional<Bytes> {
      auto answer = aesm::Service(source_).answer(request);
      return answer ? std::optional(answer->reply) : std::nullopt;
    });
  }
  void start_service(fake::FrameAnswers::Function answers) {
    answers_ = std::make_unique<fake::FrameAnswers>(std::move(answers));
    server_ = net::FrameServer::start({}, *answers_, metrics_).value();
    server_->serve(fake::listen_at(socket_).value(), 0, net::Holders::kProcesses);
  }
  Finished enclayer(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), ENCLAYER_BIN_DIR "/enclayer");
    return fake::run(arguments, kPatience);
  }
  Finished quote(std::vector<std::string> more = {}) {
    std::vector<std::string> arguments = {"quote", "--socket", socket_, "--out", out_};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return enclayer(arguments);
  }
  Finished sim_export() {
    return enclayer({"sim", "export", "--state-dir", state_, "--out", collateral_, "--root-ca-out", root_});
  }

  fake::TempFolder folder_;
  fs::path socket_ = folder_.path() / "aesm.socket", state_ = folder_.path() / "state",
           out_ = folder_.path() / "quote.bin", collateral_ = folder_.path() / "collateral.json",
           root_ = folder_.path() / "root.pem";
  std::unique_ptr<fake::Process> helper_;
  fake::QuoteSource source_;
  base::Metrics metrics_;
  std::unique_ptr<fake::FrameAnswers> answers_;
  std::unique_ptr<net::FrameServer> server_;
};

TEST_F(QuoteCommandTest, quote_is_written_and_verifies_with_what_sim_export_gives) {
  start_helper();
  auto quoted = quote({"--report-data", "656e636c61796572"});
  ASSERT_EQ(quoted.exit_code, 0) << quoted.err;
  EXPECT_THAT(quoted.out, StartsWith("SIMULATED"));
  EXPECT_THAT(quoted.out, HasSubstr("656e636c61796572" + std::string(112, '0')));
  auto exported = sim_export();
  ASSERT_EQ(exported.exit_code, 0) << exported.err;
  auto verified =
      enclayer({"verify", "--quote", out_, "--collateral", collateral_, "--root-ca", root_, "--output", "json"});
  EXPECT_EQ(verified.exit_code, 0) << verified.out << verified.err;
  json verdict = json::parse(verified.out);
  EXPECT_EQ(verdict["verdict"], "trusted");
  EXPECT_EQ(verdict["simulated"], true);
  EXPECT_EQ(verdict["report_data"], "656e636c61796572" + std::string(112, '0'));
  auto under_intel = enclayer({"verify", "--quote", out_, "--collateral", collateral_, "--output", "json"});
  EXPECT_EQ(under_intel.exit_code, 2);
  EXPECT_EQ(json::parse(under_intel.out)["root"], "intel");
}

TEST_F(QuoteCommandTest, what_sim_export_gives_goes_to_standard_output_when_asked) {
  start_helper();
  ASSERT_EQ(sim_export().exit_code, 0);
  auto to_output = [&](const char* flag) { return enclayer({"sim", "export", "--state-dir", state_, flag, "-"}); };
  EXPECT_EQ(to_output("--out").out, base::read_text(collateral_, 1 << 20).value());
  EXPECT_EQ(to_output("--root-ca-out").out, base::read_text(root_, 1 << 20).value());

  auto both = enclayer({"sim", "export", "--state-dir", state_, "--out", "-", "--root-ca-out", "-"});
  EXPECT_EQ(both.exit_code, 1);
  EXPECT_THAT(both.err, HasSubstr("cannot both go to standard output"));
  auto neither = enclayer({"sim", "export", "--state-dir", state_});
  EXPECT_EQ(neither.exit_code, 1);
  EXPECT_THAT(neither.err, HasSubstr("--out or --root-ca-out is required"));
}

TEST_F(QuoteCommandTest, json_says_what_was_made) {
  start_helper();
  auto quoted = quote({"--output", "json"});
  ASSERT_EQ(quoted.exit_code, 0) << quoted.err;
  json out = json::parse(quoted.out);
  EXPECT_EQ(out["quote"], out_.string());
  EXPECT_EQ(out["bytes"], fs::file_size(out_));
  EXPECT_EQ(out["simulated"], true);
  EXPECT_EQ(out["report_data"], std::string(128, '0'));
}

TEST_F(QuoteCommandTest, service_that_is_not_there_is_4_with_the_remedy) {
  auto missing = quote();
  EXPECT_EQ(missing.exit_code, 4);
  EXPECT_THAT(missing.err, HasSubstr("enclayer-quote-helper --socket " + socket_.string()));
  { auto dead = fake::listen_at(socket_).value(); }
  EXPECT_EQ(quote().exit_code, 4);
  EXPECT_FALSE(fs::exists(out_));
}

TEST_F(QuoteCommandTest, service_that_stays_silent_is_4_when_the_time_is_up) {
  auto silent = fake::listen_at(socket_).value();
  auto finished = quote({"--timeout", "1"});
  EXPECT_EQ(finished.exit_code, 4);
  EXPECT_THAT(finished.err, HasSubstr("no reply within 1000 ms"));
}

TEST_F(QuoteCommandTest, report_refused_as_hardware_refuses_it_is_explained) {
  source_.next_quote = Error(ErrorKind::kPermissionDenied, "wrong MAC");
  source_.next_size = 4600;
  start_fake_service();
  auto finished = quote();
  EXPECT_EQ(finished.exit_code, 3);
  EXPECT_THAT(finished.err, HasSubstr("ATT_KEY_NOT_INITIALIZED (42)"));
  EXPECT_THAT(finished.err, HasSubstr("real hardware"));
  EXPECT_FALSE(fs::exists(out_));
}

TEST_F(QuoteCommandTest, service_that_lies_about_its_quote_is_caught) {
  source_.next_size = 4600;
  source_.next_quote = quoting::QuoteReply{Bytes(436), sgx::Report{}};
  start_fake_service();
  auto finished = quote();
  EXPECT_EQ(finished.exit_code, 3);
  EXPECT_THAT(finished.err, HasSubstr("QE report"));
  EXPECT_FALSE(fs::exists(out_));
}

TEST_F(QuoteCommandTest, service_that_speaks_rubbish_is_2) {
  start_service([](ByteView, const net::Peer&) -> std::optional<Bytes> { return Bytes{0xff, 0xff}; });
  EXPECT_EQ(quote().exit_code, 2);
}

TEST_F(QuoteCommandTest, file_that_cannot_be_written_is_3) {
  start_helper();
  out_ = folder_.path() / "no-such-folder" / "quote.bin";
  auto finished = quote();
  EXPECT_EQ(finished.exit_code, 3);
  EXPECT_THAT(finished.err, HasSubstr(out_.string()));
}

TEST_F(QuoteCommandTest, misuse_is_1) {
  for (std::vector<std::string> wrong : {std::vector<std::string>{"quote"},
                                         {"quote", "--out"},
                                         {"quote", "--out", "x", "--report-data", "abc"},
                                         {"quote", "--out", "x", "--report-data", "zz"},
                                         {"quote", "--out", "x", "--report-data", std::string(130, '0')},
                                         {"quote", "--out", "x", "--output", "xml"},
                                         {"quote", "--out", "x", "--timeout", "0"},
                                         {"sim"},
                                         {"sim", "export"},
                                         {"sim", "export", "--out", "-", "--root-ca-out", "-"}}) {
    auto finished = enclayer(wrong);
    EXPECT_EQ(finished.exit_code, 1) << wrong.back() << finished.out << finished.err;
  }
  EXPECT_THAT(quote({"--report-data", std::string(130, '0')}).err, HasSubstr("64 bytes at most, this has 65"));
}

TEST_F(QuoteCommandTest, export_reads_only_what_is_public) {
  start_helper();
  helper_->signal(SIGTERM);
  ASSERT_EQ(helper_->wait(kPatience), 0);
  fs::remove_all(state_ / "private");
  EXPECT_EQ(sim_export().exit_code, 0);
  EXPECT_EQ(base::read_text(collateral_, 1 << 20).value(),
            base::read_text(sim::public_collateral_path(state_), 1 << 20).value());
}

TEST_F(QuoteCommandTest, export_without_a_simulation_or_with_a_damaged_one_says_so) {
  auto none = sim_export();
  EXPECT_EQ(none.exit_code, 3);
  EXPECT_THAT(none.err, HasSubstr("enclayer-quote-helper --platform sim --state-dir " + state_.string()));
  start_helper();
  ASSERT_TRUE(base::write_file_atomic(sim::public_collateral_path(state_), base::as_bytes("{\"half"), 0644));
  EXPECT_EQ(sim_export().exit_code, 2);
  EXPECT_FALSE(fs::exists(collateral_));
}

TEST_F(QuoteCommandTest, export_does_not_pass_off_another_root_as_a_simulations) {
  start_helper();
  fs::copy_file(ENCLAYER_TEST_DATA "/quotes/intel_root_2049.pem", sim::public_root_path(state_),
                fs::copy_options::overwrite_existing);
  auto finished = sim_export();
  EXPECT_EQ(finished.exit_code, 2);
  EXPECT_THAT(finished.err, HasSubstr("SIMULATED"));
}

}  // namespace
}  // namespace enclayer
