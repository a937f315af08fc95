// SPDX-License-Identifier: Apache-2.0
#include "addon_commands.h"

#include <stdlib.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>

#include "base/printable.h"

#include "cli_support.h"

namespace enclayer::apps {
namespace {

// A folder of this user alone for the socket of `kubectl proxy`. It goes when we end, also when we are interrupted.
class SocketFolder {
 public:
  SocketFolder() {
    std::error_code none;
    path_ = std::filesystem::temp_directory_path(none) / "enclayer-XXXXXX";
    if (::mkdtemp(path_.data()) == nullptr) return;  // who uses it says so
    socket_ = addon::ApiServer::socket_in(path_);
    folder_ = this;
    for (int signal : {SIGHUP, SIGINT, SIGPIPE, SIGTERM}) std::signal(signal, interrupted);
  }
  SocketFolder(const SocketFolder&) = delete;
  ~SocketFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  static void interrupted(int signal) {
    ::unlink((folder_->socket_).c_str());
    ::rmdir(folder_->path_.c_str());
    std::signal(signal, SIG_DFL);
    std::raise(signal);
  }

  static inline const SocketFolder* folder_ = nullptr;
  std::string path_, socket_;
};

}  // namespace

void add_cluster_flags(CLI::App& command, ClusterFlags& flags) {
  command.add_option("--context", flags.context, "The cluster, as kubectl's contexts call it")
      ->option_text("NAME [kubectl's own]");
  command.add_option("--kubeconfig", flags.kubeconfig, "kubectl's configuration")->option_text("FILE [kubectl's own]");
  command.add_option("--kubectl", flags.kubectl, "The kubectl to work through")->option_text("PATH [kubectl]");
}

Result<std::unique_ptr<addon::ApiServer>> connect(const ClusterFlags& flags, const std::string& search_path) {
  ENCLAYER_TRY(std::string program, addon::find_program(flags.kubectl, search_path));
  // Of the process, because it outlives what is in it.
  static const SocketFolder folder;
  return addon::ApiServer::start(
      addon::Kubectl({.program = program, .context = flags.context, .kubeconfig = flags.kubeconfig}), folder.path());
}

void print(std::FILE* to, const std::string& text) {
  std::fprintf(to, "%s\n", base::for_terminal(text).c_str());
  std::fflush(to);
}

void add_timeout_flag(CLI::App& command, addon::WaitLimits& limits) {
  command
      .add_option_function<int>(
          "--timeout", [&limits](int seconds) { limits.timeout = std::chrono::seconds(seconds); },
          "How long to wait, in seconds")
      ->check(CLI::Range(1, 86400))
      ->option_text("SECONDS [" + std::to_string(limits.timeout.count()) + "]");
}

std::string grouped(std::int64_t number) {
  std::string digits = std::to_string(number);
  for (std::size_t at = digits.size(); at > (number < 0 ? 4U : 3U);) digits.insert(at -= 3, ",");
  return digits;
}

void add_change_flags(CLI::App& command, ChangeFlags& flags) {
  command.add_flag("--dry-run", flags.dry_run, "Show what would change (kubectl diff), and change nothing");
  command.add_flag("--no-wait", flags.no_wait, "Apply, and do not wait until the nodes have it");
  add_timeout_flag(command, flags.limits);
  command.add_flag("--allow-gap", flags.allow_gap,
                   "Replace the quote helper with a gap on nodes without EPC for two; without it they are waited for");
  command.add_flag("--no-self-test", flags.no_self_test,
                   "Replace the quote helper without trying the new one on a node first");
  command.add_flag("--adopt", flags.adopt, "Take over objects and fields of these names that somebody else made");
  add_output_flag(command, flags.output);
  add_cluster_flags(command, flags.cluster);
}

}  // namespace enclayer::apps
