// SPDX-License-Identifier: Apache-2.0
// Whole conversations of several clients with the quote helper, without sockets and with a clock of the input's own:
// connections, bytes, silence, half and whole closes, replies that are not taken, quotes that come late. The input is a
// list of moves, two bytes each: what happens and to which connection; a parameter; bytes where the move has some.
//
// Whatever happens: replies are whole frames, bounds are kept, and when all clients fall silent nothing is left over.
#include <cstdlib>
#include <deque>

#include "aesm/client.h"
#include "base/bytes.h"
#include "base/log.h"
#include "fake/byte_transport.h"
#include "fake/framed.h"
#include "helper/request_scheduler.h"
#include "net/frame_connections.h"

namespace {

using namespace enclayer;
using namespace std::chrono_literals;
using fake::framed;

constexpr net::FrameLimits kLimits{.max_connections = 6, .max_buffered = 20'000};
constexpr std::size_t kMostQueued = 3;

void demand(bool holds) {
  if (!holds) std::abort();
}

class FixedQuotes final : public quoting::QuoteSource {
 public:
  std::optional<quoting::QuoteTerms> terms_now() override {
    return is_ready ? std::optional(quoting::QuoteTerms{{}, 4600}) : std::nullopt;
  }
  bool only_computes() const override { return computes; }
  Result<quoting::QuoteTarget> target() override { return quoting::QuoteTarget{}; }
  Result<std::uint32_t> quote_size() override { return 4600U; }
  Result<quoting::QuoteReply> quote(const sgx::Report& report,
                                    const std::optional<quoting::QeReportRequest>& qe_report) override {
    if (report.raw[0] == 0xff) return Error(ErrorKind::kPermissionDenied, "the MAC is wrong");
    return quoting::QuoteReply{Bytes(4600, 'q'), qe_report ? std::optional<sgx::Report>(sgx::Report{}) : std::nullopt};
  }
  bool is_ready = true, computes = false;
};

class World final : public fake::ByteTransport {
 public:
  World() : ByteTransport(60'000) {
    scheduler_.attach(
        [this](net::Ticket ticket, std::optional<Bytes> reply) { mail_.emplace_back(ticket, std::move(reply)); });
  }

  void play(base::ByteReader moves) {
    while (auto move = moves.take(2)) {
      std::uint8_t what = (*move)[0] & 15, which = (*move)[0] >> 4, parameter = (*move)[1];
      net::Connection* connection = find(which);
      switch (what) {
        case 0: open(which, parameter); break;
        case 1: say(connection, moves.take(std::min<std::size_t>(parameter, moves.remaining())).value()); break;
        case 2: say(connection, Bytes(parameter * 256U, parameter)); break;
        case 3: say(connection, framed(aesm::quote_request(sgx::Report{}, 8192, std::nullopt))); break;
        case 4: say(connection, framed(aesm::init_request())); break;
        case 5: say(connection, framed(aesm::quote_size_request())); break;
        case 6: say(connection, Bytes{6, 0, 0, 0, 0xaa, 0x01, 0x03, 0x48, 0x98, 0x75}); break;
        case 7: end(connection); break;
        case 8:
          if (connection != nullptr) connections_.hung_up(*connection, now_);
          serve(connection);
          break;
        case 9: pass(parameter * 50ms); break;
        case 10: scheduler_.make_next_quote(); break;
        case 11: deliver(); break;
        case 12:
          if (connection != nullptr) end_of(*connection).room = parameter * 32U;
          serve(connection);
          break;
        case 13:
          source_.is_ready = parameter % 2 == 0;
          source_.computes = parameter / 2 % 2 == 1;
          break;
        case 14:
          if (parameter == 14)
            for (net::Connection* idle : connections_.drain()) serve(idle);
          break;
        default:
          if (parameter % 16 == 15)
            connections_.close(which % 3U, now_);
          else
            serve(connection);
      }
      demand(connections_.open_connections() <= kLimits.max_connections);
    }
    // Every client falls silent. Whatever they were in the middle of ends by itself.
    for (int rounds = 0; connections_.open_connections() > 0; ++rounds) {
      demand(rounds < 10'000);  // frames of one connection are answered one after the other
      while (scheduler_.make_next_quote()) {
      }
      deliver();
      pass(13s);
    }
    for (const auto& [fd, end] : ends()) check(end);
  }

 private:
  bool close(net::Connection& connection) override {
    std::erase(open_, &connection);
    return true;
  }

  net::Connection* find(std::size_t which) { return which < open_.size() ? open_[which] : nullptr; }
  // In one of three groups, of which the first has several holders.
  void open(std::uint8_t group, std::uint8_t holder) {
    if (!connections_.has_room()) return;
    const base::Whose whose{group % 3U, group % 3U == 0 ? holder : 0U};
    net::Connection* connection = connections_.open(++last_fd_, {whose}, now_);
    demand(connection != nullptr || !connections_.has_room(whose));
    if (connection == nullptr) return;
    open_.push_back(connection);
    serve(connection);
  }
  void say(net::Connection* connection, ByteView bytes) {
    if (connection == nullptr || end_of(*connection).ended) return;
    base::append(end_of(*connection).to_server, bytes);
    serve(connection);
  }
  void end(net::Connection* connection) {
    if (connection == nullptr) return;
    end_of(*connection).ended = true;
    serve(connection);
  }
  void serve(net::Connection* connection) {
    if (connection == nullptr) return;
    auto state = [&] { return connection->session.state(); };
    while (state() != net::FrameSession::State::kClosed &&
           (connection->hung_up ? connections_.hung_up(*connection, now_) : connections_.serve(*connection, now_)) !=
               net::FrameConnections::Next::kEvent) {
    }
  }
  void deliver() {
    for (; !mail_.empty(); mail_.pop_front())
      serve(connections_.replied(mail_.front().first, std::move(mail_.front().second), now_));
  }
  void pass(std::chrono::milliseconds time) {
    now_ += time;
    for (net::Connection* connection : connections_.expire(now_)) serve(connection);
    demand(!connections_.next_deadline() || *connections_.next_deadline() > now_);
    connections_.forget_closed();
  }
  // Whole frames, none of them empty or too long; the last one may have been cut off by the client's own fault.
  static void check(const End& end) {
    base::ByteReader replies(end.to_client);
    while (auto size = replies.le32()) {
      demand(*size > 0 && *size <= 20'000);
      if (!replies.take(*size)) break;
    }
  }

  net::Moment now_{1h};
  FixedQuotes source_;
  static inline base::Metrics metrics_;
  helper::ClientIdentities identities_;
  helper::RequestScheduler scheduler_{
      source_, identities_, {.threads = 0, .max_queued = kMostQueued, .max_queued_each = 2}, metrics_};
  std::vector<net::Connection*> open_;
  int last_fd_ = 0;
  std::deque<std::pair<net::Ticket, std::optional<Bytes>>> mail_;
  net::FrameConnections connections_{kLimits, scheduler_, *this, metrics_};
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static bool quiet = (base::log::setup(base::log::Level::kError, base::log::Format::kText), true);
  if (!quiet) return 0;
  World().play(base::ByteReader({data, size}));
  return 0;
}
