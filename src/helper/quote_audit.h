// SPDX-License-Identifier: Apache-2.0
// What is said and counted of each request for a quote, by client: a line for the first quote of each enclave, then
// a sum a minute, and figures.
//   quote made       slot=p3 namespace=bank pod=ledger-0 container=app mr_enclave=... mr_signer=... debug=false ...
//   quote refused    slot=p3 namespace=bank pod=ledger-0 container=app result="BUSY (18)" reason=...
//   quotes in a minute slot=p3 namespace=bank pod=ledger-0 container=app made=5120 refused=3
// A line each would let a client that asks without end wash away the others' lines. Report data is never said.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <string_view>

#include "base/metrics.h"
#include "enclayer/report.h"
#include "helper/allowance.h"
#include "helper/client_identities.h"

namespace enclayer::helper {

// A request for a quote that was answered.
struct QuoteRequest {
  const net::Client& client;
  const ReportBody* quoted = nullptr;  // whom the quote is for; null: none was made, so the client has proven nothing
  std::string_view result;             // the AESM code: "SUCCESS (0)"
  std::string_view reason;             // where no quote was made
  std::chrono::microseconds waited{}, took{};
};

// Any thread.
class QuoteAudit {
 public:
  using Clock = std::chrono::steady_clock;

  // Enclaves of one client that have a line of their own, and lines a minute about refusals.
  static constexpr std::size_t kMostEnclaves = 64;
  static constexpr int kRefusalsLogged = 30;
  static constexpr std::chrono::minutes kSum{1};

  // Both outlive it.
  QuoteAudit(const ClientIdentities& identities, base::Metrics& metrics)
      : identities_(identities), metrics_(metrics), refusals_(kRefusalsLogged) {}

  void record(const QuoteRequest& request, Clock::time_point now);

  // Now and then: says the sums that are due.
  void look_after(Clock::time_point now);

  // The group's sum is said, and what was remembered of it ends; its figures stay under slot "gone".
  void forget(std::uint32_t group);

  // Before the metrics page is written.
  void publish();

 private:
  struct Counts {
    std::uint64_t made = 0, refused = 0;                // in all
    std::uint64_t made_unsaid = 0, refused_unsaid = 0;  // without a line of their own, since the last sum
    Clock::time_point since;
    std::set<ByteArray<32>> enclaves;
  };
  void say_sum(std::uint32_t group, Counts& counts);

  const ClientIdentities& identities_;
  base::Metrics& metrics_;
  std::mutex mutex_;
  Allowance refusals_;
  std::map<std::uint32_t, Counts> counts_;
  std::uint64_t gone_made_ = 0, gone_refused_ = 0;
};

}  // namespace enclayer::helper
