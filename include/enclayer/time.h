// SPDX-License-Identifier: Apache-2.0
// Times are UTC with whole seconds. No library reads a clock: whoever calls passes the time in.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "enclayer/error.h"

namespace enclayer {

using Time = std::chrono::sys_seconds;

// Reads exactly "YYYY-MM-DDThh:mm:ssZ" (the form of TCB Info and QE Identity), years 1970 to 9999; else kMalformed.
Result<Time> parse_time(std::string_view text);

// "YYYY-MM-DDThh:mm:ssZ".
std::string format_time(Time time);

}  // namespace enclayer
