// SPDX-License-Identifier: Apache-2.0
#include "addon/kubectl.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/child_process.h"

namespace enclayer::addon {
namespace {

constexpr std::size_t kMaxErrInMessage = 2000;  // bytes of standard error

std::string_view trimmed(std::string_view text) {
  std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

}  // namespace

Kubectl::Kubectl(Connection connection) : connection_(std::move(connection)) {}

std::vector<std::string> Kubectl::command(const std::vector<std::string>& arguments) const {
  std::vector<std::string> out = {connection_.program};
  if (!connection_.context.empty()) out.push_back("--context=" + connection_.context);
  if (!connection_.kubeconfig.empty()) out.push_back("--kubeconfig=" + connection_.kubeconfig);
  out.insert(out.end(), arguments.begin(), arguments.end());
  return out;
}

Result<Answer> Kubectl::run(const Call& call) const {
  ENCLAYER_TRY(base::UniqueFd in, base::memory_file(call.input));
  auto done =
      base::run_to_end({.command = command(call.arguments), .input = in.get(), .dies_with_thread = true}, "kubectl",
                       {.out = call.max_output,
                        .time = call.timeout.count() > 0 ? call.timeout : connection_.timeout,
                        .stop = call.stop});
  const std::string cannot = "cannot " + call.doing;
  if (!done && done.error().kind() == ErrorKind::kTimedOut)
    return Error(ErrorKind::kTimedOut, cannot + ": " + done.error().message() +
                                           "; does the API server answer? Try: kubectl get --raw /readyz");
  if (!done) return done.error().with_context(cannot);
  const int exit_code = done->ending.exit_code();
  if (exit_code == 0 || exit_code == call.also_good)
    return Answer{exit_code, std::move(done->out), std::move(done->err)};
  std::string_view said = trimmed(done->err).substr(0, kMaxErrInMessage);
  return Error(ErrorKind::kIo, cannot + ": kubectl ended with " + std::to_string(exit_code) +
                                   (said.empty() ? " and said nothing" : ": " + std::string(said)));
}

Result<std::string> find_program(const std::string& name, std::string_view search_path) {
  auto usable = [](const std::string& path) {
    struct stat found {};
    return ::stat(path.c_str(), &found) == 0 && S_ISREG(found.st_mode) && ::access(path.c_str(), X_OK) == 0;
  };
  if (name.find('/') != std::string::npos) {
    if (usable(name)) return name;
    return Error(ErrorKind::kNotFound, name + " is not there, or is no program; --kubectl names your kubectl");
  }
  while (!search_path.empty()) {
    std::size_t end = std::min(search_path.find(':'), search_path.size());
    std::string folder(search_path.substr(0, end));
    search_path.remove_prefix(std::min(end + 1, search_path.size()));
    if (std::string path = folder + "/" + name; folder.starts_with('/') && usable(path)) return path;
  }
  return Error(ErrorKind::kNotFound, "there is no " + name +
                                         " in PATH; enclayer works through it: install kubectl, or say where it is "
                                         "with --kubectl PATH");
}

}  // namespace enclayer::addon
