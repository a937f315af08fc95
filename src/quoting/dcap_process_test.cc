// SPDX-License-Identifier: Apache-2.0
#include "quoting/dcap_process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/sha.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "base/bytes.h"
#include "base/file.h"
#include "fake/dcap_standin.h"
#include "fake/enclave_file.h"
#include "quoting/dcap_worker.h"

namespace enclayer::quoting {
namespace {

namespace fs = std::filesystem;
using fake::DcapStandin;
using fake::standin_report;
using std::chrono::milliseconds;
using testing::AllOf;
using testing::HasSubstr;

constexpr milliseconds kPatience{30'000};
constexpr milliseconds kShort{200};  // for what is meant to run into its deadline

Result<std::unique_ptr<DcapProcess>> start(const DcapStandin& standin, std::vector<std::string> environment = {}) {
  return DcapProcess::start(standin.launch(std::move(environment)), kPatience, -1);
}

DcapRequest request(DcapCall call) {
  DcapRequest request;
  request.call = call;
  return request;
}

DcapRequest quote_request(const sgx::Report& report, bool with_qe_report = false) {
  DcapRequest request{DcapCall::kQuote, report, std::nullopt};
  if (with_qe_report) {
    request.qe_report.emplace();
    request.qe_report->nonce.fill(0x22);
    request.qe_report->target.mr_enclave.fill(0x33);
  }
  return request;
}

std::string why(const Result<std::unique_ptr<DcapProcess>>& started) {
  return started ? "it started" : started.error().message();
}

// Links to the stand-in's files in a folder where enclaves can be laid beside them.
void lay_out(DcapStandin& standin) {
  fs::path folder = standin.folder() / "lib";
  fs::create_directory(folder);
  for (const auto& entry : fs::directory_iterator(standin.options().lib_dir))
    fs::create_symlink(fs::canonical(entry.path()), folder / entry.path().filename());
  standin.options().lib_dir = folder;
}

TEST(DcapProcess, it_loads_the_libraries_and_says_which) {
  DcapStandin standin;
  auto process = start(standin);
  ASSERT_TRUE(process) << why(process);
  EXPECT_THAT((*process)->loaded(),
              AllOf(HasSubstr("libsgx_qe3_logic.so (sgx_ql), provider"), HasSubstr("libdcap_quoteprov.so.1")));
  EXPECT_EQ(standin.calls("policy 0"), 1);
}

TEST(DcapProcess, intels_library_never_sees_sgx_aesm_addr) {
  DcapStandin standin;
  DcapLaunch launch = standin.launch({"SGX_AESM_ADDR=1"});
  ASSERT_TRUE(DcapProcess::start(launch, kPatience, -1));
  launch.environment.push_back("SGX_AESM_ADDR=1");  // even if somebody slipped it in: the worker itself takes it out
  ASSERT_TRUE(DcapProcess::start(launch, kPatience, -1));
  EXPECT_EQ(standin.calls("load SGX_AESM_ADDR=unset"), 2) << standin.log();
}

TEST(DcapProcess, the_provider_finds_its_configuration_and_a_place_for_its_cache) {
  DcapStandin standin;
  standin.options().pccs_url = "https://pccs.example/sgx/certification/v4/";
  ASSERT_TRUE(start(standin));
  std::string folder = (standin.folder() / "cache/dcap").string();
  EXPECT_EQ(standin.calls("load QCNL_CONF_PATH=" + folder + "/sgx_default_qcnl.conf"), 1) << standin.log();
  EXPECT_EQ(standin.calls("load AZDCAP_CACHE=" + folder), 1) << standin.log();
}

TEST(DcapProcess, a_worker_has_four_descriptors_and_leaves_no_core) {
  DcapStandin standin;
  base::UniqueFd leaky(::dup(0));  // without close-on-exec, as other people's libraries make them
  ASSERT_TRUE(start(standin));
  EXPECT_EQ(standin.calls("load descriptors 0 1 2 3"), 1) << standin.log();
  EXPECT_EQ(standin.calls("load core=0 dumpable=0 no_new_privs=1"), 1) << standin.log();
}

TEST(DcapProcess, it_names_what_is_loaded_and_the_enclaves_beside_it) {
  namespace fs = std::filesystem;
  DcapStandin standin;
  fs::path libraries = standin.folder() / "lib";
  fs::copy(standin.options().lib_dir, libraries, fs::copy_options::recursive);
  fs::rename(libraries / "libsgx_dcap_ql.so.1", libraries / "libsgx_dcap_ql.so.1.22.100.3");
  fs::create_symlink("libsgx_dcap_ql.so.1.22.100.3", libraries / "libsgx_dcap_ql.so.1");
  sgx::Sigstruct qe{{1, 2, 3}, 1, 11};
  ASSERT_TRUE(base::write_file_atomic(libraries / "libsgx_qe3.signed.so.1", fake::enclave_file({qe}), 0644));
  ASSERT_TRUE(base::write_file_atomic(libraries / "libsgx_pce.signed.so.1", base::as_bytes("no enclave"), 0644));
  standin.options().lib_dir = libraries;
  auto process = start(standin);
  ASSERT_TRUE(process) << why(process);
  auto reply = (*process)->call(request(DcapCall::kFiles), kPatience).value();
  EXPECT_EQ(reply.files, (std::vector<DcapFile>{{libraries / "libsgx_dcap_ql.so.1.22.100.3", {}},
                                                {libraries / "libsgx_qe3_logic.so", {}},
                                                {libraries / "libdcap_quoteprov.so.1", {}},
                                                {libraries / "libsgx_qe3.signed.so.1", {qe}},
                                                {libraries / "libsgx_pce.signed.so.1", {}}}));
}

TEST(DcapProcess, it_quotes_with_and_without_a_report_of_the_qe) {
  DcapStandin standin;
  auto process = start(standin);
  ASSERT_TRUE(process) << why(process);
  auto target = (*process)->call(request(DcapCall::kInit), kPatience).value();
  ASSERT_EQ(target.status, kDcapSuccess);
  auto size = (*process)->call(request(DcapCall::kSize), kPatience).value();
  EXPECT_EQ(size.size, 4600u);

  sgx::Report report = standin_report();
  auto plain = (*process)->call(quote_request(report), kPatience).value();
  ASSERT_EQ(plain.status, kDcapSuccess);
  const Bytes& quote = plain.quote.quote;
  EXPECT_EQ(quote.size(), 4600u);
  EXPECT_TRUE(std::equal(report.raw.begin(), report.raw.begin() + 384, quote.begin() + 48));
  EXPECT_TRUE(std::equal(quote.begin() + 884, quote.begin() + 916, target.target.pub_key_id.begin()))
      << "the QE's report in the quote binds the key that init told";
  EXPECT_FALSE(plain.quote.qe_report);

  auto full = (*process)->call(quote_request(report, true), kPatience).value();
  ASSERT_TRUE(full.quote.qe_report);
  Bytes hashed(16, 0x22);
  base::append(hashed, full.quote.quote);
  ByteArray<32> digest{};
  ::SHA256(hashed.data(), hashed.size(), digest.data());
  ReportBody body = full.quote.qe_report->body();
  EXPECT_TRUE(std::equal(digest.begin(), digest.end(), body.report_data.begin()));
  EXPECT_EQ(full.quote.qe_report->raw[416], 0x33) << "the target info of the asking enclave has reached the library";
}

TEST(DcapProcess, an_old_library_quotes_but_cannot_report) {
  DcapStandin standin("old");
  auto process = start(standin);
  ASSERT_TRUE(process) << why(process);
  EXPECT_THAT((*process)->loaded(), HasSubstr("only sgx_qe"));
  EXPECT_EQ((*process)->call(request(DcapCall::kInit), kPatience)->status, kDcapSuccess);
  EXPECT_EQ((*process)->call(request(DcapCall::kSize), kPatience)->size, 4600u);
  EXPECT_EQ((*process)->call(quote_request(standin_report()), kPatience)->quote.quote.size(), 4600u);
  EXPECT_EQ((*process)->call(quote_request(standin_report(), true), kPatience)->status, kDcapUnableToGenerateQeReport);
}

TEST(DcapProcess, a_missing_library_is_one_sentence_with_file_and_package) {
  DcapStandin standin;
  standin.options().lib_dir = standin.folder();
  EXPECT_THAT(why(start(standin)), AllOf(HasSubstr("libsgx_dcap_ql.so.1 cannot be loaded"),
                                         HasSubstr("install package libsgx-dcap-ql"), HasSubstr("--dcap-lib-dir")));
}

TEST(DcapProcess, a_missing_library_of_the_library_is_named_too) {
  DcapStandin standin;
  lay_out(standin);
  fs::remove(standin.options().lib_dir / "libsgx_qe3_logic.so");
  EXPECT_THAT(why(start(standin)),
              AllOf(HasSubstr("libsgx_qe3_logic.so"), HasSubstr("install package libsgx-qe3-logic")));
}

TEST(DcapProcess, a_library_without_the_functions_is_said_to_be_another) {
  DcapStandin standin("bare");
  EXPECT_THAT(why(start(standin)), HasSubstr("has neither sgx_ql_get_quote nor sgx_qe_get_quote"));
}

TEST(DcapProcess, a_missing_provider_is_one_sentence_with_file_and_packages) {
  DcapStandin standin("no-provider");
  EXPECT_THAT(why(start(standin)), AllOf(HasSubstr("libdcap_quoteprov.so.1"), HasSubstr("libsgx-dcap-default-qpl"),
                                         HasSubstr("az-dcap-client")));
}

TEST(DcapProcess, where_an_enclave_does_not_load_the_missing_file_or_device_is_named) {
  DcapStandin standin;
  lay_out(standin);
  standin.tell("init e016");
  auto explanation = [&] {
    auto process = start(standin);
    EXPECT_TRUE(process) << why(process);
    return (*process)->call(request(DcapCall::kInit), kPatience)->text;
  };
  auto make = [](const fs::path& path) { std::ofstream(path) << "x"; };
  EXPECT_THAT(explanation(), AllOf(HasSubstr("libsgx_qe3.signed.so.1 is not in"), HasSubstr("package libsgx-ae-qe3")));
  make(standin.options().lib_dir / "libsgx_qe3.signed.so.1");
  EXPECT_THAT(explanation(), HasSubstr("package libsgx-ae-pce"));
  make(standin.options().lib_dir / "libsgx_pce.signed.so.1");
  EXPECT_THAT(explanation(), HasSubstr("package libsgx-ae-id-enclave"));
  make(standin.options().lib_dir / "libsgx_id_enclave.signed.so.1");
  EXPECT_THAT(explanation(), HasSubstr("dev/sgx_enclave is not there"));
  fs::create_directory(standin.options().dev_dir);
  make(standin.options().dev_dir / "sgx_enclave");
  EXPECT_THAT(explanation(), HasSubstr("dev/sgx_provision is not there"));
  make(standin.options().dev_dir / "sgx_provision");
  EXPECT_EQ(explanation(), "");
  if (::geteuid() != 0) {
    fs::permissions(standin.options().dev_dir / "sgx_provision", fs::perms::none);
    EXPECT_THAT(explanation(), HasSubstr("may not be opened by user"));
  }
  EXPECT_EQ(standin.calls("path 1 " + (standin.options().lib_dir / "libsgx_pce.signed.so.1").string()),
            ::geteuid() == 0 ? 4 : 5);
}

TEST(DcapProcess, one_that_hangs_is_killed_at_the_deadline) {
  DcapStandin standin;
  standin.tell("hang init");
  auto process = start(standin);
  ASSERT_TRUE(process) << why(process);
  pid_t pid = (*process)->pid();
  auto reply = (*process)->call(request(DcapCall::kInit), kShort);
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().kind(), ErrorKind::kTimedOut);
  EXPECT_THAT(reply.error().message(), HasSubstr("did not answer within 200 ms"));
  process->reset();
  EXPECT_EQ(::kill(pid, 0), -1) << "it is dead and no zombie is left";
}

TEST(DcapProcess, of_one_that_dies_the_cause_is_told) {
  DcapStandin standin;
  standin.tell("crash init\nexit size");
  for (auto [call, cause] : {std::pair{DcapCall::kInit, "was killed by SIGSEGV"}, {DcapCall::kSize, "exit code 3"}}) {
    auto process = start(standin);
    ASSERT_TRUE(process) << why(process);
    auto reply = (*process)->call(request(call), kPatience);
    ASSERT_FALSE(reply);
    EXPECT_EQ(reply.error().kind(), ErrorKind::kUnavailable);
    EXPECT_THAT(reply.error().message(), HasSubstr(cause));
    EXPECT_FALSE((*process)->alive());
    EXPECT_FALSE((*process)->call(request(call), kPatience));
  }
}

TEST(DcapProcess, a_program_that_cannot_be_started_is_an_error) {
  DcapStandin standin;
  DcapLaunch launch = standin.launch();
  launch.command[0] = (standin.folder() / "no-such-program").string();
  EXPECT_THAT(why(DcapProcess::start(launch, kPatience, -1)), HasSubstr("cannot start " + launch.command[0]));
}

TEST(DcapProcess, what_the_libraries_print_is_kept_and_harmless) {
  DcapStandin standin;
  standin.tell("init e019\nsay [load_pce] SGXError:0001.\x1b[0m");
  auto process = start(standin);
  ASSERT_TRUE(process) << why(process);
  EXPECT_EQ((*process)->call(request(DcapCall::kInit), kPatience)->status, 0xE019u);
  EXPECT_EQ((*process)->said(), "[load_pce] SGXError:0001. [0m");
}

TEST(DcapProcess, a_stop_ends_the_waiting) {
  DcapStandin standin;
  standin.tell("hang init");
  base::UniqueFd stop(::eventfd(0, EFD_CLOEXEC));
  auto process = DcapProcess::start(standin.launch(), kPatience, stop.get());
  ASSERT_TRUE(process) << why(process);
  ::eventfd_write(stop.get(), 1);
  auto reply = (*process)->call(request(DcapCall::kInit), kPatience);
  ASSERT_FALSE(reply);
  EXPECT_THAT(reply.error().message(), HasSubstr("stopping"));
}

TEST(DcapProcess, no_worker_outlives_its_front_end) {
  DcapStandin standin;
  standin.tell("hang init");
  int pipe[2];
  ASSERT_EQ(::pipe(pipe), 0);
  base::UniqueFd in(pipe[0]), out(pipe[1]);
  pid_t front_end = ::fork();
  ASSERT_GE(front_end, 0);
  if (front_end == 0) {
    auto process = start(standin);
    pid_t pid = process ? (*process)->pid() : -1;
    if (::write(out.get(), &pid, sizeof pid) != sizeof pid) ::_exit(1);
    (void)(*process)->call(request(DcapCall::kInit), kPatience);
    ::_exit(0);
  }
  pid_t worker = -1;
  ASSERT_EQ(::read(in.get(), &worker, sizeof worker), static_cast<ssize_t>(sizeof worker));
  ASSERT_GT(worker, 0);
  base::UniqueFd watch(static_cast<int>(::syscall(SYS_pidfd_open, worker, 0)));
  ASSERT_TRUE(watch);
  ASSERT_EQ(::kill(front_end, SIGKILL), 0);
  ASSERT_EQ(::waitpid(front_end, nullptr, 0), front_end);
  pollfd dead{watch.get(), POLLIN, 0};
  EXPECT_EQ(::poll(&dead, 1, static_cast<int>(kPatience.count())), 1) << "the worker has to die with its front end";
}

TEST(DcapWorker, it_ends_when_it_is_talked_nonsense_to) {
  DcapStandin standin;
  DcapLaunch launch = standin.launch();
  for (const Bytes& nonsense : {Bytes{9}, Bytes(kMostDcapMessage + 1, 1)}) {
    int pair[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
    base::UniqueFd ours(pair[0]), theirs(pair[1]);
    auto worker = base::ChildProcess::start(
        {.command = launch.command, .environment = launch.environment, .further = theirs.get()});
    ASSERT_TRUE(worker) << worker.error().message();
    theirs.reset();
    char hello[2048];
    ASSERT_GT(::recv(ours.get(), hello, sizeof hello, 0), 0);
    ASSERT_EQ(::send(ours.get(), nonsense.data(), nonsense.size(), 0), static_cast<ssize_t>(nonsense.size()));
    EXPECT_EQ((*worker)->wait(kPatience).value().text(), "ended with exit code 1");
  }
}

}  // namespace
}  // namespace enclayer::quoting
