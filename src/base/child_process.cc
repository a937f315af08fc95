// SPDX-License-Identifier: Apache-2.0
#include "base/child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/error.h"
#include "base/log.h"

namespace enclayer::base {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kTimeToDie{2'000};
constexpr std::size_t kMostCommand = 200;  // bytes of it in a message

std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> out;
  out.reserve(strings.size() + 1);
  for (const std::string& string : strings) out.push_back(const_cast<char*>(string.c_str()));
  out.push_back(nullptr);
  return out;
}

std::string text_of(const std::vector<std::string>& command) {
  std::string out;
  for (const std::string& part : command) out += (out.empty() ? "" : " ") + part;
  return out.size() <= kMostCommand ? out : out.substr(0, kMostCommand) + "...";
}

// In the child, where only async-signal-safe calls are allowed: the parent has threads. `failure` is told the errno.
[[noreturn]] void become(const Program& program, pid_t parent, int failure, char** arguments, char** environment) {
  auto give_up = [&failure] {
    int reason = errno;
    [[maybe_unused]] ssize_t n = ::write(failure, &reason, sizeof reason);
    ::_exit(127);
  };
  if (program.dies_with_thread) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(127);
  }
  if (program.own_group) ::setpgid(0, 0);
  struct sigaction ignore {};
  ignore.sa_handler = SIG_IGN;
  for (int number : program.ignored_signals) ::sigaction(number, &ignore, nullptr);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);

  // First out of the way of each other, then to where they belong.
  constexpr int kLow = 10;
  int input = program.input >= 0 ? program.input : ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (input < 0) give_up();
  std::array<int, 4> fds = {input, program.output, program.error, program.further};
  const int count = program.further >= 0 ? 4 : 3;
  failure = ::fcntl(failure, F_DUPFD_CLOEXEC, kLow);
  for (int fd = 0; fd < count; ++fd)
    if ((fds[fd] = ::fcntl(fds[fd], F_DUPFD_CLOEXEC, kLow)) < 0) give_up();
  for (int fd = 0; fd < count; ++fd)
    if (::dup2(fds[fd], fd) < 0) give_up();
  if (::dup3(failure, count, O_CLOEXEC) >= 0) failure = count;
  ::syscall(SYS_close_range, count + 1, ~0U, 0);  // what other people's libraries forgot to mark; Linux 5.9
  ::execve(arguments[0], arguments, environment);
  give_up();
  ::_exit(127);
}

}  // namespace

int Ending::exit_code() const { return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status); }

std::string Ending::text() const {
  if (WIFEXITED(status)) return "ended with exit code " + std::to_string(WEXITSTATUS(status));
  const char* name = ::sigabbrev_np(WTERMSIG(status));
  return name ? std::string("was killed by SIG") + name : "was killed by signal " + std::to_string(WTERMSIG(status));
}

Result<std::unique_ptr<ChildProcess>> ChildProcess::start(const Program& program) {
  const std::string cannot = "cannot start " + text_of(program.command);
  ENCLAYER_TRY(Pipe failure, make_pipe());
  ::fcntl(failure.read.get(), F_SETFL, 0);  // here it is waited for
  std::vector<char*> arguments = pointers(program.command), environment;
  if (program.environment) environment = pointers(*program.environment);

  std::unique_ptr<ChildProcess> child(new ChildProcess);
  pid_t parent = ::getpid();
  child->pid_ = ::fork();
  if (child->pid_ < 0) return errno_error(errno, cannot);
  if (child->pid_ == 0)
    become(program, parent, failure.write.get(), arguments.data(), program.environment ? environment.data() : environ);
  child->pidfd_.reset(static_cast<int>(::syscall(SYS_pidfd_open, child->pid_, 0)));
  if (!child->pidfd_) return errno_error(errno, cannot + ", it could not be watched");

  failure.write.reset();
  int reason = 0;
  ssize_t n;
  while ((n = ::read(failure.read.get(), &reason, sizeof reason)) < 0 && errno == EINTR) {
  }
  if (n == sizeof reason) return errno_error(reason, cannot);
  return child;
}

bool ChildProcess::running() const {
  pollfd ends{pidfd_.get(), POLLIN, 0};
  return pid_ > 0 && !ending_ && ::poll(&ends, 1, 0) == 0;
}

void ChildProcess::signal(int number) {
  if (pid_ > 0 && !ending_) ::kill(pid_, number);
}

std::optional<Ending> ChildProcess::wait(milliseconds timeout) {
  if (pid_ < 0 || ending_) return ending_;
  const auto deadline = steady_clock::now() + timeout;
  pollfd ends{pidfd_.get(), POLLIN, 0};
  auto left = timeout;
  while (::poll(&ends, 1, static_cast<int>(std::max<milliseconds::rep>(left.count(), 0))) < 0 && errno == EINTR)
    left = std::chrono::ceil<milliseconds>(deadline - steady_clock::now());
  int status = 0;
  if (::waitpid(pid_, &status, WNOHANG) == pid_) ending_ = Ending{status};
  return ending_;
}

std::optional<Ending> ChildProcess::kill() {
  signal(SIGKILL);
  auto ending = wait(kTimeToDie);
  if (!ending && pid_ > 0) {
    log::error("a process does not die, it is left behind", {{"pid", pid_}});
    pid_ = -1;
  }
  return ending;
}

Result<Pipe> make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return errno_error(errno, "cannot make a pipe");
  ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
  return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

Result<UniqueFd> memory_file(std::string_view content) {
  UniqueFd file(::memfd_create("memory", MFD_CLOEXEC));
  if (!file) return errno_error(errno, "cannot make a file in memory");
  while (!content.empty()) {
    ssize_t n = ::write(file.get(), content.data(), content.size());
    if (n < 0) return errno_error(errno, "cannot write to a file in memory");
    content.remove_prefix(static_cast<std::size_t>(n));
  }
  ::lseek(file.get(), 0, SEEK_SET);
  return file;
}

bool keep_output(UniqueFd& fd, std::string& text, std::size_t most, Keep keep) {
  std::array<char, 16 << 10> chunk{};
  bool all = true;
  while (fd && (all || keep == Keep::kLast)) {
    ssize_t n = ::read(fd.get(), chunk.data(), chunk.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) break;  // nothing there now
    if (n == 0) fd.reset();
    text.append(chunk.data(), static_cast<std::size_t>(n));
    if (text.size() <= most) continue;
    all = false;
    if (keep == Keep::kFirst)
      text.resize(most);
    else
      text.erase(0, text.size() - most);
  }
  return all;
}

Result<Completed> run_to_end(Program program, const std::string& name, const CompletedWithin& within) {
  const auto deadline = steady_clock::now() + within.time;
  ENCLAYER_TRY(Pipe out, make_pipe());
  ENCLAYER_TRY(Pipe err, make_pipe());
  ::fcntl(out.read.get(), F_SETPIPE_SZ, 1 << 20);  // output may be long; a smaller pipe works as well
  program.output = out.write.get();
  program.error = err.write.get();
  ENCLAYER_TRY(auto child, ChildProcess::start(program));
  out.write.reset();
  err.write.reset();
  auto give_up = [&](ErrorKind kind, const std::string& why) {
    child->signal(SIGTERM);
    child->wait(kTimeToDie);
    return Error(kind, name + why);
  };
  Completed done;
  while (true) {
    const auto left = std::chrono::ceil<milliseconds>(deadline - steady_clock::now());
    pollfd waits[] = {
        {out.read.get(), POLLIN, 0}, {err.read.get(), POLLIN, 0}, {child->fd(), POLLIN, 0}, {within.stop, POLLIN, 0}};
    ::poll(waits, std::size(waits), static_cast<int>(std::clamp<milliseconds::rep>(left.count(), 0, 60'000)));
    if (waits[3].revents != 0) return give_up(ErrorKind::kUnavailable, " was stopped");
    // First whether it has ended: what it wrote before that is there to be read.
    const auto ending = child->wait(milliseconds(0));
    keep_output(err.read, done.err, within.err);
    if (!keep_output(out.read, done.out, within.out))
      return give_up(ErrorKind::kExhausted,
                     "'s answer is longer than the " + std::to_string(within.out) + " bytes that are read at most");
    if (ending) return done.ending = *ending, done;
    if (steady_clock::now() >= deadline)
      return give_up(ErrorKind::kTimedOut, " was not done after " + std::to_string(within.time.count() / 1000) + " s");
  }
}

}  // namespace enclayer::base
