// SPDX-License-Identifier: Apache-2.0
#include "helper/request_scheduler.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "base/metric_names.h"

namespace enclayer::helper {
namespace {

namespace log = base::log;
namespace metric = base::metric;
using std::chrono::microseconds;

// Simulated quotes take a tenth of a millisecond, hardware takes milliseconds, and 12 s is what a client waits at most.
const std::vector<double> kSeconds = {0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 2, 5, 10};

// Quotes that the server's thread makes between two looks at its sockets take no longer, together.
constexpr std::chrono::microseconds kQuotesHere{200};

double seconds(std::chrono::steady_clock::duration duration) { return std::chrono::duration<double>(duration).count(); }

}  // namespace

RequestScheduler::RequestScheduler(quoting::QuoteSource& source, const ClientIdentities& identities, Options options,
                                   base::Metrics& metrics)
    : source_(source),
      service_(source),
      identities_(identities),
      options_(options),
      metrics_(metrics),
      errors_(metrics.counter(metric::kAesmErrors)),
      quotes_made_(metrics.counter(metric::kQuotes)),
      dropped_full_(metrics.counter(metric::kQuotesDropped, {{"reason", "queue_full"}})),
      dropped_late_(metrics.counter(metric::kQuotesDropped, {{"reason", "too_late"}})),
      dropped_gone_(metrics.counter(metric::kQuotesDropped, {{"reason", "client_gone"}})),
      depth_(metrics.gauge(metric::kQuoteQueueDepth)),
      queue_seconds_(metrics.histogram(metric::kQuoteQueueSeconds, kSeconds)),
      quote_seconds_(metrics.histogram(metric::kQuoteSeconds, kSeconds)),
      audit_(identities, metrics),
      quotes_(options_.max_queued, options_.max_queued_each),
      others_(options_.max_queued, options_.max_queued_each) {
  if (options_.quotes_per_minute > 0) allowance_.emplace(options_.quotes_per_minute);
  if (source_.only_computes()) return;
  for (int i = 0; i < options_.threads; ++i) threads_.emplace_back([this] { run(); });
}

RequestScheduler::~RequestScheduler() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

// --- The server's thread ---

net::FrameOutcome RequestScheduler::frame(ByteView frame, const net::Client& client, net::Ticket ticket) {
  auto read = aesm::Service::read(frame);
  if (auto* answer = std::get_if<aesm::Answer>(&read)) return conclude(std::move(*answer), client);
  auto* question = std::get_if<aesm::Question>(&read);
  if (question == nullptr) return net::NoReply{};

  if (auto refused = refused_by_rule(*question, client)) return conclude(std::move(*refused), client);
  if (question->kind != aesm::RequestKind::kGetQuoteEx) {
    auto wait = expected_wait(client.whose);
    if (wait > options_.budget)
      return conclude(aesm::Service::refuse(*question, aesm::kBusy,
                                            "a quote would have to wait " +
                                                std::to_string(static_cast<int>(wait.count())) + " s for its turn"),
                      client);
    if (auto terms = source_.terms_now()) return conclude(aesm::Service::answer(*question, *terms), client);
  } else if (may_make_here()) {
    auto begin = Clock::now();
    Bytes reply = make_quote(*question, client, begin);
    quoted_here_ += Clock::now() - begin;
    return reply;
  }
  return queue_up(std::move(*question), client, ticket);
}

// A client that has had its quotes of this minute is told so at init and size already, where clients repeat BUSY.
std::optional<aesm::Answer> RequestScheduler::refused_by_rule(const aesm::Question& question,
                                                              const net::Client& client) {
  if (!allowance_) return std::nullopt;
  // Processes of the legacy socket are numbered far above all groups.
  std::uint64_t key = client.whose.group == kLegacy ? ~client.whose.holder : client.whose.group;
  bool is_quote = question.kind == aesm::RequestKind::kGetQuoteEx;
  auto now = Clock::now();
  if (is_quote ? allowance_->take(key, now) : allowance_->any(key, now)) return std::nullopt;
  return aesm::Service::refuse(question, aesm::kBusy,
                               "it has had its " + std::to_string(allowance_->a_minute()) + " quotes of this minute");
}

// A source that waits for others may wait for long.
bool RequestScheduler::may_make_here() {
  if (!source_.only_computes()) return false;
  std::lock_guard lock(mutex_);
  return queued_.empty() && seconds(quoted_here_) + average_seconds_ < seconds(kQuotesHere);
}

// With fair turns a newcomer waits until each of the others had as many turns as it needs itself.
std::chrono::duration<double> RequestScheduler::expected_wait(const Whose& whose) {
  std::lock_guard lock(mutex_);
  std::size_t holders = std::max<std::size_t>(1, quotes_.holders(whose.group));
  std::size_t of_group = std::min(quotes_.size(whose.group), (quotes_.size(whose) + 1) * holders - 1);
  std::size_t ahead = std::min(quotes_.size(), (of_group + 1) * quotes_.groups());
  return std::chrono::duration<double>(static_cast<double>(ahead) * average_seconds_ / std::max(options_.threads, 1));
}

net::FrameOutcome RequestScheduler::queue_up(aesm::Question question, const net::Client& client, net::Ticket ticket) {
  Queue& queue = question.kind == aesm::RequestKind::kGetQuoteEx ? quotes_ : others_;
  auto place = std::make_unique<Waiting>(Waiting{ticket, client, std::move(question), Clock::now()});
  std::optional<Place> loser;
  {
    std::lock_guard lock(mutex_);
    queued_[ticket] = {&queue, client.whose};
    loser = queue.push(client.whose, std::move(place));
    if (loser) queued_.erase((*loser)->ticket);
  }
  if (loser) {
    Bytes busy = refuse(**loser, dropped_full_, "too many requests wait already");
    if ((*loser)->ticket == ticket) return busy;
    replies_((*loser)->ticket, std::move(busy));
  }
  ++pushed_;
  return net::Later{};
}

void RequestScheduler::begin() {
  if (source_.only_computes()) make_here();
  quoted_here_ = {};
  if (pushed_ == 0) return;
  for (int i = 0; i < std::min(pushed_, options_.threads); ++i) wake_.notify_one();
  pushed_ = 0;
  std::lock_guard lock(mutex_);
  count_queued();
}

// At least one of those that wait: its reply lets the server go round again, to the others.
void RequestScheduler::make_here() {
  do {
    auto begin = Clock::now();
    if (!make_next_quote()) return;
    quoted_here_ += Clock::now() - begin;
  } while (quoted_here_ < kQuotesHere);
}

std::optional<Bytes> RequestScheduler::overdue(net::Ticket ticket) {
  auto waiting = leave_queue(ticket);
  if (!waiting) return std::nullopt;
  return refuse(*waiting, dropped_late_, "its turn did not come in time");
}

void RequestScheduler::abandoned(net::Ticket ticket) {
  if (leave_queue(ticket)) dropped_gone_.add();
}

RequestScheduler::Place RequestScheduler::leave_queue(net::Ticket ticket) {
  std::lock_guard lock(mutex_);
  auto found = queued_.find(ticket);
  if (found == queued_.end()) return nullptr;
  auto [queue, whose] = found->second;
  queued_.erase(found);
  count_queued();
  return queue->take(whose, [&](const Place& place) { return place->ticket == ticket; }).value();
}

Bytes RequestScheduler::refuse(const Waiting& waiting, base::Counter& reason, const std::string& why) {
  reason.add();
  return conclude(aesm::Service::refuse(waiting.question, aesm::kBusy, why), waiting.client);
}

// --- The threads that make quotes ---

RequestScheduler::Place RequestScheduler::next() {
  auto place = quotes_.pop();
  if (!place) place = others_.pop();
  if (!place) return nullptr;
  queued_.erase((*place)->ticket);
  return std::move(*place);
}

bool RequestScheduler::make_next_quote() {
  std::unique_lock lock(mutex_);
  Place place = next();
  lock.unlock();
  if (!place) return false;
  replies_(place->ticket, make_quote(place->question, place->client, place->since));
  return true;
}

void RequestScheduler::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return stop_ || !queued_.empty(); });
    if (stop_) return;
    lock.unlock();
    make_next_quote();
    lock.lock();
  }
}

Bytes RequestScheduler::make_quote(const aesm::Question& question, const net::Client& client, Clock::time_point since) {
  auto begin = Clock::now();
  aesm::Answer answer = service_.answer(question);
  Times times{begin - since, Clock::now() - begin};
  {
    std::lock_guard lock(mutex_);
    if (answer.quoted) average_seconds_ += (seconds(times.took) - average_seconds_) / 8;
    count_queued();
  }
  queue_seconds_.observe(seconds(times.waited));
  if (answer.kind == aesm::RequestKind::kGetQuoteEx) quote_seconds_.observe(seconds(times.took));
  if (answer.quoted) quotes_made_.add();
  return conclude(std::move(answer), client, times);
}

// --- Counting and logging, from any thread ---

Bytes RequestScheduler::conclude(aesm::Answer answer, const net::Client& client, Times times) {
  requests(answer.kind, answer.code).add();
  if (answer.code != aesm::kSuccess) errors_.add();
  if (answer.kind == aesm::RequestKind::kGetQuoteEx)
    audit_.record(
        {client, answer.quoted ? &*answer.quoted : nullptr, aesm::to_string(answer.code), answer.why,
         std::chrono::duration_cast<microseconds>(times.waited), std::chrono::duration_cast<microseconds>(times.took)},
        Clock::now());
  else if (answer.code != aesm::kSuccess)
    log_refusal(answer, client);
  return std::move(answer.reply);
}

void RequestScheduler::log_refusal(const aesm::Answer& answer, const net::Client& client) {
  auto more = refusals_.take(base::LogBudget::Clock::now());
  if (!more) return;
  log::warn("request refused", {{"request", to_string(answer.kind)},
                                {"code", aesm::to_string(answer.code)},
                                {"reason", answer.why},
                                {"client", identities_.name(client)},
                                {"not_logged_before", *more}});
}

base::Counter& RequestScheduler::requests(aesm::RequestKind kind, aesm::Code code) {
  auto& slot = requests_[std::min<std::size_t>(static_cast<std::size_t>(kind), kKinds - 1)]
                        [std::min<std::size_t>(code, kCodes - 1)];
  base::Counter* counter = slot.load(std::memory_order_acquire);
  if (counter == nullptr) {
    // Two threads may both come here; they get the same counter.
    counter = &metrics_.counter(metric::kAesmRequests, {{"request", std::string(to_string(kind))},
                                                        {"code", std::to_string(static_cast<std::uint32_t>(code))}});
    slot.store(counter, std::memory_order_release);
  }
  return *counter;
}

}  // namespace enclayer::helper
