#include "child.h"

#include <spawn.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>

#include "base/error.h"

namespace enclayer::detector {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::steady_clock;

// The next of `signals`; nullopt at the deadline.
std::optional<int> next_signal(const sigset_t& signals, steady_clock::time_point deadline) {
  while (true) {
    auto left = std::max(nanoseconds(0), nanoseconds(deadline - steady_clock::now()));
    timespec time{left.count() / 1'000'000'000, left.count() % 1'000'000'000};
    int number = ::sigtimedwait(&signals, nullptr, &time);
    if (number > 0) return number;
    if (errno == EAGAIN) return std::nullopt;
  }
}

Result<pid_t> start(const std::vector<std::string>& argv) {
  std::vector<char*> arguments;
  arguments.reserve(argv.size() + 1);
  for (const std::string& argument : argv) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  sigset_t none;
  ::sigemptyset(&none);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  pid_t pid = -1;
  int failed = ::posix_spawn(&pid, argv.front().c_str(), nullptr, &attributes, arguments.data(), environ);
  ::posix_spawnattr_destroy(&attributes);
  if (failed != 0) return base::errno_error(failed, "cannot start " + argv.front());
  return pid;
}

int wait_for(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

}  // namespace

sigset_t block_signals() {
  sigset_t signals;
  ::sigemptyset(&signals);
  for (int number : {SIGTERM, SIGINT, SIGCHLD}) ::sigaddset(&signals, number);
  ::sigprocmask(SIG_BLOCK, &signals, nullptr);
  return signals;
}

bool wait_unless_stopped(const sigset_t& signals, milliseconds timeout) {
  const auto deadline = steady_clock::now() + timeout;
  while (auto number = next_signal(signals, deadline))
    if (*number != SIGCHLD) return false;
  return true;
}

std::optional<Result<int>> run_to_end(const std::vector<std::string>& argv, const sigset_t& signals,
                                      milliseconds patience) {
  auto pid = start(argv);
  if (!pid) return pid.error();
  const auto deadline = steady_clock::now() + patience;
  while (true) {
    auto number = next_signal(signals, deadline);
    if (number != SIGCHLD) {
      ::kill(*pid, SIGKILL);
      wait_for(*pid);
      if (number) return std::nullopt;
      return Error(ErrorKind::kTimedOut,
                   argv.front() + " has not ended after " + std::to_string(patience.count()) + " ms and was killed");
    }
    int status = 0;
    if (::waitpid(*pid, &status, WNOHANG) != *pid) continue;  // somebody else's child, or it was stopped
    if (WIFEXITED(status)) return Result<int>(WEXITSTATUS(status));
    return Error(ErrorKind::kInternal, argv.front() + " was ended by signal " + std::to_string(WTERMSIG(status)));
  }
}

}  // namespace enclayer::detector
