// SPDX-License-Identifier: Apache-2.0
// A quote helper's whole life: finds its source of quotes, waits for its turn, takes the sockets (the legacy one and
// one in each slot), serves them, gives them to a successor, and ends without losing a request.
//
// Instances on one node share a state directory. One serves, at the sockets; others wait, ready to quote, and take them
// when it is gone: a successor that was started by an update, or a standby beside it (claim.h, guard.h).
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "enclayer/error.h"
#include "enclayer/time.h"
#include "helper/quotes.h"
#include "quoting/source_facts.h"
#include "slots/slots.h"

namespace enclayer::helper {

struct Options {
  bool simulated = false;
  HardwareFlags hardware;
  std::vector<std::string> environment;  // of the quote workers

  std::filesystem::path socket = "/var/run/aesmd/aesm.socket";
  std::filesystem::path slots_dir = slots::kDefaultParent;
  std::filesystem::path state_dir = "/var/lib/enclayer";
  std::filesystem::path troubles;  // the helper's folder (troubles/troubles.h); empty: none
  std::string instance;            // a name that stays; empty: a succeeded instance ends
  bool replace = false;
  uid_t user = 0;             // that user 0 is given up for; 0: it is not
  int quotes_per_minute = 0;  // of one client; 0: no limit
  std::string metrics_listen;

  std::function<Time()> now;  // certificates and collateral have dates
};

// Until a signal or a newer instance ends it; catch_signals() was called before there were threads.
Result<> serve(const Options& options);

// Goes the way of a quote step by step.
Result<quoting::SelfTest> self_test(const Options& options);

// What --facts and --self-test say of the program.
quoting::FactsAbout about(const Options& options, std::uint64_t generation = 0);

// How long it may take from SIGTERM to the end: 22 s for what clients have begun, 4 s for a successor, and one.
inline constexpr std::chrono::seconds kEndsWithin{27};

}  // namespace enclayer::helper
