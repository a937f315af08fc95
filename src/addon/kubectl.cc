// SPDX-License-Identifier: Apache-2.0
#include "addon/kubectl.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>

#include "base/child_process.h"

namespace enclayer::addon {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::size_t kMaxErr = 64 << 10;       // of standard error; the rest is not kept
constexpr std::size_t kMaxErrInMessage = 2000;  // of it in a message

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
  const auto timeout = call.timeout.count() > 0 ? call.timeout : connection_.timeout;
  const auto deadline = steady_clock::now() + timeout;
  ENCLAYER_TRY(base::UniqueFd in, base::memory_file(call.input));
  ENCLAYER_TRY(base::Pipe out, base::make_pipe());
  ENCLAYER_TRY(base::Pipe err, base::make_pipe());
  ::fcntl(out.read.get(), F_SETPIPE_SZ, 1 << 20);  // lists are long; a smaller pipe works as well
  ENCLAYER_TRY(auto child, base::ChildProcess::start({.command = command(call.arguments),
                                                      .input = in.get(),
                                                      .output = out.write.get(),
                                                      .error = err.write.get()}));
  out.write.reset();
  err.write.reset();
  Answer answer;
  for (bool ended = false; !ended;) {
    const auto left = std::chrono::ceil<milliseconds>(deadline - steady_clock::now());
    pollfd waits[] = {
        {out.read.get(), POLLIN, 0}, {err.read.get(), POLLIN, 0}, {child->fd(), POLLIN, 0}, {call.stop, POLLIN, 0}};
    ::poll(waits, std::size(waits), static_cast<int>(std::clamp<milliseconds::rep>(left.count(), 0, 60'000)));
    if (waits[3].revents != 0) return Error(ErrorKind::kUnavailable, "cannot " + call.doing + ": it was stopped");
    // First whether it has ended: what it wrote before that is there to be read.
    auto ending = child->wait(milliseconds(0));
    base::keep_output(err.read, answer.err, kMaxErr);
    if (!base::keep_output(out.read, answer.out, call.max_output))
      return Error(ErrorKind::kExhausted, "cannot " + call.doing + ": the answer is longer than the " +
                                              std::to_string(call.max_output) + " bytes that are read at most");
    ended = ending.has_value();
    if (ended)
      answer.exit_code = ending->exit_code();
    else if (steady_clock::now() >= deadline)
      return Error(ErrorKind::kTimedOut, "cannot " + call.doing + ": kubectl was not done after " +
                                             std::to_string(timeout.count()) +
                                             " s; does the API server answer? Try: kubectl get --raw /readyz");
  }
  if (answer.exit_code == 0 || answer.exit_code == call.also_good) return answer;
  std::string_view said = trimmed(answer.err).substr(0, kMaxErrInMessage);
  return Error(ErrorKind::kIo, "cannot " + call.doing + ": kubectl ended with " + std::to_string(answer.exit_code) +
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
