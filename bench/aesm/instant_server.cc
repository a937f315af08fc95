// The helper's front end (socket, frames, protocol, counting) with a quote source that costs nothing, or sleeps: what
// is measured is what we add to a quote.
#include <malloc.h>
#include <signal.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>

#include "base/bytes.h"
#include "base/log.h"
#include "base/metrics.h"
#include "helper/claim.h"
#include "helper/responder.h"
#include "net/frame_server.h"

namespace {

using namespace enclayer;

class FixedQuotes final : public quoting::QuoteSource {
 public:
  explicit FixedQuotes(std::chrono::milliseconds takes) : takes_(takes) {
    quote_.resize(4600, 0x51);
    base::store_le32(quote_.data(), 0x00020003);
    base::store_le32(quote_.data() + 432, 4600 - 436);
  }
  std::optional<quoting::QuoteTerms> terms_now() override { return quoting::QuoteTerms{{}, *quote_size()}; }
  bool only_computes() const override { return takes_.count() == 0; }
  Result<quoting::QuoteTarget> target() override { return quoting::QuoteTarget{}; }
  Result<std::uint32_t> quote_size() override { return static_cast<std::uint32_t>(quote_.size()); }
  Result<quoting::QuoteReply> quote(const sgx::Report&, const std::optional<quoting::QeReportRequest>&) override {
    if (takes_.count() > 0) std::this_thread::sleep_for(takes_);
    return quoting::QuoteReply{quote_, std::nullopt};
  }

 private:
  std::chrono::milliseconds takes_;
  Bytes quote_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) return std::fprintf(stderr, "usage: %s SOCKET STATE_DIR THREADS MILLISECONDS_A_QUOTE\n", argv[0]), 1;
  ::mallopt(M_ARENA_MAX, 1);  // as the helper does
  base::log::setup(base::log::Level::kError, base::log::Format::kText);
  sigset_t ends;
  ::sigemptyset(&ends);
  ::sigaddset(&ends, SIGTERM);
  ::sigprocmask(SIG_BLOCK, &ends, nullptr);
  FixedQuotes source{std::chrono::milliseconds(std::atoi(argv[4]))};
  base::Metrics metrics;
  net::FrameLimits limits;
  limits.max_connections = 4096;
  helper::Askers askers;
  helper::Responder::Options responding;
  responding.threads = std::atoi(argv[3]);
  helper::Responder responder(source, askers, responding, metrics);
  auto claim = helper::SocketClaim::take(argv[1], argv[2], {.replace = true});
  if (!claim) return std::fprintf(stderr, "%s\n", claim.error().message().c_str()), 1;
  auto server = net::FrameServer::start(limits, responder, metrics);
  if (!server) return std::fprintf(stderr, "%s\n", server.error().message().c_str()), 1;
  (*server)->serve(claim->take_listener(), helper::kLegacy, net::Askers::kProcesses);
  std::fprintf(stderr, "serving\n");
  int number = 0;
  ::sigwait(&ends, &number);
  return 0;
}
