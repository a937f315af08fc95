// SPDX-License-Identifier: Apache-2.0
// The main job as a show: a simulated SGX node hands EPC to a workload, answers its quote request, and the quote
// verifies. The daemons and the command-line tool are the real ones; the kubelet is our stand-in, the container a mount
// namespace.
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "base/file.h"
#include "base/resource_names.h"
#include "cli_support.h"
#include "container.h"
#include "fake/kubelet.h"
#include "fake/process.h"

namespace enclayer::demo {
namespace {

using fake::Process;
using std::chrono::steady_clock;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

using base::kEpcResource, base::kQuoteResource;
constexpr std::size_t kPodMib = 10;
constexpr auto kPatience = 30s;  // for any one step; each takes milliseconds

// What the demo leaves behind if nobody cleans up: child processes and a folder. Cleaned up at the end and on Ctrl-C.
class Stage {
 public:
  Stage() {
    std::string name = (fs::temp_directory_path() / "enclayer-demo-XXXXXX").string();
    if (::mkdtemp(name.data()) != nullptr) folder_ = name;
  }

  const fs::path& folder() const { return folder_; }

  void add(pid_t pid) {
    std::lock_guard lock(mutex_);
    pids_.insert(pid);
  }

  void remove(pid_t pid) {
    std::lock_guard lock(mutex_);
    pids_.erase(pid);
  }

  // Ends what still runs (asks first), removes the folder. Safe from any thread, and a second time.
  void clear() {
    std::lock_guard lock(mutex_);
    for (pid_t pid : pids_) ::kill(-pid, SIGTERM);  // each child leads a process group of its own
    for (pid_t pid : pids_) {
      base::UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
      pollfd ends{pidfd.get(), POLLIN, 0};
      if (pidfd && ::poll(&ends, 1, 5000) == 0) ::kill(-pid, SIGKILL);
    }
    pids_.clear();
    std::error_code ignored;
    if (!folder_.empty()) fs::remove_all(folder_, ignored);
  }

 private:
  std::mutex mutex_;
  std::set<pid_t> pids_;
  fs::path folder_;
};

class Demo {
 public:
  Demo(Stage& stage, fs::path bin, fs::path self, fs::path sample)
      : stage_(stage), bin_(std::move(bin)), self_(std::move(self)), sample_(std::move(sample)) {}

  Result<> run() {
    std::printf(
        "enclayer demo: a simulated SGX node. It protects nothing, and every certificate it makes says SIMULATED.\n\n");
    ENCLAYER_CHECK(start_node());
    ENCLAYER_CHECK(start_quote_helper());
    ENCLAYER_TRY(fake::Kubelet::Allocation given, start_pod());
    ENCLAYER_CHECK(attest(given));
    ENCLAYER_CHECK(verify());
    return stop();
  }

  // The last lines of the daemons' logs, for when a step failed.
  void print_logs() const {
    for (const auto& [name, daemon] :
         {std::pair("enclayer-device-plugin", plugin_.get()), std::pair("enclayer-quote-helper", helper_.get())}) {
      if (daemon == nullptr) continue;
      std::string log = daemon->output();
      if (log.size() > 4000) log = log.substr(log.size() - 4000);
      std::fprintf(stderr, "--- log of %s\n%s", name, log.c_str());
    }
  }

 private:
  void step(const std::string& what, const std::string& detail) {
    double seconds = std::chrono::duration<double>(steady_clock::now() - start_).count();
    std::printf("%7.3f s  %-24s %s\n", seconds, what.c_str(), detail.c_str());
    std::fflush(stdout);
  }
  static void fact(const std::string& detail) { std::printf("%36s%s\n", "", detail.c_str()); }

  std::string in_folder(const char* name) const { return stage_.folder() / name; }

  std::unique_ptr<Process> start(const std::vector<std::string>& argv) {
    auto process = std::make_unique<Process>(argv);
    stage_.add(process->pid());
    return process;
  }

  Result<> start_node() {
    kubelet_ = std::make_unique<fake::Kubelet>(in_folder("kubelet"));
    ENCLAYER_CHECK(kubelet_->start());
    step("kubelet stand-in", "listens in " + in_folder("kubelet/device-plugins"));
    plugin_ = start({bin_ / "enclayer-device-plugin", "--platform", "sim", "--sim-epc", "8Gi", "--kubelet-dir",
                     in_folder("kubelet"), "--slots-dir", in_folder("quotes")});
    step("device plugin", "started: enclayer-device-plugin --platform sim --sim-epc 8Gi");
    ENCLAYER_CHECK(kubelet_->wait_for_devices(kEpcResource, 8192, kPatience));
    step("EPC advertised", std::string(kEpcResource) + ": 8192");
    return {};
  }

  Result<> start_quote_helper() {
    helper_ = start({bin_ / "enclayer-quote-helper", "--platform", "sim", "--socket", in_folder("aesmd/aesm.socket"),
                     "--slots-dir", in_folder("quotes"), "--state-dir", in_folder("state")});
    step("quote helper", "started: enclayer-quote-helper --platform sim");
    auto deadline = steady_clock::now() + kPatience;
    while (!fs::exists(in_folder("quotes/health/aesm.socket"))) {
      if (helper_->wait(5ms)) return Error(ErrorKind::kUnavailable, "enclayer-quote-helper ended before it served");
      if (steady_clock::now() > deadline) return Error(ErrorKind::kTimedOut, "no AESM socket after 30 s");
    }
    step("AESM sockets", "are there, one for each who asks, with a simulated Quoting Enclave behind them");
    ENCLAYER_TRY(auto quotes, kubelet_->wait_for(
                                  kQuoteResource, [](const auto& seen) { return seen.allocatable > 0; }, kPatience));
    step("quotes advertised", std::string(kQuoteResource) + ": " + std::to_string(quotes.allocatable));
    return {};
  }

  Result<fake::Kubelet::Allocation> start_pod() {
    ENCLAYER_TRY(fake::Kubelet::Allocation given, kubelet_->allocate(kEpcResource, kPodMib));
    auto node = kubelet_->resource(kEpcResource);
    step("10 MiB allocated", std::to_string(node.allocatable - node.allocated) + " MiB left");
    ENCLAYER_TRY(fake::Kubelet::Allocation quote, kubelet_->allocate(kQuoteResource, 1));
    given.mounts.insert(given.mounts.end(), quote.mounts.begin(), quote.mounts.end());
    given.envs.insert(quote.envs.begin(), quote.envs.end());
    for (const auto& device : given.devices)
      fact("device " + device.container_path + " (" + device.host_path + " on the node, " + device.permissions + ")");
    for (const auto& mount : given.mounts)
      fact("mount  " + mount.container_path + " (" + mount.host_path + " on the node, " +
           (mount.read_only ? "read-only)" : "read-write)"));
    for (const auto& [name, value] : given.envs) fact(std::string("env    ").append(name).append("=").append(value));
    if (given.devices.empty()) return Error(ErrorKind::kInternal, "the plugin gave no device");
    return given;
  }

  // The pod has asked for enclayer.io/quote, as in samples/attest/pod.yaml: socket and variable come with it.
  Result<> attest(const fake::Kubelet::Allocation& given) {
    std::map<std::string, std::string> environment = given.envs;
    environment["ENCLAYER"] = self_.parent_path() / "enclayer";
    ENCLAYER_CHECK(base::make_folder(in_folder("container"), 0700));
    std::vector<std::string> argv = {self_, "--in-container", in_folder("container")};
    auto add = [&](const char* flag, const std::string& host, const std::string& container) {
      argv.insert(argv.end(), {flag, host + ":" + container});
    };
    for (const auto& device : given.devices) add("--device", device.host_path, device.container_path);
    for (const auto& mount : given.mounts) add("--mount", mount.host_path, mount.container_path);
    argv.insert(argv.end(), {"--", sample_, in_folder("quote.bin")});
    ENCLAYER_TRY(auto finished, run_workload(argv, environment));
    if (finished.exit_code == kNoContainer) {
      step("no mount namespace here", "the workload runs beside the daemons instead (" + last_line(finished.err) + ")");
      environment["AESM_SOCKET"] = in_folder("aesmd/aesm.socket");
      ENCLAYER_TRY(finished,
                   run_workload({self_.parent_path() / "enclayer", "quote", "--socket", environment["AESM_SOCKET"],
                                 "--report-data", "656e636c61796572", "--out", in_folder("quote.bin")},
                                environment));
    }
    if (finished.exit_code != 0)
      return Error(ErrorKind::kUnavailable, "the workload ended with " + std::to_string(finished.exit_code) + ": " +
                                                finished.out + finished.err);
    std::error_code error;
    auto size = fs::file_size(in_folder("quote.bin"), error);
    if (error) return Error(ErrorKind::kNotFound, "the workload wrote no quote");
    step("quote received", std::to_string(size) + " bytes; the workload said:");
    for (std::size_t at = 0; at < finished.out.size();) {
      std::size_t end = std::min(finished.out.find('\n', at), finished.out.size());
      fact("| " + finished.out.substr(at, end - at));
      at = end + 1;
    }
    return {};
  }

  Result<> verify() {
    auto exported = fake::run({self_.parent_path() / "enclayer", "sim", "export", "--state-dir", in_folder("state"),
                               "--out", in_folder("collateral.json"), "--root-ca-out", in_folder("root.pem")});
    if (exported.exit_code != 0) return Error(ErrorKind::kInternal, "enclayer sim export: " + exported.err);
    step("collateral exported", "and the simulation's root certificate");
    ENCLAYER_TRY(nlohmann::json with_root, judge({"--root-ca", in_folder("root.pem")}));
    if (with_root.value("verdict", "") != "trusted" || !with_root.value("simulated", false))
      return Error(ErrorKind::kInternal, "the quote should be trusted as a simulated one: " + with_root.dump());
    step("quote verified", "trusted against the SIMULATION root, TCB status " + with_root.value("tcb_status", "?"));
    ENCLAYER_TRY(nlohmann::json with_intel, judge({}));
    if (with_intel.value("verdict", "") != "untrusted" || with_intel.value("root", "") != "intel")
      return Error(ErrorKind::kInternal, "the quote should be refused under Intel's root: " + with_intel.dump());
    step("quote refused", "against Intel's root, as it must be: " + with_intel.value("reason", "?"));
    return {};
  }

  Result<nlohmann::json> judge(const std::vector<std::string>& more) {
    std::vector<std::string> argv = {
        self_.parent_path() / "enclayer", "verify",   "--quote", in_folder("quote.bin"), "--collateral",
        in_folder("collateral.json"),     "--output", "json"};
    argv.insert(argv.end(), more.begin(), more.end());
    auto finished = fake::run(argv);
    auto verdict = nlohmann::json::parse(finished.out, nullptr, false);
    if (!verdict.is_object())
      return Error(ErrorKind::kInternal, "enclayer verify said no JSON: " + finished.out + finished.err);
    if (finished.exit_code != (verdict.value("verdict", "") == "trusted" ? 0 : 2))
      return Error(ErrorKind::kInternal, "enclayer verify: exit code " + std::to_string(finished.exit_code) +
                                             " does not fit " + verdict.dump());
    return verdict;
  }

  Result<> stop() {
    for (auto& [name, daemon] :
         {std::pair("enclayer-device-plugin", plugin_.get()), std::pair("enclayer-quote-helper", helper_.get())}) {
      daemon->signal(SIGTERM);
      auto exit_code = daemon->wait(kPatience);
      if (exit_code != 0)
        return Error(ErrorKind::kInternal, std::string(name) + " did not end cleanly after SIGTERM: " +
                                               (exit_code ? std::to_string(*exit_code) : "still running"));
      stage_.remove(daemon->pid());
    }
    kubelet_->stop();
    step("stopped", "both daemons ended by themselves; the demo's folder is removed");
    return {};
  }

  static constexpr int kNoContainer = 125;

  Result<fake::Finished> run_workload(const std::vector<std::string>& argv,
                                      const std::map<std::string, std::string>& environment) {
    Process process(argv, environment);
    stage_.add(process.pid());
    auto exit_code = process.wait(kPatience);
    if (!exit_code) return Error(ErrorKind::kTimedOut, "the workload still ran after 30 s");
    stage_.remove(process.pid());
    return fake::Finished{*exit_code, process.out(), process.err()};
  }

  static std::string last_line(const std::string& text) {
    std::string trimmed = text.substr(0, text.find_last_not_of('\n') + 1);
    return trimmed.substr(trimmed.rfind('\n') + 1);
  }

  Stage& stage_;
  fs::path bin_, self_, sample_;
  steady_clock::time_point start_ = steady_clock::now();
  std::unique_ptr<fake::Kubelet> kubelet_;
  std::unique_ptr<Process> plugin_, helper_;
};

std::vector<BindMount> parse_binds(const std::vector<std::string>& texts, bool read_only) {
  std::vector<BindMount> binds;
  for (const std::string& text : texts) {
    std::size_t colon = text.find(':');
    binds.push_back({text.substr(0, colon), text.substr(std::min(colon, text.size() - 1) + 1), read_only});
  }
  return binds;
}

}  // namespace
}  // namespace enclayer::demo

int main(int argc, char** argv) {
  using namespace enclayer;
  CLI::App app("Runs enclayer's main job on a simulated SGX node, step by step, and leaves nothing behind.",
               "enclayer-demo");
  apps::add_common(app);
  std::string scratch;
  std::vector<std::string> devices, mounts, command;
  app.add_option("--in-container", scratch)->group("");  // the demo calls itself with these four
  app.add_option("--device", devices)->group("");
  app.add_option("--mount", mounts)->group("");
  app.add_option("command", command)->group("");
  if (auto outcome = apps::parse(app, argc, argv); !outcome.go_on) return outcome.exit_code;

  if (!scratch.empty()) {
    if (command.empty()) return 1;
    auto entered = demo::enter_container(scratch, demo::parse_binds(devices, false), demo::parse_binds(mounts, true));
    if (!entered) {
      apps::fail("enclayer-demo", entered.error());
      return 125;
    }
    std::vector<char*> arguments;
    arguments.reserve(command.size() + 1);
    for (std::string& word : command) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    ::execv(arguments[0], arguments.data());
    std::perror(arguments[0]);
    return 127;
  }
  if (!command.empty()) {
    std::fprintf(stderr, "enclayer-demo: it takes no arguments\n");
    return 1;
  }

  sigset_t signals;
  ::sigemptyset(&signals);
  for (int number : {SIGINT, SIGTERM, SIGHUP, SIGUSR1}) ::sigaddset(&signals, number);
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);  // before there are threads: one of them waits for the signals

  demo::Stage stage;
  if (stage.folder().empty()) {
    std::perror("enclayer-demo: cannot make a temporary folder");
    return 3;
  }
  std::atomic<bool> interrupted = false;
  std::thread signal_thread([&] {
    int number = 0;
    ::sigwait(&signals, &number);
    if (number == SIGUSR1) return;  // the demo is over
    interrupted = true;
    stage.clear();
    std::fprintf(stderr, "\nenclayer-demo: stopped, nothing is left behind\n");
    ::_exit(128 + number);
  });

  std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe");
  std::filesystem::path build = self.parent_path().parent_path();
  demo::Demo demo(stage, build / "bin", self, ENCLAYER_SAMPLE);
  auto done = demo.run();
  if (interrupted) signal_thread.join();  // which ends the process
  if (!done) {
    std::fprintf(stderr, "\nenclayer-demo: FAILED: %s\n", done.error().message().c_str());
    demo.print_logs();
  }
  stage.clear();
  ::pthread_kill(signal_thread.native_handle(), SIGUSR1);
  signal_thread.join();
  if (done) std::printf("\nIt works. Next: docs/first-steps.md.\n");
  return done ? 0 : 4;
}
