#include "responder.h"

#include <algorithm>

#include "base/hex.h"
#include "base/log.h"
#include "base/metric_names.h"

namespace enclayer::quote_helper {

namespace log = base::log;

Responder::Responder(quoting::QuoteSource& source, base::Metrics& metrics)
    : service_(source),
      metrics_(metrics),
      errors_(metrics.counter(base::metric::kAesmErrors)),
      quotes_(metrics.counter(base::metric::kQuotes)) {}

std::optional<Bytes> Responder::reply(ByteView request, const net::Peer& peer) {
  auto answer = service_.answer(request);
  if (!answer) return std::nullopt;
  requests(answer->kind, answer->code).add();
  if (answer->code != aesm::kSuccess) errors_.add();
  if (answer->quoted) quotes_.add();
  log(*answer, peer);
  return std::move(answer->reply);
}

void Responder::log(const aesm::Answer& answer, const net::Peer& peer) {
  auto now = base::LogBudget::Clock::now();
  if (answer.quoted) {
    if (auto more = quotes_made_.take(now))
      log::info("quote made", {{"mr_enclave", base::to_hex(answer.quoted->mr_enclave)},
                               {"mr_signer", base::to_hex(answer.quoted->mr_signer)},
                               {"debug", answer.quoted->attributes.debug()},
                               {"peer_uid", peer.uid},
                               {"peer_pid", peer.pid},
                               {"not_logged_before", *more}});
  } else if (answer.code != aesm::kSuccess) {
    if (auto more = refusals_.take(now))
      log::warn("request refused", {{"request", to_string(answer.kind)},
                                    {"code", aesm::to_string(answer.code)},
                                    {"reason", answer.why},
                                    {"peer_uid", peer.uid},
                                    {"peer_pid", peer.pid},
                                    {"not_logged_before", *more}});
  }
}

base::Counter& Responder::requests(aesm::RequestKind kind, aesm::Code code) {
  auto& slot = requests_[std::min<std::size_t>(static_cast<std::size_t>(kind), kKinds - 1)]
                        [std::min<std::size_t>(code, kCodes - 1)];
  base::Counter* counter = slot.load(std::memory_order_acquire);
  if (counter == nullptr) {
    // Two threads may both come here; they get the same counter.
    counter = &metrics_.counter(
        base::metric::kAesmRequests,
        {{"request", std::string(to_string(kind))}, {"code", std::to_string(static_cast<std::uint32_t>(code))}});
    slot.store(counter, std::memory_order_release);
  }
  return *counter;
}

}  // namespace enclayer::quote_helper
