#include "addon/kubectl.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <optional>
#include <regex>

#include "base/error.h"
#include "base/file.h"

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
  ~Running() { end(); }

  bool done() const { return failure_ || exit_code_; }
  steady_clock::time_point deadline() const { return deadline_; }
  std::array<pollfd, 3> waits() const {
    return {pollfd{out_.get(), POLLIN, 0}, pollfd{err_.get(), POLLIN, 0}, pollfd{pidfd_.get(), POLLIN, 0}};
  }

  // Something may have happened.
  void look() {
    if (done()) return;
    // First whether it has ended: what it wrote before that is there to be read.
    int status = 0;
    bool ended = ::waitpid(pid_, &status, WNOHANG) == pid_;
    if (ended) pid_ = -1;
    read(out_, answer_.out, call_.max_output, true);
    read(err_, answer_.err, kMaxErr, false);
    if (failure_) return end();
    if (ended) {
      exit_code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
      return;
    }
    if (steady_clock::now() >= deadline_) {
      failure_ = Error(ErrorKind::kTimedOut, "cannot " + call_.doing + ": kubectl was not done after " +
                                                 std::to_string(timeout_.count()) +
                                                 " s; does the API server answer? Try: kubectl get --raw /readyz");
      end();
    }
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
    // A file in memory rather than a pipe: whoever ends before he has read all of it makes us no SIGPIPE.
    base::UniqueFd in(call_.input.empty() ? ::open("/dev/null", O_RDONLY | O_CLOEXEC)
                                          : ::memfd_create("input", MFD_CLOEXEC));
    if (!in) return base::errno_error(errno, "cannot make kubectl's standard input");
    for (std::string_view rest = call_.input; !rest.empty();) {
      ssize_t n = ::write(in.get(), rest.data(), rest.size());
      if (n < 0) return base::errno_error(errno, "cannot write kubectl's standard input");
      rest.remove_prefix(static_cast<std::size_t>(n));
    }
    if (!call_.input.empty()) ::lseek(in.get(), 0, SEEK_SET);
    int out[2], err[2];
    if (::pipe2(out, O_CLOEXEC) != 0) return base::errno_error(errno, "cannot make a pipe for kubectl");
    out_.reset(out[0]);
    base::UniqueFd out_end(out[1]);
    if (::pipe2(err, O_CLOEXEC) != 0) return base::errno_error(errno, "cannot make a pipe for kubectl");
    err_.reset(err[0]);
    base::UniqueFd err_end(err[1]);
    for (int fd : {out_.get(), err_.get()}) ::fcntl(fd, F_SETFL, O_NONBLOCK);
    ::fcntl(out_.get(), F_SETPIPE_SZ, 1 << 20);  // lists are long; a smaller pipe works as well

    std::vector<std::string> argv = {connection.program};
    if (!connection.context.empty()) argv.push_back("--context=" + connection.context);
    if (!connection.kubeconfig.empty()) argv.push_back("--kubeconfig=" + connection.kubeconfig);
    argv.insert(argv.end(), call_.arguments.begin(), call_.arguments.end());
    std::vector<char*> pointers;
    pointers.reserve(argv.size() + 1);
    for (std::string& argument : argv) pointers.push_back(argument.data());
    pointers.push_back(nullptr);

    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, in.get(), 0);
    ::posix_spawn_file_actions_adddup2(&actions, out_end.get(), 1);
    ::posix_spawn_file_actions_adddup2(&actions, err_end.get(), 2);
    int failed = ::posix_spawn(&pid_, connection.program.c_str(), &actions, nullptr, pointers.data(), environ);
    ::posix_spawn_file_actions_destroy(&actions);
    if (failed != 0) {
      pid_ = -1;
      return base::errno_error(failed, "cannot run " + connection.program);
    }
    pidfd_.reset(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
    if (!pidfd_) return base::errno_error(errno, "cannot watch kubectl");
    return {};
  }

  void read(base::UniqueFd& fd, std::string& into, std::size_t max, bool too_much_is_an_error) {
    static thread_local std::array<char, 1 << 18> chunk;
    while (fd) {
      ssize_t n = ::read(fd.get(), chunk.data(), chunk.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return;  // nothing there now
      if (n == 0) {
        fd.reset();
        return;
      }
      std::size_t room = max - into.size(), got = static_cast<std::size_t>(n);
      into.append(chunk.data(), std::min(room, got));
      if (got > room && too_much_is_an_error) {
        failure_ = Error(ErrorKind::kExhausted, "cannot " + call_.doing + ": the answer is longer than the " +
                                                    std::to_string(max) + " bytes that are read at most");
        return;
      }
    }
  }

  void end() {
    if (pid_ < 0) return;
    ::kill(pid_, SIGKILL);
    while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
  }

  const Call& call_;
  std::chrono::seconds timeout_;
  steady_clock::time_point deadline_;
  pid_t pid_ = -1;
  base::UniqueFd out_, err_, pidfd_;
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
