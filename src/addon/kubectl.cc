// SPDX-License-Identifier: Apache-2.0
#include "addon/kubectl.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>

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

// One kubectl that runs.
class Running {
 public:
  Running(std::vector<std::string> command, const Call& call, std::chrono::seconds timeout)
      : call_(call), timeout_(timeout), deadline_(steady_clock::now() + timeout_) {
    if (auto started = start(std::move(command)); !started) failure_ = started.error();
  }
  Running(const Running&) = delete;

  bool done() const { return failure_ || exit_code_; }
  steady_clock::time_point deadline() const { return deadline_; }
  std::array<pollfd, 3> waits() const {
    return {pollfd{out_.get(), POLLIN, 0}, pollfd{err_.get(), POLLIN, 0}, pollfd{child_->fd(), POLLIN, 0}};
  }

  // Something may have happened.
  void look() {
    if (done()) return;
    // First whether it has ended: what it wrote before that is there to be read.
    auto ending = child_->wait(milliseconds(0));
    base::keep_output(err_, answer_.err, kMaxErr);
    if (!base::keep_output(out_, answer_.out, call_.max_output))
      failure_ = Error(ErrorKind::kExhausted, "cannot " + call_.doing + ": the answer is longer than the " +
                                                  std::to_string(call_.max_output) + " bytes that are read at most");
    else if (ending)
      exit_code_ = ending->exit_code();
    else if (steady_clock::now() >= deadline_)
      failure_ = Error(ErrorKind::kTimedOut, "cannot " + call_.doing + ": kubectl was not done after " +
                                                 std::to_string(timeout_.count()) +
                                                 " s; does the API server answer? Try: kubectl get --raw /readyz");
    if (failure_) child_.reset();
  }

  Result<Answer> take() {
    if (failure_) return *failure_;
    answer_.exit_code = *exit_code_;
    if (answer_.exit_code != 0 && answer_.exit_code != call_.also_good) {
      std::string_view said = trimmed(answer_.err).substr(0, kMaxErrInMessage);
      return Error(ErrorKind::kIo, "cannot " + call_.doing + ": kubectl ended with " +
                                       std::to_string(answer_.exit_code) +
                                       (said.empty() ? " and said nothing" : ": " + std::string(said)));
    }
    return std::move(answer_);
  }

 private:
  Result<> start(std::vector<std::string> command) {
    ENCLAYER_TRY(base::UniqueFd in, base::memory_file(call_.input));
    ENCLAYER_TRY(base::Pipe out, base::make_pipe());
    ENCLAYER_TRY(base::Pipe err, base::make_pipe());
    ::fcntl(out.read.get(), F_SETPIPE_SZ, 1 << 20);  // lists are long; a smaller pipe works as well
    ENCLAYER_TRY(
        child_,
        base::ChildProcess::start(
            {.command = std::move(command), .input = in.get(), .output = out.write.get(), .error = err.write.get()}));
    out_ = std::move(out.read);
    err_ = std::move(err.read);
    return {};
  }

  const Call& call_;
  std::chrono::seconds timeout_;
  steady_clock::time_point deadline_;
  base::UniqueFd out_, err_;
  std::unique_ptr<base::ChildProcess> child_;
  Answer answer_;
  std::optional<int> exit_code_;
  std::optional<Error> failure_;
};

}  // namespace

Kubectl::Kubectl(Connection connection) : connection_(std::move(connection)) {}

std::vector<std::string> Kubectl::command(const std::vector<std::string>& arguments) const {
  std::vector<std::string> out = {connection_.program};
  if (!connection_.context.empty()) out.push_back("--context=" + connection_.context);
  if (!connection_.kubeconfig.empty()) out.push_back("--kubeconfig=" + connection_.kubeconfig);
  out.insert(out.end(), arguments.begin(), arguments.end());
  return out;
}

Result<Answer> Kubectl::run(const Call& call) const { return std::move(run(std::vector<Call>{call}).front()); }

std::vector<Result<Answer>> Kubectl::run(const std::vector<Call>& calls) const {
  std::vector<std::unique_ptr<Running>> all;
  all.reserve(calls.size());
  for (const Call& call : calls)
    all.push_back(std::make_unique<Running>(command(call.arguments), call,
                                            call.timeout.count() > 0 ? call.timeout : connection_.timeout));
  while (true) {
    std::vector<pollfd> waits;
    auto deadline = steady_clock::time_point::max();
    for (const auto& one : all) {
      if (one->done()) continue;
      for (const pollfd& wait : one->waits()) waits.push_back(wait);
      deadline = std::min(deadline, one->deadline());
    }
    if (waits.empty()) break;
    auto left = std::chrono::ceil<milliseconds>(deadline - steady_clock::now());
    ::poll(waits.data(), waits.size(), static_cast<int>(std::clamp<milliseconds::rep>(left.count(), 0, 60'000)));
    for (const auto& one : all) one->look();
  }
  std::vector<Result<Answer>> answers;
  answers.reserve(all.size());
  for (const auto& one : all) answers.push_back(one->take());
  return answers;
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
