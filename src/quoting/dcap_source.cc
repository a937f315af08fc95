// SPDX-License-Identifier: Apache-2.0
#include "quoting/dcap_source.h"

#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <future>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "base/hex.h"
#include "base/log.h"
#include "base/metric_names.h"
#include "base/metrics.h"
#include "base/wakeup.h"
#include "quoting/dcap_process.h"
#include "quoting/pck_validity.h"

namespace enclayer::quoting {
namespace {

namespace log = base::log;
using std::chrono::steady_clock;

constexpr std::uint32_t kAesmBusy = 18, kAesmServiceUnavailable = 30, kAesmAttKeyNotInitialized = 42;

constexpr char kStopping[] = "the quote helper is stopping";

// A library that fails this often in a row for reasons of its own is loaded afresh.
constexpr int kMostFailures = 3;

constexpr auto kLookAtCertificate = std::chrono::minutes(1);

struct Job {
  DcapRequest request;
  std::promise<Result<QuoteReply>> result;
  steady_clock::time_point until;  // when nobody waits for it any more
  bool was_tried = false;          // by a worker that hung
};

Error busy(std::string why) { return {ErrorKind::kExhausted, std::move(why), kAesmBusy}; }

class Source : public DcapQuoteSource {
 public:
  Source(DcapSourceOptions options, base::Metrics& metrics);
  ~Source() override { stop_all(); }
  void stop() override { stop_all(); }
  std::string not_ready() const override;
  SourceFacts facts() const override {
    std::lock_guard lock(mutex_);
    return facts_;
  }
  void reload(DcapLaunch launch) override;

  std::optional<QuoteTerms> terms_now() override;
  Result<QuoteTarget> target() override;
  Result<std::uint32_t> quote_size() override;
  Result<QuoteReply> quote(const sgx::Report& report, const std::optional<QeReportRequest>& qe_report) override;

 private:
  // One worker's thread and what it knows.
  struct Worker {
    unsigned number = 0;
    std::unique_ptr<DcapProcess> process;
    std::uint64_t generation = 0;  // of the key that this worker agreed to
    unsigned launch = 0;           // launches_ when it was started
    unsigned deaths = 0;           // in a row; decides about the pause before the next start
    int failures = 0;              // in a row
    bool has_quoted = false;       // since it was started
    std::thread thread;
  };

  void stop_all();

  void run(Worker& worker);
  bool start(Worker& worker);
  void serve(Worker& worker);
  void pause(Worker& worker);
  void lost(Worker& worker, const char* why, const std::string& details);

  // Init and size.
  Result<QuoteTerms> prepare(Worker& worker);
  void learn_files(Worker& worker, const QuoteTarget& target);
  // Whether the worker may serve: it has the key that clients know, or nobody else serves and its key is the new one.
  bool admit(Worker& worker, const QuoteTerms& known);
  // Prepares the key again. False: the process is of no more use.
  bool refresh(Worker& worker);
  // mutex_ is held. Whether it is this worker's turn to be started again.
  bool may_reload(const Worker& worker) const { return worker.launch != launches_ && reloading_ == nullptr; }
  // Makes the quote. False: the process is of no more use.
  bool work(Worker& worker, const std::shared_ptr<Job>& job);
  // Puts a quote that hung in front of the line, where that helps.
  bool try_again(const std::shared_ptr<Job>& job);
  Result<QuoteReply> checked(const DcapRequest& request, QuoteReply reply);

  void replace_known(const QuoteTerms& known);  // mutex_ is held
  Result<QuoteTerms> known();                   // waits up to the budget
  std::optional<Error> down() const;            // mutex_ is held; why no worker is up
  bool stopping() const {
    std::lock_guard lock(mutex_);
    return stopping_;
  }
  void count(const base::MetricName& name, const base::Metrics::Labels& labels) {
    metrics_.counter(name, labels).add();
  }

  const DcapSourceOptions options_;
  base::Metrics& metrics_;
  base::Wakeup stop_;
  std::vector<Worker> workers_;

  mutable std::mutex mutex_;
  DcapLaunch launch_;
  unsigned launches_ = 0;                // how often launch_ was replaced
  const Worker* reloading_ = nullptr;    // has ended to be started as launch_ says, and is not back yet
  std::condition_variable for_workers_;  // a job, a new generation, stop
  std::condition_variable for_callers_;  // known_ or failure_ changed
  bool stopping_ = false;
  std::deque<std::shared_ptr<Job>> queue_;
  unsigned up_ = 0;
  std::optional<QuoteTerms> known_;  // what clients are told, and made their reports for; while a worker is up
  std::optional<QuoteTerms> last_;   // known_, the last time that one was up
  SourceFacts facts_;
  std::optional<Error> failure_;  // why the last start failed, while none is up
  std::uint64_t generation_ = 0;  // counts changes of the target
  steady_clock::time_point next_look_at_certificate_{};
};

Source::Source(DcapSourceOptions options, base::Metrics& metrics)
    : options_(std::move(options)),
      metrics_(metrics),
      workers_(std::max(1U, options_.workers)),
      launch_(options_.launch) {
  for (unsigned i = 0; i < workers_.size(); ++i) {
    workers_[i].number = i + 1;
    workers_[i].thread = std::thread([this, i] { run(workers_[i]); });
  }
}

void Source::stop_all() {
  {
    std::lock_guard lock(mutex_);
    if (std::exchange(stopping_, true)) return;
  }
  stop_.ring();
  for_workers_.notify_all();
  for_callers_.notify_all();
  for (Worker& worker : workers_) worker.thread.join();
  std::lock_guard lock(mutex_);
  for (auto& job : std::exchange(queue_, {})) job->result.set_value(busy(kStopping));
}

std::optional<QuoteTerms> Source::terms_now() {
  std::lock_guard lock(mutex_);
  return known_;
}

std::string Source::not_ready() const {
  std::lock_guard lock(mutex_);
  if (known_) return {};
  if (auto why = down()) return why->message();
  return "no quote worker is up yet";
}

void Source::reload(DcapLaunch launch) {
  {
    std::lock_guard lock(mutex_);
    launch_ = std::move(launch);
    ++launches_;
  }
  for_workers_.notify_all();
}

std::optional<Error> Source::down() const {
  if (stopping_) return busy(kStopping);
  return up_ == 0 ? failure_ : std::nullopt;
}

Result<QuoteTerms> Source::known() {
  std::unique_lock lock(mutex_);
  bool settled = for_callers_.wait_for(lock, options_.budget, [&] { return known_ || down(); });
  if (!settled) return busy("no quote worker was ready within " + std::to_string(options_.budget.count()) + " ms");
  if (known_) return *known_;
  return *down();
}

Result<QuoteTarget> Source::target() {
  ENCLAYER_TRY(QuoteTerms now, known());
  return now.target;
}

Result<std::uint32_t> Source::quote_size() {
  ENCLAYER_TRY(QuoteTerms now, known());
  return now.quote_size;
}

Result<QuoteReply> Source::quote(const sgx::Report& report, const std::optional<QeReportRequest>& qe_report) {
  auto job = std::make_shared<Job>();
  job->request = {DcapCall::kQuote, report, qe_report};
  job->until = steady_clock::now() + options_.budget;
  auto result = job->result.get_future();
  {
    std::lock_guard lock(mutex_);
    if (auto why = down()) return *std::move(why);
    if (queue_.size() >= options_.most_waiting)
      return busy(std::to_string(queue_.size()) + " quotes are waiting already");
    queue_.push_back(job);
  }
  for_workers_.notify_all();  // some of them are in a pause
  if (result.wait_until(job->until) == std::future_status::ready) return result.get();
  {
    std::lock_guard lock(mutex_);
    std::erase(queue_, job);  // where a worker has it already, the answer comes too late for anybody
  }
  return busy("the quote was not made within " + std::to_string(options_.budget.count()) + " ms");
}

// --- a worker's thread ---

void Source::run(Worker& worker) {
  while (true) {
    bool up = start(worker);
    {
      std::lock_guard lock(mutex_);
      if (reloading_ == &worker) reloading_ = nullptr;
    }
    for_workers_.notify_all();
    if (up) serve(worker);
    worker.process.reset();
    std::lock_guard lock(mutex_);
    if (stopping_) return;
  }
}

void Source::pause(Worker& worker) {
  if (worker.deaths == 0) return;
  auto length = options_.first_pause;
  for (unsigned i = 1; i < worker.deaths && length < options_.longest_pause; ++i) length *= 2;
  length = std::min(length, options_.longest_pause);
  std::unique_lock lock(mutex_);
  for_workers_.wait_for(lock, length, [&] { return stopping_ || worker.launch != launches_; });
}

// Starts the process and has it admitted; afterwards it counts as up.
bool Source::start(Worker& worker) {
  pause(worker);
  DcapLaunch launch;
  {
    std::lock_guard lock(mutex_);
    if (stopping_) return false;
    launch = launch_;
    worker.launch = launches_;
  }
  auto process = DcapProcess::start(launch, options_.start_timeout, stop_.fd());
  Result<QuoteTerms> known = process ? Result<QuoteTerms>{} : Result<QuoteTerms>(process.error());
  if (process) {
    worker.process = *std::move(process);
    known = prepare(worker);
  }
  if (!known) {
    ++worker.deaths;
    std::lock_guard lock(mutex_);
    if (stopping_) return false;
    count(base::metric::kQuoteWorkerStarts, {{"result", "failed"}});
    log::error("a quote worker could not be started", {{"worker", worker.number},
                                                       {"why", known.error().message()},
                                                       {"library_said", worker.process ? worker.process->said() : ""}});
    if (up_ > 0) return false;
    failure_ = known.error().code() != 0
                   ? known.error()
                   : Error(known.error().kind(), known.error().message(), kAesmServiceUnavailable);
    for (auto& job : std::exchange(queue_, {})) job->result.set_value(*failure_);
    for_callers_.notify_all();
    return false;
  }
  if (!admit(worker, *known)) {
    ++worker.deaths;
    count(base::metric::kQuoteWorkerStarts, {{"result", "other-key"}});
    log::warn("a quote worker has another key than the others and does not serve",
              {{"worker", worker.number}, {"pub_key_id", base::to_hex(known->target.pub_key_id)}});
    return false;
  }
  worker.failures = 0;
  worker.has_quoted = false;
  learn_files(worker, known->target);
  count(base::metric::kQuoteWorkerStarts, {{"result", "ok"}});
  log::info("a quote worker is up", {{"worker", worker.number},
                                     {"pid", worker.process->pid()},
                                     {"loaded", worker.process->loaded()},
                                     {"qe_mr_enclave", base::to_hex(known->target.qe.mr_enclave)},
                                     {"pub_key_id", base::to_hex(known->target.pub_key_id)},
                                     {"quote_size", known->quote_size}});
  return true;
}

Result<QuoteTerms> Source::prepare(Worker& worker) {
  QuoteTerms known;
  for (DcapCall call : {DcapCall::kInit, DcapCall::kSize}) {
    DcapRequest request;
    request.call = call;
    ENCLAYER_TRY(DcapReply reply, worker.process->call(request, options_.start_timeout));
    if (reply.status != kDcapSuccess) return dcap_error(reply.status, call, reply.text);
    if (call == DcapCall::kInit)
      known.target = reply.target;
    else
      known.quote_size = reply.size;
  }
  return known;
}

// What was learned from quotes is better than what files say, and stays while the QE is the same.
void Source::learn_files(Worker& worker, const QuoteTarget& target) {
  DcapRequest request;
  request.call = DcapCall::kFiles;
  auto reply = worker.process->call(request, options_.start_timeout);
  if (!reply || reply->status != kDcapSuccess) return;  // who cannot answer dies, and that is noticed elsewhere
  SourceFacts fresh = facts_of_files(reply->files, target.qe.mr_enclave);
  std::lock_guard lock(mutex_);
  if (facts_.qe_mr_enclave == fresh.qe_mr_enclave)
    facts_.files = std::move(fresh.files);
  else
    facts_ = std::move(fresh);
}

void Source::replace_known(const QuoteTerms& known) {
  if (last_ && last_->target != known.target) {
    ++generation_;
    next_look_at_certificate_ = {};
    count(base::metric::kQuoteKeyChanges, {});
    log::warn("the attestation key has changed, clients have to ask for the target again",
              {{"old_pub_key_id", base::to_hex(last_->target.pub_key_id)},
               {"new_pub_key_id", base::to_hex(known.target.pub_key_id)},
               {"old_qe_mr_enclave", base::to_hex(last_->target.qe.mr_enclave)},
               {"new_qe_mr_enclave", base::to_hex(known.target.qe.mr_enclave)}});
  }
  known_ = last_ = known;
}

bool Source::admit(Worker& worker, const QuoteTerms& known) {
  std::lock_guard lock(mutex_);
  if (up_ > 0 && known_->target != known.target) return false;
  if (up_ == 0) replace_known(known);
  ++up_;
  failure_.reset();
  worker.generation = generation_;
  metrics_.gauge(base::metric::kQuoteWorkersUp).set(up_);
  for_callers_.notify_all();
  return true;
}

void Source::serve(Worker& worker) {
  bool useful = true;
  auto next_refresh = steady_clock::now() + options_.refresh_every;
  while (useful) {
    std::shared_ptr<Job> job;
    bool stale, is_to_reload = false;
    {
      std::unique_lock lock(mutex_);
      for_workers_.wait_until(lock, next_refresh, [&] {
        return stopping_ || !queue_.empty() || worker.generation != generation_ || may_reload(worker);
      });
      if (stopping_) break;
      is_to_reload = may_reload(worker);
      if (is_to_reload) reloading_ = &worker;
      stale = worker.generation != generation_;
      if (!is_to_reload && !stale && !queue_.empty() && worker.process->alive()) {
        job = std::move(queue_.front());
        queue_.pop_front();
      }
    }
    if (job) {
      useful = work(worker, job);
    } else if (is_to_reload) {
      log::info("a quote worker is started again with what was reloaded", {{"worker", worker.number}});
      useful = false;
    } else if (!worker.process->alive()) {  // it died of something between two requests: no request has to pay for it
      lost(worker, "crash", "it died while idle");
      useful = false;
    } else {
      if (!stale && steady_clock::now() < next_refresh) continue;
      useful = refresh(worker);
      next_refresh = steady_clock::now() + options_.refresh_every;
    }
  }
  std::lock_guard lock(mutex_);
  metrics_.gauge(base::metric::kQuoteWorkersUp).set(--up_);
  if (up_ == 0) known_.reset();
}

void Source::lost(Worker& worker, const char* why, const std::string& details) {
  ++worker.deaths;
  count(base::metric::kQuoteWorkerDeaths, {{"reason", why}});
  log::error("a quote worker is lost",
             {{"worker", worker.number}, {"reason", why}, {"why", details}, {"library_said", worker.process->said()}});
}

bool Source::refresh(Worker& worker) {
  auto fresh = prepare(worker);
  std::lock_guard lock(mutex_);
  if (stopping_) return false;
  if (!fresh) {
    // A reply that says "failed" has a code, and the process lives: what is known goes on being served. Certificates
    // that could not be renewed today may be tomorrow.
    if (fresh.error().code() != 0) {
      log::warn("the attestation key could not be prepared again",
                {{"worker", worker.number}, {"why", fresh.error().message()}});
      return worker.generation == generation_;
    }
    lost(worker, fresh.error().kind() == ErrorKind::kTimedOut ? "hang" : "crash", fresh.error().message());
    return false;
  }
  if (fresh->target == known_->target) {
    worker.generation = generation_;
    known_->quote_size = last_->quote_size = fresh->quote_size;
    return true;
  }
  // Somebody else found a new key and this library holds on to the old one: a new process looks again.
  if (worker.generation != generation_) return false;
  replace_known(*fresh);
  worker.generation = generation_;
  for_workers_.notify_all();
  return true;
}

bool Source::try_again(const std::shared_ptr<Job>& job) {
  {
    std::lock_guard lock(mutex_);
    if (up_ < 2 || job->was_tried || steady_clock::now() >= job->until) return false;
    job->was_tried = true;
    queue_.push_front(job);
  }
  for_workers_.notify_all();
  return true;
}

bool Source::work(Worker& worker, const std::shared_ptr<Job>& job) {
  auto told = [&] {
    std::lock_guard lock(mutex_);
    return *known_;
  };
  QuoteTerms before = told();
  auto call = [&] {
    return worker.process->call(job->request,
                                worker.has_quoted ? options_.quote_timeout : options_.first_quote_timeout);
  };
  auto reply = call();
  if (reply && reply->status == kDcapAttKeyNotInitialized) {
    // The platform's certificate is now for another TCB than the one that the key was certified for. Where preparing
    // the key again gives the one that clients know, they need not hear of it.
    if (!refresh(worker)) {
      job->result.set_value(Error(ErrorKind::kUnavailable,
                                  "the attestation key is not certified any more and could not be prepared again",
                                  kAesmAttKeyNotInitialized));
      return false;
    }
    QuoteTerms now = told();
    if (now.target == before.target && now.quote_size <= before.quote_size) reply = call();
  }
  if (!reply) {
    if (stopping()) {
      job->result.set_value(busy(kStopping));
      return false;
    }
    bool hang = reply.error().kind() == ErrorKind::kTimedOut;
    if (!hang || !try_again(job))
      job->result.set_value(hang ? busy(reply.error().message())
                                 : Error(reply.error().kind(), reply.error().message(), kAesmServiceUnavailable));
    lost(worker, hang ? "hang" : "crash", reply.error().message());
    return false;
  }

  if (reply->status == kDcapSuccess) {
    worker.deaths = 0;
    worker.failures = 0;
    worker.has_quoted = true;
    job->result.set_value(checked(job->request, std::move(reply->quote)));
    return true;
  }
  std::string name = dcap_status_name(reply->status);
  count(base::metric::kQuoteLibraryErrors, {{"status", name.starts_with("0x") ? "other" : name}});
  Error error = dcap_error(reply->status, DcapCall::kQuote, reply->text);
  Fault fault = fault_of(reply->status);
  job->result.set_value(std::move(error));
  if (fault == Fault::kEnclave || (fault == Fault::kLibrary && ++worker.failures >= kMostFailures)) {
    lost(worker, fault == Fault::kEnclave ? "enclave-lost" : "failing", name);
    return false;
  }
  return true;
}

// What comes out of a worker is believed no more than it has to be.
Result<QuoteReply> Source::checked(const DcapRequest& request, QuoteReply reply) {
  constexpr std::size_t kBodyAt = 48;
  auto asked = request.report.body_bytes();
  if (!std::equal(asked.begin(), asked.end(), reply.quote.begin() + kBodyAt))
    return Error(ErrorKind::kInternal, "the quote library made a quote of another report than the one it was given");
  if (request.qe_report.has_value() != reply.qe_report.has_value())
    return Error(ErrorKind::kInternal, "the quote library's answer about the QE report does not fit the question");
  auto now = steady_clock::now();
  std::lock_guard lock(mutex_);
  if (now >= next_look_at_certificate_) {
    next_look_at_certificate_ = now + kLookAtCertificate;
    show_pck_validity_of_quote(reply.quote, metrics_);
    learn_from_quote(facts_, reply.quote);
  }
  // What the next client should expect.
  known_->quote_size = last_->quote_size = static_cast<std::uint32_t>(reply.quote.size());
  return reply;
}

}  // namespace

std::unique_ptr<DcapQuoteSource> DcapQuoteSource::start(DcapSourceOptions options, base::Metrics& metrics) {
  return std::make_unique<Source>(std::move(options), metrics);
}

}  // namespace enclayer::quoting
