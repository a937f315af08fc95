// SPDX-License-Identifier: Apache-2.0
// An honest client in a slot of its own, beside clients that mean harm (attack.cc) in another slot and at the legacy
// socket.
#pragma once

#include <chrono>
#include <string>

#include "servers.h"

namespace enclayer::bench {

// A running attack, a process of its own that ends with this.
class Attack {
 public:
  Attack(const std::string& kind, int connections, const std::string& socket, const Bytes& request);
  // Ends it and waits until the server has let go of what it had of it.
  void end(pid_t server, int descriptors_before);

 private:
  fake::TempFolder folder_;
  fake::Process process_;
};

// Prints the table for a front end whose quotes take so long.
void beside_greedy_pods(const Instant& instant, int rounds, std::chrono::milliseconds duration);

}  // namespace enclayer::bench
