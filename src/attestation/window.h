// SPDX-License-Identifier: Apache-2.0
// The time in which something holds, both ends included.
#pragma once

#include <algorithm>
#include <string>

#include "enclayer/time.h"

namespace enclayer::attestation {

struct Window {
  Time from = Time::min();
  Time until = Time::max();

  bool holds(Time at) const { return from <= at && at <= until; }
  Window operator&(const Window& other) const { return {std::max(from, other.from), std::min(until, other.until)}; }
  bool operator==(const Window&) const = default;

  // "<what> is valid from ... until ..., not at ...": for the reader of a refusal.
  std::string refusal(std::string_view what, Time at) const {
    return std::string(what) + " is valid from " + format_time(from) + " until " + format_time(until) + ", not at " +
           format_time(at);
  }
};

}  // namespace enclayer::attestation
