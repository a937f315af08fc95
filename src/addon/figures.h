// SPDX-License-Identifier: Apache-2.0
// What the daemons of a node say of themselves in figures: the enclave memory that pods map (the device plugin, where
// --account-mapped lets it look), who asks for quotes and how long requests wait (the quote helper). docs/metrics.md says
// what each figure means. Who answers is not trusted.
#pragma once

#include <chrono>
#include <compare>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "enclayer/error.h"

namespace enclayer::addon {

// Who has a quote slot. All empty: nobody that is known, as at the legacy socket.
struct SlotHolder {
  std::string name_space, pod, container;
  auto operator<=>(const SlotHolder&) const = default;
};

struct QuoteCounts {
  double made = 0, refused = 0;
};

// One page of metrics. Counters are those of its process, since that began.
struct Figures {
  std::optional<bool> serves = {};    // whether a quote helper has the sockets; nullopt: it is no quote helper
  std::optional<double> mapped = {};  // bytes that all processes of the node map; nullopt: the plugin may not look
  std::map<std::string, double> mapped_by_pod = {};  // bytes, by pod UID
  std::map<std::string, double> open_by_pod = {};    // processes that have EPC open, by pod UID; "host": of no pod
  double unread = 0;                                 // processes that could not be looked at for these three
  std::map<SlotHolder, QuoteCounts> quotes = {};
  std::map<double, double> waited =
      {};              // seconds -> requests that waited so long at most, those of shorter times included
  double waiting = 0;  // requests that wait now
};

// kMalformed: it breaks the format (base/metrics_page.h), or a figure that is read is negative, infinite or larger than
// any that is true, or there are more of one kind than kMostFigures.
inline constexpr std::size_t kMostFigures = 4096;
Result<Figures> read_figures(std::string_view page);

// Figures of one process at one moment of our own clock; no clock of a node's is ever looked at.
struct Look {
  Figures figures;
  std::chrono::steady_clock::time_point when;
  std::size_t process = 0;  // of the pod: 1 is a quote helper's standby
};

// What came of asking a pod: its last look, and the one before where that was of the same process.
struct Said {
  std::string node, app;
  std::optional<Look> now, before;
  std::string trouble;  // why there is no look, as a sentence's end: "cannot be asked: ..."
};

// How much more a counter is a minute. One that is lower than it was began anew in between.
double per_minute(double before, double now, std::chrono::duration<double> between);

// How long 99 of 100 requests that came between two looks waited at most, in seconds; where it was longer than any time
// that is counted apart, the longest of these. nullopt: there came none.
std::optional<double> wait_of_99(const std::map<double, double>& before, const std::map<double, double>& now);

}  // namespace enclayer::addon
