// SPDX-License-Identifier: Apache-2.0
// Between the socket and the AESM service: answers what can be answered at once, lets quotes take turns, counts and
// logs what is asked and what is answered.
//
// Everything but quotes comes from memory, on the server's thread. Quotes wait in a bounded queue, with fair turns for
// all clients (a slot, or all of the legacy socket, and there a process), and are made by threads of their own.
// While the source is not ready, init and size wait there too, behind the quotes.
// Where the source only computes, as simulated quotes do, the server's thread makes them itself, for 200 us a round:
// to wake a thread costs some ten microseconds, and threads that compute keep the server's own from the processors.
//
// BUSY is said where clients repeat it, at init and size: when the queue is so long that a newcomer would not be served
// within `budget`. A client that got past that waits for the quote; it is told BUSY only when the queue has no place or
// its time is up (net::FrameLimits::answer).
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <unordered_map>
#include <vector>

#include "aesm/service.h"
#include "base/fair_queue.h"
#include "base/log_budget.h"
#include "base/metrics.h"
#include "helper/allowance.h"
#include "helper/client_identities.h"
#include "helper/quote_audit.h"
#include "net/frame_connections.h"

namespace enclayer::helper {

class RequestScheduler final : public net::FrameHandler {
 public:
  struct Options {
    int threads = 1;  // quotes that are made at once: as many as the source has workers; where it only computes, none
    std::size_t max_queued = 1024;
    std::size_t max_queued_each = 1024;  // of one slot, or of the legacy socket
    std::chrono::milliseconds budget{12'000};
    int quotes_per_minute = 0;  // of one client; beyond it, BUSY. 0: no limit
  };

  // All of them outlive it.
  RequestScheduler(quoting::QuoteSource& source, const ClientIdentities& identities, Options options,
                   base::Metrics& metrics);

  // After the server that it serves has ended. Quotes that are being made are waited for: stop the source first.
  ~RequestScheduler() override;

  void attach(Replies replies) override { replies_ = std::move(replies); }
  net::FrameOutcome frame(ByteView frame, const net::Client& client, net::Ticket ticket) override;
  void begin() override;
  std::optional<Bytes> overdue(net::Ticket ticket) override;
  void abandoned(net::Ticket ticket) override;
  std::string name(const net::Client& client) const override { return identities_.name(client); }

  QuoteAudit& audit() { return audit_; }

  // Makes the next quote in the calling thread, as the threads do; false when none waits.
  bool make_next_quote();

 private:
  using Clock = std::chrono::steady_clock;
  using Whose = base::Whose;
  struct Waiting {
    net::Ticket ticket = 0;
    net::Client client;
    aesm::Question question;
    Clock::time_point since;
  };
  struct Times {
    Clock::duration waited, took;  // for its turn; for the quote source
  };
  using Place = std::unique_ptr<Waiting>;
  using Queue = base::FairQueue<Place>;

  std::chrono::duration<double> expected_wait(const Whose& whose);  // of a newcomer
  std::optional<aesm::Answer> refused_by_rule(const aesm::Question& question, const net::Client& client);
  bool may_make_here();
  void make_here();
  net::FrameOutcome queue_up(aesm::Question question, const net::Client& client, net::Ticket ticket);
  Bytes refuse(const Waiting& waiting, base::Counter& reason, const std::string& why);
  Place leave_queue(net::Ticket ticket);
  Place next();  // with mutex_ held
  void count_queued() { depth_.set(static_cast<double>(queued_.size())); }
  Bytes make_quote(const aesm::Question& question, const net::Client& client, Clock::time_point since);
  void run();

  Bytes conclude(aesm::Answer answer, const net::Client& client, Times times = {});
  void log_refusal(const aesm::Answer& answer, const net::Client& client);
  base::Counter& requests(aesm::RequestKind kind, aesm::Code code);

  static constexpr std::size_t kKinds = 32, kCodes = 64;

  quoting::QuoteSource& source_;
  const aesm::Service service_;
  const ClientIdentities& identities_;
  const Options options_;
  Replies replies_;

  base::Metrics& metrics_;
  base::Counter& errors_;
  base::Counter& quotes_made_;
  base::Counter &dropped_full_, &dropped_late_, &dropped_gone_;
  base::Gauge& depth_;
  base::Histogram& queue_seconds_;
  base::Histogram& quote_seconds_;
  std::array<std::array<std::atomic<base::Counter*>, kCodes>, kKinds> requests_{};  // made when first needed
  base::LogBudget refusals_;
  QuoteAudit audit_;
  std::optional<Allowance> allowance_;

  int pushed_ = 0;                 // since begin(); of the server's thread
  Clock::duration quoted_here_{};  // since begin(): the time that quotes took in the server's thread
  std::mutex mutex_;               // of everything below
  std::condition_variable wake_;
  Queue quotes_, others_;
  std::unordered_map<net::Ticket, std::pair<Queue*, Whose>> queued_;
  double average_seconds_ = 0;  // of a quote, the latest ones count most
  bool stop_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace enclayer::helper
