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
#include <regex>

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

bool has(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

// One kubectl that runs.
class Running {
 public:
  Running(const Connection& connection, const Call& call)
      : call_(call),
        timeout_(call.timeout.count() > 0 ? call.timeout : connection.timeout),
        deadline_(steady_clock::now() + timeout_) {
    if (auto started = start(connection); !started) failure_ = started.error();
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
    if (answer_.exit_code != 0 && answer_.exit_code != call_.also_good)
      return kubectl_error(call_, answer_.exit_code, answer_.err);
    return std::move(answer_);
  }

 private:
  Result<> start(const Connection& connection) {
    std::vector<std::string> argv = {connection.program};
    if (!connection.context.empty()) argv.push_back("--context=" + connection.context);
    if (!connection.kubeconfig.empty()) argv.push_back("--kubeconfig=" + connection.kubeconfig);
    argv.insert(argv.end(), call_.arguments.begin(), call_.arguments.end());
    ENCLAYER_TRY(base::UniqueFd in, base::memory_file(call_.input));
    ENCLAYER_TRY(base::Pipe out, base::make_pipe());
    ENCLAYER_TRY(base::Pipe err, base::make_pipe());
    ::fcntl(out.read.get(), F_SETPIPE_SZ, 1 << 20);  // lists are long; a smaller pipe works as well
    ENCLAYER_TRY(
        child_,
        base::ChildProcess::start(
            {.command = std::move(argv), .input = in.get(), .output = out.write.get(), .error = err.write.get()}));
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

std::optional<std::string> matched(const std::string& text, const char* pattern, int group = 1) {
  std::smatch match;
  if (!std::regex_search(text, match, std::regex(pattern))) return std::nullopt;
  return match[group].str();
}

}  // namespace

Kubectl::Kubectl(Connection connection) : connection_(std::move(connection)) {}

Result<Answer> Kubectl::run(const Call& call) const { return std::move(run(std::vector<Call>{call}).front()); }

std::vector<Result<Answer>> Kubectl::run(const std::vector<Call>& calls) const {
  std::vector<std::unique_ptr<Running>> all;
  all.reserve(calls.size());
  for (const Call& call : calls) all.push_back(std::make_unique<Running>(connection_, call));
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
  if (has(name, "/")) {
    if (usable(name)) return name;
    return Error(ErrorKind::kNotFound, name + " is not there, or is no program; --kubectl names your kubectl");
  }
  while (!search_path.empty()) {
    std::size_t end = std::min(search_path.find(':'), search_path.size());
    std::string folder(search_path.substr(0, end));
    search_path.remove_prefix(std::min(end + 1, search_path.size()));
    if (std::string path = (folder.empty() ? "." : folder) + "/" + name; usable(path)) return path;
  }
  return Error(ErrorKind::kNotFound, "there is no " + name +
                                         " in PATH; enclayer works through it: install kubectl, or say where it is "
                                         "with --kubectl PATH");
}

Error kubectl_error(const Call& call, int exit_code, std::string_view err) {
  std::string text(trimmed(err).substr(0, kMaxErrInMessage));
  std::string cannot = "cannot " + call.doing + ": ";
  // Client libraries log what they try; the last lines are what kubectl says.
  static const std::regex kLogLine("(^|\n)[EWI][0-9]{4} [^\n]*");
  if (std::string said(trimmed(std::regex_replace(text, kLogLine, ""))); !said.empty()) text = said;

  if (has(text, "(Unauthorized)") || has(text, "must be logged in to the server"))
    return {ErrorKind::kPermissionDenied, cannot + "the API server does not accept this login (" + text +
                                              "); log in again, then: kubectl auth whoami"};
  if (auto user = matched(text, R"re(User "([^"]*)" cannot )re")) {
    std::string verb = matched(text, R"re(cannot ([a-z]+) resource)re").value_or("use");
    std::string resource = matched(text, R"re( resource "([^"]*)")re").value_or("it");
    std::string where = has(text, "in the namespace")
                            ? "in namespace " + matched(text, R"re(in the namespace "([^"]*)")re").value_or("?")
                            : "in the whole cluster";
    return {ErrorKind::kPermissionDenied, cannot + "user \"" + *user + "\" has no right to " + verb + " " + resource +
                                              " " + where +
                                              "; somebody who administers the cluster has to give it, or to run this"};
  }
  if (auto context = matched(text, R"re(context "([^"]*)" does not exist)re");
      context || (context = matched(text, R"re(context was not found for specified context: ([^\n]*))re")))
    return {ErrorKind::kInvalidArgument,
            cannot + "there is no context \"" + *context + "\"; kubectl config get-contexts lists them"};
  if (has(text, "no such file or directory") && call.input.empty() && has(text, "stat "))
    return {ErrorKind::kInvalidArgument, cannot + "the kubeconfig is not there (" + text + ")"};
  if (has(text, "localhost:8080"))
    return {ErrorKind::kUnavailable,
            cannot +
                "kubectl knows no cluster: there is no kubeconfig, or it names no current context; "
                "kubectl config current-context tells, --context NAME or --kubeconfig FILE says which"};
  static const std::regex kConflict(R"re(Apply failed with [0-9]+ conflicts?: ([\s\S]*?)(\nPlease review|$))re");
  if (std::smatch match; std::regex_search(text, match, kConflict))
    return {ErrorKind::kConflict,
            cannot + std::string(trimmed(match[1].str())) +
                "; somebody else set these fields of our objects. Undo that, or take them over with --adopt"};
  if (has(text, "(NotFound)")) return {ErrorKind::kNotFound, cannot + text};
  if (has(text, "no matches for kind") || has(text, "doesn't have a resource type"))
    return {ErrorKind::kNotFound, cannot + text + "; the cluster does not know that kind"};
  if (has(text, "(AlreadyExists)") || has(text, "(Conflict)")) return {ErrorKind::kConflict, cannot + text};
  if (has(text, "(Forbidden)") || has(text, "denied request")) return {ErrorKind::kPermissionDenied, cannot + text};
  if (has(text, "(Invalid)") || has(text, "(BadRequest)") || has(text, "is invalid"))
    return {ErrorKind::kInvalidArgument, cannot + text};
  if (has(text, "timed out waiting")) return {ErrorKind::kTimedOut, cannot + text};
  constexpr const char* kAway[] = {"connection to the server",
                                   "Unable to connect",
                                   "dial tcp",
                                   "connection refused",
                                   "i/o timeout",
                                   "TLS handshake",
                                   "no such host",
                                   "(ServiceUnavailable)",
                                   "(Timeout)",
                                   "(InternalError)",
                                   "(TooManyRequests)",
                                   "etcdserver",
                                   "EOF",
                                   "deadline exceeded",
                                   "getting credentials",
                                   "x509:",
                                   "connection reset",
                                   "net/http"};
  if (std::any_of(std::begin(kAway), std::end(kAway), [&](const char* sign) { return has(text, sign); }))
    return {ErrorKind::kUnavailable, cannot + "the API server does not answer (" + text +
                                         "); is it the right cluster? kubectl config current-context"};
  return {ErrorKind::kIo, cannot + "kubectl ended with " + std::to_string(exit_code) +
                              (text.empty() ? " and said nothing" : ": " + text)};
}

}  // namespace enclayer::addon
