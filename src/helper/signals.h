// SPDX-License-Identifier: Apache-2.0
// What a helper is told from outside, by signals.
//
//   SIGTERM, SIGINT   the end, in good order and within a time, whatever hangs; the next one ends the process at once
//   SIGHUP            somebody has changed files and wants them used; nobody's request is disturbed
#pragma once

#include <chrono>
#include <vector>

namespace enclayer::helper {

// From now on the signals above are caught. After the first one that ends, the process has `at_most` to do so; then it
// is ended, with 0. Call it once, before there are threads.
void catch_signals(std::chrono::seconds at_most);

// The signal that is to end the process, or 0; waits for one until `timeout` is over, SIGHUP comes, or one of the
// descriptors is readable (those of -1 are passed over).
int wait_for_end(std::chrono::milliseconds timeout, const std::vector<int>& alarms = {});

// Whether SIGHUP came since it was asked last.
bool reload_wanted();

}  // namespace enclayer::helper
