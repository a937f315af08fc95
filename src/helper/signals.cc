// SPDX-License-Identifier: Apache-2.0
#include "helper/signals.h"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>

#include "base/wakeup.h"

namespace enclayer::helper {
namespace {

// What the handlers say. Lock-free, so that they may.
std::atomic<int> end_by = 0;
std::atomic<bool> hangup = false;
std::atomic<unsigned> seconds_to_end = 0;
const base::Wakeup bell;

void end(int number) {
  ::signal(SIGTERM, SIG_DFL);
  ::signal(SIGINT, SIG_DFL);
  ::alarm(seconds_to_end);
  end_by = number;
  bell.ring();
}

void reload(int) {
  hangup = true;
  bell.ring();
}

void end_now(int) { ::_exit(0); }

void on(int number, void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  ::sigaction(number, &action, nullptr);
}

}  // namespace

void catch_signals(std::chrono::seconds at_most) {
  seconds_to_end = static_cast<unsigned>(at_most.count());
  on(SIGALRM, end_now);
  on(SIGTERM, end);
  on(SIGINT, end);
  on(SIGHUP, reload);
}

int wait_for_end(std::chrono::milliseconds timeout, const std::vector<int>& alarms) {
  std::vector<pollfd> waited = {{bell.fd(), POLLIN, 0}};
  for (int alarm : alarms) waited.push_back({alarm, POLLIN, 0});
  if (::poll(waited.data(), waited.size(), static_cast<int>(timeout.count())) > 0 && waited[0].revents != 0)
    bell.hear();
  return end_by;
}

bool reload_wanted() { return hangup.exchange(false); }

}  // namespace enclayer::helper
