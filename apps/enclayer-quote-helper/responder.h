// Between the socket and the AESM service: counts and logs what is asked and what is answered.
#pragma once

#include <array>
#include <atomic>

#include "aesm/service.h"
#include "base/log_budget.h"
#include "base/metrics.h"
#include "net/unix_socket.h"

namespace enclayer::quote_helper {

class Responder {
 public:
  // Both outlive it.
  Responder(quoting::QuoteSource& source, base::Metrics& metrics);

  // For net::FrameServer: called from several threads at once.
  std::optional<Bytes> reply(ByteView request, const net::Peer& peer);

 private:
  void log(const aesm::Answer& answer, const net::Peer& peer);
  base::Counter& requests(aesm::RequestKind kind, aesm::Code code);

  static constexpr std::size_t kKinds = 32, kCodes = 64;

  aesm::Service service_;
  base::Metrics& metrics_;
  base::Counter& errors_;
  base::Counter& quotes_;
  std::array<std::array<std::atomic<base::Counter*>, kCodes>, kKinds> requests_{};  // made when first needed
  base::LogBudget refusals_, quotes_made_;
};

}  // namespace enclayer::quote_helper
