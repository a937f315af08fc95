// SPDX-License-Identifier: Apache-2.0
#include "child.h"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/child_process.h"

namespace enclayer::detector {
namespace {

using std::chrono::milliseconds;

// Whether a signal came before `timeout` passed, or `other` became readable. Takes the signal: another one may stop
// what is done next.
bool stopped(const base::UniqueFd& stop, int other, milliseconds timeout) {
  pollfd fds[] = {{stop.get(), POLLIN, 0}, {other, POLLIN, 0}};
  signalfd_siginfo signal{};
  return ::poll(fds, 2, static_cast<int>(timeout.count())) > 0 && fds[0].revents != 0 &&
         ::read(stop.get(), &signal, sizeof signal) > 0;
}

}  // namespace

base::UniqueFd stop_signals() {
  sigset_t signals;
  ::sigemptyset(&signals);
  for (int number : {SIGTERM, SIGINT}) ::sigaddset(&signals, number);
  ::sigprocmask(SIG_BLOCK, &signals, nullptr);
  return base::UniqueFd(::signalfd(-1, &signals, SFD_CLOEXEC));
}

bool wait_unless_stopped(const base::UniqueFd& stop, milliseconds timeout, int alarm) {
  return !stopped(stop, alarm, timeout);
}

std::optional<Result<int>> run_to_end(const std::vector<std::string>& argv, const base::UniqueFd& stop,
                                      milliseconds patience) {
  auto child = base::ChildProcess::start({.command = argv});
  if (!child) return child.error();
  if (stopped(stop, (*child)->fd(), patience)) return std::nullopt;
  auto ending = (*child)->wait(milliseconds(0));
  if (!ending)
    return Error(ErrorKind::kTimedOut,
                 argv.front() + " has not ended after " + std::to_string(patience.count()) + " ms and was killed");
  if (!WIFEXITED(ending->status)) return Error(ErrorKind::kInternal, argv.front() + " " + ending->text());
  return Result<int>(ending->exit_code());
}

}  // namespace enclayer::detector
