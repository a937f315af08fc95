// The helper's life between "serving" and "stopping". Requests are answered by other threads; the main thread waits for
// signals, and once a second it looks after what changes by itself.
//
//   SIGTERM, SIGINT   the end, in good order; the next one after let_the_next_signal_kill() ends the process at once
//   SIGHUP            somebody has changed files and wants them used; nobody's request is disturbed
#pragma once

#include <signal.h>

#include <functional>

namespace enclayer::quote_helper {

// What watch() calls, one after the other in its own thread: none of it may wait for long.
struct Duties {
  std::function<bool()> keep_socket;  // once a second; false: a newer instance serves, ours may end
  std::function<void()> look_after;   // once a second: renews what runs out
  std::function<void()> reload;       // at SIGHUP
};

// From now on the signals above, which it gives, do nothing until somebody waits for them. Call it before there are
// threads.
sigset_t hold_signals();

// Until SIGTERM, SIGINT or a newer instance ends it; logs which.
void watch(const sigset_t& signals, const Duties& duties);

void let_the_next_signal_kill();

}  // namespace enclayer::quote_helper
