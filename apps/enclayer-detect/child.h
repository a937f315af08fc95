// SPDX-License-Identifier: Apache-2.0
// Another program, run to its end without losing sight of our own.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "enclayer/error.h"

namespace enclayer::detector {

// Blocks SIGTERM and SIGINT, in a process that has no threads yet. Readable when one of them comes.
base::UniqueFd stop_signals();

// False when SIGTERM or SIGINT came before `timeout` passed, or before `alarm` (a descriptor, or none) became readable.
bool wait_unless_stopped(const base::UniqueFd& stop, std::chrono::milliseconds timeout, int alarm = -1);

// Runs argv[0], a path, with our environment, output and error. Gives its exit code; nullopt when SIGTERM or SIGINT
// came first, and it has been killed. kTimedOut: it has been killed after `patience`. kInternal: a signal that was not
// ours ended it. Otherwise why it cannot be started.
std::optional<Result<int>> run_to_end(const std::vector<std::string>& argv, const base::UniqueFd& stop,
                                      std::chrono::milliseconds patience);

}  // namespace enclayer::detector
