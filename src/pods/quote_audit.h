// What is said and counted of each request for a quote, by who asked: one line in the log, and figures by pod.
//   quote made    pod=<uid> container=<id> mr_enclave=... mr_signer=... debug=false result="SUCCESS (0)" ...
//   quote refused pod=<uid> container=<id> result="BUSY (18)" reason=...
// The pod is named by its UID: names come again, UIDs do not, and the node knows no pod's name that we may read
// (docs/decisions/pod-identity.md). Report data is never said.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <list>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/metrics.h"
#include "enclayer/report.h"
#include "pods/allowance.h"
#include "pods/asker.h"

namespace enclayer::pods {

// A request for a quote that was answered.
struct QuoteRequest {
  const Asker& asker;
  pid_t pid = 0;  // as the kernel told them
  uid_t uid = 0;
  const ReportBody* quoted = nullptr;  // whom the quote is for; null: none was made, so who asks has proven nothing
  std::string_view result;             // the AESM code: "SUCCESS (0)"
  std::string_view reason;             // where no quote was made
  std::chrono::microseconds waited{}, took{};
};

// Any thread.
class QuoteAudit {
 public:
  using Clock = std::chrono::steady_clock;

  // Pods with figures of their own. Of more, who has not asked for the longest time is added to pod "other"; so is who
  // has not asked for an hour.
  static constexpr std::size_t kMostSeries = 512;
  static constexpr std::chrono::hours kSilent{1};

  // Lines a minute about refusals, for each who asks: one that is refused without end drowns nobody else's lines. Every
  // quote that is made has its line.
  static constexpr int kRefusalsLogged = 30;

  // `metrics` outlives it.
  explicit QuoteAudit(base::Metrics& metrics) : metrics_(metrics), refusals_(kRefusalsLogged) {}

  void record(const QuoteRequest& request, Clock::time_point now);

  // Before the metrics page is written.
  void publish(Clock::time_point now);

 private:
  struct Counts {
    std::string name;
    std::uint64_t made = 0, refused = 0;
    Clock::time_point last;
  };
  Counts& counts_of(const Asker& asker);
  void give_up_oldest();

  base::Metrics& metrics_;
  std::mutex mutex_;
  Allowance refusals_;
  std::uint64_t refusals_not_logged_ = 0;
  std::list<Counts> counts_;  // who asked last in front
  std::unordered_map<std::string_view, std::list<Counts>::iterator> by_name_;
  Counts other_{"other", 0, 0, {}};
};

}  // namespace enclayer::pods
