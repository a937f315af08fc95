// SPDX-License-Identifier: Apache-2.0
// The helper's front end (sockets, frames, protocol, counting) with a quote source that costs nothing, computes or
// sleeps: what is measured is what we add to a quote. It serves the legacy socket and, as the helper does, slots.
#include <malloc.h>
#include <signal.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>

#include "base/bytes.h"
#include "base/log.h"
#include "base/metrics.h"
#include "fake/listen.h"
#include "helper/claim.h"
#include "helper/request_scheduler.h"
#include "net/frame_server.h"
#include "net/unix_socket.h"
#include "slots/slots.h"

namespace {

using namespace enclayer;
namespace fs = std::filesystem;

// One that takes less than a millisecond computes, as simulated quotes do; others are made elsewhere and waited for.
class FixedQuotes final : public quoting::QuoteSource {
 public:
  explicit FixedQuotes(std::chrono::microseconds takes) : takes_(takes) {
    quote_.resize(4600, 0x51);
    base::store_le32(quote_.data(), 0x00020003);
    base::store_le32(quote_.data() + 432, 4600 - 436);
  }
  std::optional<quoting::QuoteTerms> terms_now() override { return quoting::QuoteTerms{{}, *quote_size()}; }
  bool only_computes() const override { return takes_ < std::chrono::milliseconds(1); }
  Result<quoting::QuoteTarget> target() override { return quoting::QuoteTarget{}; }
  Result<std::uint32_t> quote_size() override { return static_cast<std::uint32_t>(quote_.size()); }
  Result<quoting::QuoteReply> quote(const sgx::Report&, const std::optional<quoting::QeReportRequest>&) override {
    if (!only_computes()) std::this_thread::sleep_for(takes_);
    if (only_computes() && takes_.count() > 0)
      for (auto end = std::chrono::steady_clock::now() + takes_; std::chrono::steady_clock::now() < end;) {
      }
    return quoting::QuoteReply{quote_, std::nullopt};
  }

 private:
  std::chrono::microseconds takes_;
  Bytes quote_;
};

int fail(const Error& error) {
  std::fprintf(stderr, "%s\n", error.message().c_str());
  return 1;
}

// p0, p1, ... and "older": in that one clients may pass descriptors along, as on kernels without SO_PASSRIGHTS.
Result<> serve_slots(net::FrameServer& server, helper::ClientIdentities& identities, const fs::path& parent,
                     int slots) {
  for (int i = 0; i <= slots; ++i) {
    std::string name = i < slots ? "p" + std::to_string(i) : "older";
    fs::create_directories(parent / name);
    ENCLAYER_TRY(base::UniqueFd listener,
                 fake::listen_at(parent / name / slots::kSocket,
                                 i < slots ? net::Descriptors::kRefused : net::Descriptors::kAllowed));
    auto group = helper::kLegacy + 1 + static_cast<std::uint32_t>(i);
    identities.set(group, {name, {}});
    server.serve(std::move(listener), group, net::Holders::kOne);
  }
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6)
    return std::fprintf(stderr, "usage: %s SOCKET STATE_DIR MICROSECONDS_A_QUOTE SLOTS_DIR SLOTS\n", argv[0]), 1;
  ::mallopt(M_ARENA_MAX, 1);  // as the helper does
  base::log::setup(base::log::Level::kError, base::log::Format::kText);
  sigset_t ends;
  ::sigemptyset(&ends);
  ::sigaddset(&ends, SIGTERM);
  ::sigprocmask(SIG_BLOCK, &ends, nullptr);
  FixedQuotes source{std::chrono::microseconds(std::atoi(argv[3]))};
  base::Metrics metrics;
  net::FrameLimits limits;
  limits.max_connections = 4096;
  helper::ClientIdentities identities;
  helper::RequestScheduler::Options responding;  // as in helper.cc
  responding.max_queued = limits.max_connections / 4;
  responding.max_queued_each = limits.max_connections / 16;
  helper::RequestScheduler scheduler(source, identities, responding, metrics);
  auto claim = helper::SocketClaim::take(argv[1], argv[2], {.replace = true});
  if (!claim) return fail(claim.error());
  auto server = net::FrameServer::start(limits, scheduler, metrics);
  if (!server) return fail(server.error());
  (*server)->serve(claim->take_listener(), helper::kLegacy, net::Holders::kProcesses);
  if (auto served = serve_slots(**server, identities, argv[4], std::atoi(argv[5])); !served)
    return fail(served.error());
  std::fprintf(stderr, "serving\n");
  int number = 0;
  ::sigwait(&ends, &number);
  return 0;
}
