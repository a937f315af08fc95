// Between the socket and the AESM service: answers what can be answered at once, lets quotes take turns, counts and
// logs what is asked and what is answered.
//
// Everything but quotes comes from memory, on the server's thread. Quotes wait in a bounded queue, with fair turns for
// everybody who asks (the pod where pods are known, otherwise the process, otherwise the request by itself), and are
// made by threads of their own. While the source is not ready, init and size wait there too, behind the quotes.
// To wake a thread costs some ten microseconds: where the source only computes and nobody waits, the server's thread
// makes the quotes itself, as long as that takes less than 200 us a round.
//
// BUSY is said where clients repeat it, at init and size: when the queue is so long that a newcomer would not be served
// within `budget`. Who got past that waits for the quote; it is told BUSY only when the queue has no place or its time
// is up (net::FrameLimits::answer).
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
#include "net/frame_desk.h"
#include "pods/allowance.h"
#include "pods/asker.h"
#include "pods/epc_holders.h"
#include "pods/quote_audit.h"

namespace enclayer::quote_helper {

// Pods, told apart: who asks, what that pod may have, and what is said of it.
struct PodRules {
  pods::Askers askers;
  std::optional<pods::Allowance> allowance{};   // quotes a minute; beyond it, BUSY
  std::unique_ptr<pods::EpcHolders> holders{};  // who holds no EPC gets no quote, but SERVICE_UNAVAILABLE
  std::unique_ptr<pods::QuoteAudit> audit{};
};

class Responder final : public net::FrameHandler {
 public:
  struct Options {
    int threads = 1;  // quotes that are made at once: as many as the source has workers
    std::size_t max_queued = 1024;
    std::size_t max_queued_each = 1024;  // of one who asks
    std::chrono::milliseconds budget{12'000};
    // Without them every process is served alike, and quotes are logged not more than once a second.
    PodRules* pods = nullptr;
  };

  // Source and metrics outlive it.
  Responder(quoting::QuoteSource& source, Options options, base::Metrics& metrics);

  // After the server that it serves has ended. Quotes that are being made are waited for: stop the source first.
  ~Responder() override;

  void attach(Replies replies) override { replies_ = std::move(replies); }
  net::FrameOutcome frame(ByteView frame, const net::Client& client, net::Ticket ticket) override;
  void begin() override;
  std::optional<Bytes> overdue(net::Ticket ticket) override;
  void abandoned(net::Ticket ticket) override;
  void identify(net::Client& client, int socket) override;

  // Makes the next quote in the calling thread, as the threads do; false when none waits.
  bool make_next_quote();

 private:
  using Clock = std::chrono::steady_clock;
  using Key = std::uint64_t;
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

  Key turn_of(const net::Client& client, net::Ticket ticket) const;
  std::chrono::duration<double> expected_wait(Key key);  // of a newcomer
  std::optional<aesm::Answer> refused_by_rule(const aesm::Question& question, const net::Client& client);
  bool may_make_here();
  net::FrameOutcome queue_up(aesm::Question question, const net::Client& client, net::Ticket ticket, Key key);
  Bytes refuse(const Waiting& waiting, base::Counter& reason, const std::string& why);
  Place leave_queue(net::Ticket ticket);
  Place next();  // with mutex_ held
  void count_queued() { depth_.set(static_cast<double>(queued_.size())); }
  Bytes make_quote(const aesm::Question& question, const net::Client& client, Clock::time_point since);
  aesm::Answer ask_source(const aesm::Question& question, const net::Client& client);
  void run();

  Bytes conclude(aesm::Answer answer, const net::Client& client, Times times = {});
  void log_quote(const aesm::Answer& answer, const net::Client& client, Times times);
  void log_refusal(const aesm::Answer& answer, const net::Client& client);
  base::Counter& requests(aesm::RequestKind kind, aesm::Code code);

  static constexpr std::size_t kKinds = 32, kCodes = 64;

  quoting::QuoteSource& source_;
  const aesm::Service service_;
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
  base::LogBudget refusals_, quotes_logged_;

  int pushed_ = 0;                 // since begin(); of the server's thread
  Clock::duration quoted_here_{};  // since begin(): the time that quotes took in the server's thread
  std::mutex mutex_;               // of everything below
  std::condition_variable wake_;
  Queue quotes_, others_;
  std::unordered_map<net::Ticket, std::pair<Queue*, Key>> queued_;
  double average_seconds_ = 0;  // of a quote, the latest ones count most
  bool stop_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace enclayer::quote_helper
