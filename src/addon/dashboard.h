// SPDX-License-Identifier: Apache-2.0
// What `enclayer dashboard` serves: one page with its style and script in it, and the state that it asks for every two
// seconds. Everything here is a function of plain values; docs/dashboard.md says what each member of the state is.
#pragma once

#include <chrono>
#include <cstddef>
#include <deque>
#include <optional>
#include <string>
#include <string_view>

#include "addon/usage.h"

namespace enclayer::addon {

using Moment = std::chrono::steady_clock::time_point;

// dashboard.html beside this. Whoever loads it loads nothing else, so it is kept small.
inline constexpr std::size_t kMostPage = 200'000;  // bytes
std::string_view dashboard_page();

// A Content-Security-Policy (level 3) by which a page runs the script and has the style that stand in it, by their
// digests, asks the server that it came from, and can do nothing else: text of a cluster that got into it as HTML would
// neither run nor load anything.
std::string content_security_policy(std::string_view page);

// What `enclayer doctor --output json` has found, or why it found nothing.
struct Examination {
  std::string links = "null";  // the array, as JSON; that of before where the last one found nothing
  std::string trouble;         // of the last one
  std::optional<Moment> when;  // of `links`
};
// What an exit of it means for what is known: 0 and 2 bring links, anything else a reason (`err`, or the code).
void put(Examination& known, int exit_code, std::string_view out, std::string_view err, Moment when);

// Quotes and waits of the whole cluster, one look after the other, so that a page that is opened later has them.
class History {
 public:
  static constexpr std::chrono::seconds kStep{10}, kLength{30 * 60};  // older ones go, and more than fit are not kept

  void put(const Usage& usage, Moment when);
  std::string to_json(Moment now) const;  // oldest first

 private:
  struct Look {
    Moment when;
    std::optional<double> quotes, refused, wait;  // a minute; the longest of all nodes, in seconds
  };
  std::deque<Look> looks_;
};

// {"usage": as `enclayer top --output json`, "doctor": {...}, "history": [...]}
std::string state_json(const Usage& usage, const Examination& doctor, const History& history, Moment now);

}  // namespace enclayer::addon
