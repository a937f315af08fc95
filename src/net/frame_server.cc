#include "net/frame_server.h"

#include <utility>  // before Boost.Asio 1.74 on g++ 12, which forgets it

#include <atomic>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "base/bytes.h"
#include "base/log.h"
#include "base/log_budget.h"
#include "base/metric_names.h"

namespace enclayer::net {
namespace {

namespace asio = boost::asio;
namespace log = base::log;
using asio::awaitable;
using asio::local::stream_protocol;
using boost::system::error_code;
using std::chrono::steady_clock;

constexpr std::size_t kHeader = 4;
// A whole honest AESM request fits (at most 1,671 bytes): one recv.
constexpr std::size_t kFirstRead = 2048;

auto outcome(error_code& error) { return asio::redirect_error(asio::use_awaitable, error); }

// Why a frame was not answered; `word` is the metric's label.
struct Rejection {
  const char* word;
  const char* text;
};
constexpr Rejection kTooLong{"too_long", "longer than the limit"}, kCutOff{"cut_off", "cut off"},
    kTooSlow{"too_slow", "not complete in time"}, kNotARequest{"not_a_request", "not a request"},
    kNotTaken{"reply_not_taken", "the reply was not taken in time"};

// One client. Runs in its own strand, so nothing in here is locked.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  explicit Connection(stream_protocol::socket socket)
      : socket_(std::move(socket)), timer_(socket_.get_executor()), peer_(peer_of(socket_.native_handle())) {}

  const Peer& peer() const { return peer_; }

  // From now on, what is going on may take this long.
  void deadline(std::chrono::milliseconds in) {
    late_ = false;
    timer_.expires_after(in);
    timer_.async_wait([self = shared_from_this()](error_code error) {
      if (error || self->timer_.expiry() > steady_clock::now()) return;  // moved on meanwhile
      self->late_ = true;
      error_code ignored;
      self->socket_.cancel(ignored);
    });
  }
  bool late() const { return late_; }
  void finish() { timer_.cancel(); }

  // Reads until at least `size` bytes are there; false: the peer closed, broke off or was too slow.
  awaitable<bool> fill(std::size_t size) {
    error_code error;
    if (buffer_.size() < size) buffer_.resize(size);
    while (have_ < size) {
      have_ += co_await socket_.async_read_some(asio::buffer(buffer_.data() + have_, buffer_.size() - have_),
                                                outcome(error));
      if (error) co_return false;
    }
    co_return true;
  }
  std::size_t have() const { return have_; }
  ByteView frame(std::size_t size) const { return ByteView(buffer_).subspan(kHeader, size); }
  std::uint32_t announced() const { return base::load_le32(buffer_.data()); }

  // Forgets the frame that was answered; what was read beyond it is the beginning of the next.
  void consume(std::size_t size) {
    std::copy(buffer_.begin() + static_cast<std::ptrdiff_t>(kHeader + size),
              buffer_.begin() + static_cast<std::ptrdiff_t>(have_), buffer_.begin());
    have_ -= kHeader + size;
  }

  awaitable<bool> send(const Bytes& reply) {
    Bytes framed(kHeader + reply.size());
    base::store_le32(framed.data(), static_cast<std::uint32_t>(reply.size()));
    std::copy(reply.begin(), reply.end(), framed.begin() + kHeader);
    error_code error;
    co_await asio::async_write(socket_, asio::buffer(framed), outcome(error));
    co_return !error;
  }

 private:
  stream_protocol::socket socket_;
  asio::steady_timer timer_;
  Peer peer_;
  bool late_ = false;
  Bytes buffer_ = Bytes(kFirstRead);
  std::size_t have_ = 0;
};

class Server final : public FrameServer {
 public:
  Server(int threads, Limits limits, Handler handler, base::Metrics& metrics)
      : limits_(limits), handler_(std::move(handler)), metrics_(metrics), io_(threads) {}

  ~Server() override {
    io_.stop();
    for (std::thread& thread : threads_) thread.join();
  }

  Result<> start(base::UniqueFd listener, int threads) {
    error_code error;
    acceptor_.assign(stream_protocol(), listener.get(), error);
    if (error) return Error(ErrorKind::kInternal, "cannot serve the socket: " + error.message());
    listener.release();
    acceptor_.non_blocking(true, error);
    asio::co_spawn(accepting_, accept(), [](std::exception_ptr failure) {
      if (failure) std::rethrow_exception(failure);  // nothing in it throws but for want of memory
    });
    running_ = threads;
    for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { run(); });
    return {};
  }

  void drain() override {
    asio::post(accepting_, [this] {
      draining_ = true;
      error_code ignored;
      acceptor_.cancel(ignored);
    });
  }

  bool wait_drained(std::chrono::milliseconds timeout) override {
    std::unique_lock lock(mutex_);
    return ended_.wait_for(lock, timeout, [this] { return running_ == 0; });
  }

 private:
  // The io_context runs out of work when nothing listens and no connection is left.
  void run() {
    io_.run();
    std::lock_guard lock(mutex_);
    if (--running_ == 0) ended_.notify_all();
  }

  awaitable<void> accept() {
    error_code error;
    while (true) {
      if (open_ >= limits_.max_connections) {
        if (auto more = budget_.take(steady_clock::now()))
          log::warn("connections wait, all are taken",
                    {{"open", limits_.max_connections}, {"not_logged_before", *more}});
        room_.expires_at(steady_clock::time_point::max());
        co_await room_.async_wait(outcome(error));
        continue;
      }
      asio::any_io_executor strand = asio::make_strand(io_);
      stream_protocol::socket socket(strand);
      if (draining_) {
        acceptor_.accept(socket, error);
        if (error == asio::error::would_block) break;  // the queue is empty
      } else {
        co_await acceptor_.async_accept(socket, outcome(error));
      }
      if (!error) {
        open(std::move(socket));
      } else if (error != asio::error::operation_aborted) {
        // Out of descriptors, most likely: let connections end before the next try.
        if (auto more = budget_.take(steady_clock::now()))
          log::error("cannot accept a connection", {{"reason", error.message()}, {"not_logged_before", *more}});
        room_.expires_after(std::chrono::milliseconds(100));
        co_await room_.async_wait(outcome(error));
      }
    }
    acceptor_.close(error);
  }

  void open(stream_protocol::socket socket) {
    ++open_;
    connections_total_.add();
    connections_open_.add();
    auto executor = socket.get_executor();
    auto connection = std::make_shared<Connection>(std::move(socket));
    asio::co_spawn(executor, serve(connection), [this, connection](std::exception_ptr failure) {
      connection->finish();
      connections_open_.add(-1);
      --open_;
      asio::post(accepting_, [this] { room_.cancel(); });
      if (failure) log::error("connection dropped by a failure of ours", {{"peer_pid", connection->peer().pid}});
    });
  }

  awaitable<void> serve(std::shared_ptr<Connection> connection) {
    for (bool first = true;; first = false) {
      if (!first && connection->have() == 0) {
        // Silence is an end like any other. What the kernel already holds is still read when there is no time left.
        connection->deadline(draining_ ? std::chrono::milliseconds(0) : limits_.idle);
        if (!co_await connection->fill(1)) co_return;
      }
      connection->deadline(limits_.read);
      bool whole = co_await connection->fill(kHeader);
      if (!whole && connection->have() == 0 && !connection->late()) co_return;  // closed without a word
      std::uint32_t size = 0;
      if (whole) {
        size = connection->announced();
        if (size > limits_.max_frame) co_return reject(kTooLong, *connection, size);
        whole = co_await connection->fill(kHeader + size);
      }
      if (!whole) co_return reject(connection->late() ? kTooSlow : kCutOff, *connection, size);

      std::optional<Bytes> reply = handler_(connection->frame(size), connection->peer());
      if (!reply) co_return reject(kNotARequest, *connection, size);
      connection->consume(size);
      connection->deadline(limits_.write);
      if (!co_await connection->send(*reply)) {
        if (connection->late()) reject(kNotTaken, *connection, size);
        co_return;
      }
    }
  }

  void reject(const Rejection& why, const Connection& connection, std::uint32_t announced) {
    metrics_.counter(base::metric::kFramesRejected, {{"reason", why.word}}).add();
    auto more = budget_.take(steady_clock::now());
    if (!more) return;
    log::warn("frame rejected", {{"reason", why.text},
                                 {"announced_bytes", announced},
                                 {"received_bytes", connection.have()},
                                 {"peer_uid", connection.peer().uid},
                                 {"peer_pid", connection.peer().pid},
                                 {"not_logged_before", *more}});
  }

  const Limits limits_;
  const Handler handler_;
  base::Metrics& metrics_;
  base::Counter& connections_total_ = metrics_.counter(base::metric::kConnections);
  base::Gauge& connections_open_ = metrics_.gauge(base::metric::kConnectionsOpen);
  base::LogBudget budget_;

  asio::io_context io_;
  asio::any_io_executor accepting_ = asio::make_strand(io_);
  stream_protocol::acceptor acceptor_{accepting_};
  asio::steady_timer room_{accepting_};  // cancelled when a connection ends
  std::atomic<int> open_ = 0;
  std::atomic<bool> draining_ = false;

  std::mutex mutex_;
  std::condition_variable ended_;
  int running_ = 0;  // threads
  std::vector<std::thread> threads_;
};

}  // namespace

Result<std::unique_ptr<FrameServer>> FrameServer::start(base::UniqueFd listener, int threads, Limits limits,
                                                        Handler handler, base::Metrics& metrics) {
  auto server = std::make_unique<Server>(threads, limits, std::move(handler), metrics);
  ENCLAYER_CHECK(server->start(std::move(listener), threads));
  return std::unique_ptr<FrameServer>(std::move(server));
}

}  // namespace enclayer::net
