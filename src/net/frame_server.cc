#include "net/frame_server.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <deque>
#include <list>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/log.h"

namespace enclayer::net {
namespace {

namespace log = base::log;
using namespace std::chrono_literals;
using std::chrono::steady_clock;

// Newcomers taken in one round.
constexpr int kAcceptsARound = 64;
constexpr int kEventsARound = 256;
// A connection that waits for a reply is told to epoll only after this time: most quotes are made sooner. Until then it
// is not noticed that its client is gone.
constexpr auto kUnwatched = 1ms;
// An answered client that is about to close has done so after this time, as nearly all do: its socket is looked at
// once, and epoll never hears of it. Who sends another frame instead waits so long for it to be seen.
constexpr auto kLinger = 1ms;
// After accept() failed for want of descriptors or memory.
constexpr auto kAcceptPause = 100ms;

// What other threads have for the server's thread. Shared with the handler, which may be later than the server's end.
class Mailbox {
 public:
  using Reply = std::pair<Ticket, std::optional<Bytes>>;

  Mailbox() : bell_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

  int bell() const { return bell_.get(); }
  // Wakes the server's thread. The bell is watched for edges, so it is never read.
  void ring() {
    std::uint64_t one = 1;
    [[maybe_unused]] auto written = ::write(bell_.get(), &one, sizeof one);
  }
  void put(Ticket ticket, std::optional<Bytes> reply) {
    bool first = false;
    {
      std::lock_guard lock(mutex_);
      first = replies_.empty();
      replies_.emplace_back(ticket, std::move(reply));
      any_.store(true, std::memory_order_release);
    }
    if (first) ring();
  }
  std::vector<Reply> take() {
    if (!any_.load(std::memory_order_acquire)) return {};
    std::lock_guard lock(mutex_);
    any_.store(false, std::memory_order_relaxed);
    return std::exchange(replies_, {});
  }

 private:
  base::UniqueFd bell_;
  std::mutex mutex_;
  std::vector<Reply> replies_;
  std::atomic<bool> any_ = false;
};

Result<> make_non_blocking(int fd) {
  int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0)
    return base::errno_error(errno, "cannot serve the socket");
  return {};
}

class Server final : public FrameServer, private Wire {
 public:
  Server(const FrameLimits& limits, FrameHandler& handler, base::Metrics& metrics)
      : max_connections_(limits.max_connections),
        poller_(::epoll_create1(EPOLL_CLOEXEC)),
        handler_(handler),
        desk_(limits, handler, *this, metrics) {
    handler.attach([mail = mail_](Ticket ticket, std::optional<Bytes> reply) { mail->put(ticket, std::move(reply)); });
  }

  ~Server() override {
    stop_ = true;
    mail_->ring();
    if (thread_.joinable()) thread_.join();
  }

  Result<> start(base::UniqueFd listener) {
    if (!poller_ || mail_->bell() < 0) return base::errno_error(errno, "cannot make an epoll and an event descriptor");
    ENCLAYER_CHECK(control(EPOLL_CTL_ADD, mail_->bell(), EPOLLIN | EPOLLET, &mail_));
    if (listener) {
      ENCLAYER_CHECK(make_non_blocking(listener.get()));
      Listener& first = listeners_.emplace_back(std::move(listener));
      ENCLAYER_CHECK(control(EPOLL_CTL_ADD, first.fd.get(), EPOLLIN, &first));
      first.watched = true;
    }
    thread_ = std::thread([this] { run(); });
    return {};
  }

  void serve_also(base::UniqueFd listener) override {
    if (auto ready = make_non_blocking(listener.get()); !ready)
      return log::error("a socket is not served", {{"reason", ready.error().message()}});
    {
      std::lock_guard lock(mutex_);
      new_listeners_.push_back(std::move(listener));
    }
    any_new_listener_ = true;
    mail_->ring();
  }

  void drain() override {
    drain_ = true;
    mail_->ring();
  }

  bool wait_drained(std::chrono::milliseconds timeout) override {
    std::unique_lock lock(mutex_);
    return ended_.wait_for(lock, timeout, [this] { return over_; });
  }

 private:
  // A socket that clients come from. From `ends` on nobody can connect to it any more; who is in its queue is taken.
  struct Listener {
    explicit Listener(base::UniqueFd socket) : fd(std::move(socket)) {}

    base::UniqueFd fd;
    bool watched = false;  // by epoll
    bool knocked = false;
    Moment ends = Moment::max();
    bool ending = false;
  };

  Result<> control(int operation, int fd, std::uint32_t events, void* what) {
    epoll_event event{};
    event.events = events;
    event.data.ptr = what;
    if (::epoll_ctl(poller_.get(), operation, fd, &event) != 0) return base::errno_error(errno, "epoll_ctl");
    return {};
  }

  // --- Wire ---

  long receive(Connection& from, std::span<std::uint8_t> into) override {
    while (true) {
      ssize_t size = ::recv(from.fd, into.data(), into.size(), MSG_DONTWAIT);
      if (size >= 0) return size;
      if (errno != EINTR) return errno == EAGAIN ? kNotNow : kBroken;
    }
  }
  long send(Connection& to, ByteView bytes) override {
    while (true) {
      ssize_t size = ::send(to.fd, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
      if (size >= 0) return size;
      if (errno != EINTR) return errno == EAGAIN ? kNotNow : kBroken;
    }
  }
  void close(Connection& connection) override {
    ::close(connection.fd);  // takes it out of epoll too
    connection.fd = -1;
  }

  // --- The thread ---

  void run() {
    std::vector<epoll_event> events(kEventsARound);
    while (!stop_) {
      int ready = ::epoll_wait(poller_.get(), events.data(), kEventsARound, pause());
      now_ = steady_clock::now();
      for (int i = 0; i < ready; ++i) {
        const epoll_event& event = events[static_cast<std::size_t>(i)];
        if (event.data.ptr == &mail_) continue;
        if (Listener* listener = listener_at(event.data.ptr)) {
          listener->knocked = true;
        } else {
          auto& connection = *static_cast<Connection*>(event.data.ptr);
          if ((event.events & (EPOLLHUP | EPOLLERR)) != 0)
            desk_.hung_up(connection, now_);
          else
            serve(connection);
        }
      }
      for (auto& [ticket, reply] : mail_->take())
        if (Connection* connection = desk_.replied(ticket, std::move(reply), now_)) serve(*connection);
      for (Connection* connection : desk_.expire(now_)) serve(*connection);
      go_on();
      if (any_new_listener_.exchange(false)) adopt_listeners();
      if (drain_ && !draining_) {
        draining_ = true;
        for (Listener& listener : listeners_) listener.ends = now_;
        for (Connection* connection : desk_.drain()) serve(*connection);
      }
      accept();
      handler_.begin();
      listen();
      forget_closed();
      if (draining_ && listeners_.empty() && desk_.open_connections() == 0) break;
    }
    desk_.close_all(now_);
    std::lock_guard lock(mutex_);
    over_ = true;
    ended_.notify_all();
  }

  // How long epoll may wait, in milliseconds.
  int pause() const {
    if (!unfinished_.empty()) return 0;
    std::optional<Moment> next = desk_.next_deadline();
    if (!answered_.empty()) next = std::min(next.value_or(Moment::max()), answered_.front().first + kLinger);
    if (!unwatched_.empty()) next = std::min(next.value_or(Moment::max()), now_ + kUnwatched);
    if (listen_again_ > now_) next = std::min(next.value_or(Moment::max()), listen_again_);
    for (const Listener& listener : listeners_)
      if (!listener.ending && listener.ends != Moment::max())
        next = std::min(next.value_or(Moment::max()), listener.ends);
    if (!next) return -1;
    auto left = std::chrono::ceil<std::chrono::milliseconds>(*next - now_);
    return static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 60'000));
  }

  void serve(Connection& connection) {
    switch (desk_.serve(connection, now_)) {
      case FrameDesk::Next::kEvent: return watch(connection);
      case FrameDesk::Next::kNow:
        if (!std::exchange(connection.unfinished, true)) unfinished_.push_back(&connection);
        return;
      case FrameDesk::Next::kAfterReply:
        if (!std::exchange(connection.unfinished, true)) answered_.emplace_back(now_, &connection);
        return;
    }
  }

  // What the last round left. Who was answered has had time to close.
  void go_on() {
    std::swap(unfinished_, last_round_);
    for (Connection* connection : last_round_) {
      connection->unfinished = false;
      serve(*connection);
    }
    last_round_.clear();
    while (!answered_.empty() && answered_.front().first + kLinger <= now_) {
      Connection& connection = *answered_.front().second;
      answered_.pop_front();
      connection.unfinished = false;
      serve(connection);
    }
    std::swap(unwatched_, last_round_);
    for (Connection* connection : last_round_) {
      connection->unwatched = false;
      watch(*connection);
    }
    last_round_.clear();
  }

  void forget_closed() {
    auto closed = [](const Connection* c) { return c->session.state() == FrameSession::State::kClosed; };
    std::erase_if(unfinished_, closed);
    std::erase_if(unwatched_, closed);
    std::erase_if(answered_, [&](const auto& answered) { return closed(answered.second); });
    desk_.forget_closed();
  }

  // From now on, epoll tells what happens to the connection. For edges: when something happens, all of it is taken.
  void watch(Connection& connection) {
    auto state = connection.session.state();
    if (state == FrameSession::State::kClosed) return;
    if (connection.watched == 0 && state == FrameSession::State::kWaiting && now_ - connection.since < kUnwatched) {
      if (!std::exchange(connection.unwatched, true)) unwatched_.push_back(&connection);
      return;
    }
    // Room to write is an event at every reply that is taken: only who once had to wait for it hears of it.
    int events = EPOLLIN | EPOLLRDHUP | static_cast<int>(EPOLLET) |
                 (state == FrameSession::State::kWriting ? EPOLLOUT : connection.watched & EPOLLOUT);
    if (events == connection.watched) return;
    int operation = connection.watched == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
    if (!control(operation, connection.fd, static_cast<std::uint32_t>(events), &connection)) {
      connection.session.close();  // no memory in the kernel
      desk_.serve(connection, now_);
      return;
    }
    connection.watched = events;
  }

  Listener* listener_at(void* address) {
    for (Listener& listener : listeners_)
      if (&listener == address) return &listener;
    return nullptr;
  }

  void adopt_listeners() {
    std::vector<base::UniqueFd> sockets;
    {
      std::lock_guard lock(mutex_);
      std::swap(sockets, new_listeners_);
    }
    for (base::UniqueFd& socket : sockets) {
      for (Listener& earlier : listeners_) earlier.ends = std::min(earlier.ends, now_ + kOverlap);
      listeners_.emplace_back(std::move(socket)).ends = draining_ ? now_ : Moment::max();
    }
  }

  void accept() {
    for (auto at = listeners_.begin(); at != listeners_.end();) {
      Listener& listener = *at;
      if (!listener.ending && now_ >= listener.ends) {
        // Whoever connects now is refused, rather than queued and then lost with the queue.
        ::shutdown(listener.fd.get(), SHUT_RD);
        listener.ending = true;
      }
      bool all_taken = (std::exchange(listener.knocked, false) || listener.ending) && accept_from(listener);
      at = all_taken && listener.ending ? listeners_.erase(at) : std::next(at);
    }
  }

  // True when nobody is left in the queue.
  bool accept_from(Listener& listener) {
    for (int i = 0; i < kAcceptsARound; ++i) {
      if (!desk_.has_room()) {
        if (auto more = budget_.take(now_))
          log::warn("connections wait, all are taken and none can be dropped",
                    {{"open", max_connections_}, {"not_logged_before", *more}});
        stop_listening(now_);
        return false;
      }
      int fd = ::accept4(listener.fd.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
      if (fd >= 0) {
        Connection& connection = desk_.open(fd, peer_of(fd), now_);
        serve(connection);
      } else if (errno == EAGAIN || (listener.ending && errno == EINVAL)) {
        return true;
      } else if (errno != EINTR && errno != ECONNABORTED) {
        if (auto more = budget_.take(now_))
          log::error("cannot accept a connection",
                     {{"reason", base::errno_error(errno, "accept").message()}, {"not_logged_before", *more}});
        stop_listening(now_ + kAcceptPause);
        return false;
      }
    }
    return false;
  }

  void stop_listening(Moment until) {
    listen_again_ = until;
    for (Listener& listener : listeners_)
      if (listener.watched && control(EPOLL_CTL_DEL, listener.fd.get(), 0, nullptr)) listener.watched = false;
  }
  void listen() {
    if (now_ < listen_again_) return;
    for (Listener& listener : listeners_)
      if (!listener.watched && desk_.has_room() && control(EPOLL_CTL_ADD, listener.fd.get(), EPOLLIN, &listener))
        listener.watched = true;
  }

  const std::size_t max_connections_;
  base::UniqueFd poller_;
  std::shared_ptr<Mailbox> mail_ = std::make_shared<Mailbox>();
  FrameHandler& handler_;
  FrameDesk desk_;
  base::LogBudget budget_;

  Moment now_ = steady_clock::now();
  std::vector<Connection*> unfinished_;                  // to be served again in the next round
  std::deque<std::pair<Moment, Connection*>> answered_;  // since when; to be looked at after kLinger
  std::vector<Connection*> unwatched_;                   // wait for a reply, and epoll does not know them yet
  std::vector<Connection*> last_round_;
  std::list<Listener> listeners_;  // the one at the path, and earlier ones that end
  bool draining_ = false;
  Moment listen_again_{};

  std::atomic<bool> stop_ = false, drain_ = false, any_new_listener_ = false;
  std::mutex mutex_;
  std::vector<base::UniqueFd> new_listeners_;
  std::condition_variable ended_;
  bool over_ = false;
  std::thread thread_;
};

}  // namespace

Result<std::unique_ptr<FrameServer>> FrameServer::start(base::UniqueFd listener, const FrameLimits& limits,
                                                        FrameHandler& handler, base::Metrics& metrics) {
  auto server = std::make_unique<Server>(limits, handler, metrics);
  ENCLAYER_CHECK(server->start(std::move(listener)));
  return std::unique_ptr<FrameServer>(std::move(server));
}

}  // namespace enclayer::net
