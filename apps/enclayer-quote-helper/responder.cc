#include "responder.h"

#include <algorithm>
#include <utility>

#include "base/hex.h"
#include "base/log.h"
#include "base/metric_names.h"

namespace enclayer::quote_helper {
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

Responder::Responder(quoting::QuoteSource& source, Options options, base::Metrics& metrics)
    : source_(source),
      service_(source),
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
      quotes_(options_.max_queued, options_.max_queued_each),
      others_(options_.max_queued, options_.max_queued_each) {
  for (int i = 0; i < options_.threads; ++i) threads_.emplace_back([this] { run(); });
}

Responder::~Responder() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void Responder::identify(net::Client& client, int socket) {
  if (options_.pods == nullptr) return FrameHandler::identify(client, socket);
  client.asker = options_.pods->askers.who(client.peer.pid, socket, Clock::now());
  client.holder = client.asker->key;
}

// Where neither pod nor process is known, each request is on its own: users tell nothing, in containers all are root.
Responder::Key Responder::turn_of(const net::Client& client, net::Ticket ticket) const {
  constexpr Key kAlone = Key{1} << 63;
  return client.asker || client.peer.pid > 0 ? client.holder : kAlone | ticket;
}

// --- The server's thread ---

net::FrameOutcome Responder::frame(ByteView frame, const net::Client& client, net::Ticket ticket) {
  auto read = aesm::Service::read(frame);
  if (auto* answer = std::get_if<aesm::Answer>(&read)) return conclude(std::move(*answer), client);
  auto* question = std::get_if<aesm::Question>(&read);
  if (question == nullptr) return net::NoReply{};

  Key key = turn_of(client, ticket);
  if (auto refused = refused_by_rule(*question, client)) return conclude(std::move(*refused), client);
  if (question->kind != aesm::RequestKind::kGetQuoteEx) {
    auto wait = expected_wait(key);
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
  return queue_up(std::move(*question), client, ticket, key);
}

// Who has had its quotes of this minute is told so at init and size already, where clients repeat BUSY.
std::optional<aesm::Answer> Responder::refused_by_rule(const aesm::Question& question, const net::Client& client) {
  if (options_.pods == nullptr || !options_.pods->allowance) return std::nullopt;
  pods::Allowance& allowance = *options_.pods->allowance;
  bool is_quote = question.kind == aesm::RequestKind::kGetQuoteEx;
  auto now = Clock::now();
  if (is_quote ? allowance.take(client.asker->key, now) : allowance.any(client.asker->key, now)) return std::nullopt;
  return aesm::Service::refuse(question, aesm::kBusy,
                               "it has had its " + std::to_string(allowance.a_minute()) + " quotes of this minute");
}

// Looking up who holds EPC may read a file, and a source that waits for others may wait for long.
bool Responder::may_make_here() {
  if (!source_.only_computes() || (options_.pods != nullptr && options_.pods->holders)) return false;
  std::lock_guard lock(mutex_);
  return queued_.empty() && seconds(quoted_here_) + average_seconds_ < seconds(kQuotesHere);
}

// With fair turns a newcomer waits until each of the others had as many turns as it needs itself.
std::chrono::duration<double> Responder::expected_wait(Key key) {
  std::lock_guard lock(mutex_);
  std::size_t ahead = std::min(quotes_.size(), (quotes_.size(key) + 1) * quotes_.keys());
  return std::chrono::duration<double>(static_cast<double>(ahead) * average_seconds_ / std::max(options_.threads, 1));
}

net::FrameOutcome Responder::queue_up(aesm::Question question, const net::Client& client, net::Ticket ticket, Key key) {
  Queue& queue = question.kind == aesm::RequestKind::kGetQuoteEx ? quotes_ : others_;
  auto place = std::make_unique<Waiting>(Waiting{ticket, client, std::move(question), Clock::now()});
  std::optional<Place> loser;
  {
    std::lock_guard lock(mutex_);
    queued_[ticket] = {&queue, key};
    loser = queue.push(key, std::move(place));
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

void Responder::begin() {
  quoted_here_ = {};
  if (pushed_ == 0) return;
  if (pushed_ >= options_.threads)
    wake_.notify_all();
  else
    for (int i = 0; i < pushed_; ++i) wake_.notify_one();
  pushed_ = 0;
  std::lock_guard lock(mutex_);
  count_queued();
}

std::optional<Bytes> Responder::overdue(net::Ticket ticket) {
  auto waiting = leave_queue(ticket);
  if (!waiting) return std::nullopt;
  return refuse(*waiting, dropped_late_, "its turn did not come in time");
}

void Responder::abandoned(net::Ticket ticket) {
  if (leave_queue(ticket)) dropped_gone_.add();
}

Responder::Place Responder::leave_queue(net::Ticket ticket) {
  std::lock_guard lock(mutex_);
  auto found = queued_.find(ticket);
  if (found == queued_.end()) return nullptr;
  auto [queue, key] = found->second;
  queued_.erase(found);
  count_queued();
  return queue->take(key, [&](const Place& place) { return place->ticket == ticket; }).value();
}

Bytes Responder::refuse(const Waiting& waiting, base::Counter& reason, const std::string& why) {
  reason.add();
  return conclude(aesm::Service::refuse(waiting.question, aesm::kBusy, why), waiting.client);
}

// --- The threads that make quotes ---

Responder::Place Responder::next() {
  auto place = quotes_.pop();
  if (!place) place = others_.pop();
  if (!place) return nullptr;
  queued_.erase((*place)->ticket);
  return std::move(*place);
}

bool Responder::make_next_quote() {
  std::unique_lock lock(mutex_);
  Place place = next();
  lock.unlock();
  if (!place) return false;
  replies_(place->ticket, make_quote(place->question, place->client, place->since));
  return true;
}

void Responder::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return stop_ || !queued_.empty(); });
    if (stop_) return;
    lock.unlock();
    make_next_quote();
    lock.lock();
  }
}

Bytes Responder::make_quote(const aesm::Question& question, const net::Client& client, Clock::time_point since) {
  auto begin = Clock::now();
  aesm::Answer answer = ask_source(question, client);
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

aesm::Answer Responder::ask_source(const aesm::Question& question, const net::Client& client) {
  if (options_.pods == nullptr || !options_.pods->holders || question.kind != aesm::RequestKind::kGetQuoteEx)
    return service_.answer(question);
  std::string why = "only pods that hold EPC get quotes, and who asks is in no pod";
  if (client.asker->kind == pods::Asker::Kind::kPod) {
    auto holds = options_.pods->holders->holds(client.asker->pod.pod_uid, Clock::now());
    if (holds && *holds) return service_.answer(question);
    why = holds ? "only pods that hold EPC get quotes, and this one holds none"
                : "it is not known which pods hold EPC: " + holds.error().message();
  }
  return aesm::Service::refuse(question, aesm::kServiceUnavailable, std::move(why));
}

// --- Counting and logging, from any thread ---

Bytes Responder::conclude(aesm::Answer answer, const net::Client& client, Times times) {
  requests(answer.kind, answer.code).add();
  if (answer.code != aesm::kSuccess) errors_.add();
  if (answer.kind == aesm::RequestKind::kGetQuoteEx && options_.pods != nullptr)
    options_.pods->audit->record(
        {*client.asker, client.peer.pid, client.peer.uid, answer.quoted ? &*answer.quoted : nullptr,
         aesm::to_string(answer.code), answer.why, std::chrono::duration_cast<microseconds>(times.waited),
         std::chrono::duration_cast<microseconds>(times.took)},
        Clock::now());
  else if (answer.code != aesm::kSuccess)
    log_refusal(answer, client);
  else if (answer.quoted)
    log_quote(answer, client, times);
  return std::move(answer.reply);
}

void Responder::log_refusal(const aesm::Answer& answer, const net::Client& client) {
  auto more = refusals_.take(base::LogBudget::Clock::now());
  if (!more) return;
  log::warn("request refused", {{"request", to_string(answer.kind)},
                                {"code", aesm::to_string(answer.code)},
                                {"reason", answer.why},
                                {"peer_uid", client.peer.uid},
                                {"peer_pid", client.peer.pid},
                                {"not_logged_before", *more}});
}

void Responder::log_quote(const aesm::Answer& answer, const net::Client& client, Times times) {
  auto more = quotes_logged_.take(base::LogBudget::Clock::now());
  if (!more) return;
  log::info("quote made", {{"mr_enclave", base::to_hex(answer.quoted->mr_enclave)},
                           {"mr_signer", base::to_hex(answer.quoted->mr_signer)},
                           {"debug", answer.quoted->attributes.debug()},
                           {"waited_ms", seconds(times.waited) * 1000},
                           {"took_ms", seconds(times.took) * 1000},
                           {"peer_uid", client.peer.uid},
                           {"peer_pid", client.peer.pid},
                           {"not_logged_before", *more}});
}

base::Counter& Responder::requests(aesm::RequestKind kind, aesm::Code code) {
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

}  // namespace enclayer::quote_helper
