#include "watch.h"

#include <pthread.h>
#include <time.h>

#include <chrono>
#include <initializer_list>

#include "base/log.h"

namespace enclayer::quote_helper {
namespace {

namespace log = base::log;
using namespace std::chrono_literals;
using std::chrono::steady_clock;

sigset_t set_of(std::initializer_list<int> numbers) {
  sigset_t set;
  ::sigemptyset(&set);
  for (int number : numbers) ::sigaddset(&set, number);
  return set;
}

// The signal that came before `deadline`, or 0.
int signal_before(steady_clock::time_point deadline, const sigset_t& signals) {
  auto left = std::chrono::duration_cast<std::chrono::nanoseconds>(deadline - steady_clock::now());
  if (left < 0ns) left = 0ns;
  timespec timeout{left / 1s, (left % 1s).count()};
  int number = ::sigtimedwait(&signals, nullptr, &timeout);
  return number > 0 ? number : 0;
}

}  // namespace

sigset_t hold_signals() {
  sigset_t signals = set_of({SIGTERM, SIGINT, SIGHUP});
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return signals;
}

void watch(const sigset_t& signals, const Duties& duties) {
  auto next_look = steady_clock::now();
  while (true) {
    int number = signal_before(next_look, signals);
    if (number == SIGTERM || number == SIGINT) {
      log::info("stopping", {{"signal", number == SIGINT ? "SIGINT" : "SIGTERM"}});
      return;
    }
    if (number == SIGHUP) duties.reload();
    if (steady_clock::now() < next_look) continue;
    if (!duties.keep_socket()) {
      log::info("stopping", {{"reason", "a newer instance serves"}});
      return;
    }
    duties.look_after();
    next_look = steady_clock::now() + 1s;
  }
}

void let_the_next_signal_kill() {
  ::signal(SIGTERM, SIG_DFL);
  ::signal(SIGINT, SIG_DFL);
  sigset_t ends = set_of({SIGTERM, SIGINT});
  ::pthread_sigmask(SIG_UNBLOCK, &ends, nullptr);
}

}  // namespace enclayer::quote_helper
