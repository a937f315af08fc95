// SPDX-License-Identifier: Apache-2.0
#include "net/frame_server.h"

#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <functional>
#include <list>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "base/wakeup.h"
#include "net/closer.h"

namespace enclayer::net {
namespace {

namespace log = base::log;
using namespace std::chrono_literals;
using std::chrono::steady_clock;

// Newcomers taken in one round from a socket, where it is the only one that knocks.
constexpr int kAcceptsARound = 16;
// Turns in one round: some 0.1 ms, for so long a client may wait for the others.
constexpr int kTurnsARound = 16;
constexpr int kEventsAtOnce = 256;
// After this time a connection is looked at again of which epoll need not hear. An answered client that is about to
// close has done so by then, as nearly all do; a client that sends another frame instead waits so long for it to be
// seen. And a client that waits for a reply mostly has it.
constexpr auto kLater = 1ms;
// After accept() failed for want of descriptors or memory.
constexpr auto kAcceptPause = 100ms;
constexpr std::size_t kMostDescriptors = 253;  // that come at once: SCM_MAX_FD

// What other threads have for the server's thread. Shared with the handler, which may be later than the server's end.
class Mailbox {
 public:
  using Task = std::function<void()>;

  int bell() const { return bell_.fd(); }
  // Wakes the server's thread. The bell is watched for edges, so it is never heard.
  void ring() const { bell_.ring(); }
  void put(Task task) {
    bool first = false;
    {
      std::lock_guard lock(mutex_);
      first = tasks_.empty();
      tasks_.push_back(std::move(task));
      any_.store(true, std::memory_order_release);
    }
    if (first) ring();
  }
  std::vector<Task> take() {
    if (!any_.load(std::memory_order_acquire)) return {};
    std::lock_guard lock(mutex_);
    any_.store(false, std::memory_order_relaxed);
    return std::exchange(tasks_, {});
  }

 private:
  base::Wakeup bell_;
  std::mutex mutex_;
  std::vector<Task> tasks_;
  std::atomic<bool> any_ = false;
};

class Server final : public FrameServer, private Transport {
 public:
  Server(const FrameLimits& limits, FrameHandler& handler, base::Metrics& metrics)
      : poller_(::epoll_create1(EPOLL_CLOEXEC)), handler_(handler), connections_(limits, handler, *this, metrics) {
    handler.attach([this, mail = mail_](Ticket ticket, std::optional<Bytes> reply) {
      mail->put([this, ticket, reply = std::move(reply)]() mutable {
        if (Connection* connection = connections_.replied(ticket, std::move(reply), now_)) make_ready(*connection);
      });
    });
  }

  ~Server() override {
    stop_ = true;
    mail_->ring();
    if (thread_.joinable()) thread_.join();
  }

  Result<> start() {
    if (!poller_ || mail_->bell() < 0) return base::errno_error(errno, "cannot make an epoll and an event descriptor");
    ENCLAYER_CHECK(control(EPOLL_CTL_ADD, mail_->bell(), EPOLLIN | EPOLLET, &mail_));
    thread_ = std::thread([this] { run(); });
    return {};
  }

  void serve(base::UniqueFd listener, std::uint32_t group, Holders holders) override {
    auto socket = std::make_shared<base::UniqueFd>(std::move(listener));  // a task is copied
    mail_->put([this, socket, group, holders] {
      for (Listener& earlier : listeners_)
        if (earlier.group == group) earlier.ends = std::min(earlier.ends, now_ + kOverlap);
      Listener& added = listeners_.emplace_back(std::move(*socket), group, holders);
      added.may_bring_descriptors = !refuses_descriptors(added.fd.get());
      if (added.may_bring_descriptors && !closer_) closer_.emplace();
      if (draining_) added.ends = now_;
    });
  }

  void end(std::uint32_t group) override {
    mail_->put([this, group] {
      for (auto at = listeners_.begin(); at != listeners_.end();)
        if (at->group == group) {
          close_listener(*at);
          at = listeners_.erase(at);
        } else {
          ++at;
        }
      connections_.close(group, now_);
    });
  }

  void drain() override {
    mail_->put([this] {
      draining_ = true;
      for (Listener& listener : listeners_) listener.ends = now_;
      for (Connection* connection : connections_.drain()) make_ready(*connection);
    });
  }

  bool wait_drained(std::chrono::milliseconds timeout) override {
    std::unique_lock lock(mutex_);
    return ended_.wait_for(lock, timeout, [this] { return over_; });
  }

  bool answers(std::chrono::milliseconds timeout) override {
    std::unique_lock lock(mutex_);
    if (over_) return true;
    if (!std::exchange(asked_, true))
      mail_->put([this] {
        std::lock_guard answer(mutex_);
        asked_ = false;
        ++answers_;
        ended_.notify_all();
      });
    return ended_.wait_for(lock, timeout, [this, before = answers_] { return answers_ != before || over_; });
  }

 private:
  // A socket that clients come from. From `ends` on no client can connect to it any more; its queue is taken.
  struct Listener {
    Listener(base::UniqueFd socket, std::uint32_t whose, Holders who)
        : fd(std::move(socket)), group(whose), holders(who) {}

    base::UniqueFd fd;
    std::uint32_t group;
    Holders holders;
    bool may_bring_descriptors = false;
    bool watched = false;  // by epoll
    bool knocked = false;
    Moment ends = Moment::max();
    bool ending = false;
  };

  // In the lowest bit of what epoll keeps for us, which addresses leave free.
  static constexpr std::uint64_t kIsListener = 1;

  Result<> control(int operation, int fd, std::uint32_t events, void* what, std::uint64_t is_listener = 0) {
    epoll_event event{};
    event.events = events;
    event.data.u64 = reinterpret_cast<std::uintptr_t>(what) | is_listener;
    if (::epoll_ctl(poller_.get(), operation, fd, &event) != 0) return base::errno_error(errno, "epoll_ctl");
    return {};
  }

  // --- Transport ---

  long receive(Connection& from, std::span<std::uint8_t> into) override {
    while (true) {
      ssize_t size = from.may_bring_descriptors ? receive_with_descriptors(from, into)
                                                : ::recv(from.fd, into.data(), into.size(), MSG_DONTWAIT);
      if (size >= 0 || size == kDescriptors) return size;
      if (errno != EINTR) return errno == EAGAIN ? kNotNow : kBroken;
    }
  }

  // Room for all that can come at once: what does not fit would be closed by the kernel, in this thread.
  ssize_t receive_with_descriptors(Connection& from, std::span<std::uint8_t> into) {
    alignas(cmsghdr) char control[CMSG_SPACE(kMostDescriptors * sizeof(int)) + CMSG_SPACE(sizeof(ucred))];
    iovec bytes{into.data(), into.size()};
    msghdr message{};
    message.msg_iov = &bytes;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    ssize_t size = ::recvmsg(from.fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (size < 0 || message.msg_controllen == 0) return size;
    std::vector<base::UniqueFd> came;
    for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr; part = CMSG_NXTHDR(&message, part)) {
      if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
      for (std::size_t at = 0; CMSG_LEN(at + sizeof(int)) <= part->cmsg_len; at += sizeof(int)) {
        int fd = -1;
        std::memcpy(&fd, CMSG_DATA(part) + at, sizeof fd);
        came.emplace_back(fd);
      }
    }
    if (came.empty()) return size;
    closer_->close(from.client.whose.group, std::move(came));
    return kDescriptors;
  }

  long send(Connection& to, ByteView bytes) override {
    while (true) {
      ssize_t size = ::send(to.fd, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
      if (size >= 0) return size;
      if (errno != EINTR) return errno == EAGAIN ? kNotNow : kBroken;
    }
  }
  // Unread bytes may have descriptors behind them. After the shutdown no more can be sent, and the client knows.
  bool close(Connection& connection) override {
    base::UniqueFd fd(std::exchange(connection.fd, -1));  // to close it takes it out of epoll too
    int unread = 0;
    if (!connection.may_bring_descriptors ||
        (::shutdown(fd.get(), SHUT_RDWR), ::ioctl(fd.get(), FIONREAD, &unread)) != 0 || unread == 0)
      return true;
    if (connection.watched != 0) static_cast<void>(control(EPOLL_CTL_DEL, fd.get(), 0, nullptr));
    ++closing_;
    close_elsewhere(connection.client.whose.group, std::move(fd),
                    [this, mail = mail_, whose = connection.client.whose] {
                      mail->put([this, whose] {
                        connections_.let_go(whose);
                        --closing_;
                      });
                    });
    return false;
  }

  void close_elsewhere(std::uint32_t group, base::UniqueFd fd, Closer::Closed closed = {}) {
    std::vector<base::UniqueFd> one;
    one.push_back(std::move(fd));
    closer_->close(group, std::move(one), std::move(closed));
  }

  void close_listener(Listener& listener) {
    if (!listener.may_bring_descriptors) return;
    stop_listening(listener);
    close_elsewhere(listener.group, std::move(listener.fd));
  }

  // --- The thread ---

  void run() {
    while (!stop_) {
      take_events();
      for (auto& task : mail_->take()) task();
      for (Connection* connection : connections_.expire(now_)) make_ready(*connection);
      look_again();
      accept();
      take_turns();
      handler_.begin();
      listen();
      connections_.forget_closed();
      if (draining_ && listeners_.empty() && connections_.open_connections() == closing_) break;
    }
    connections_.close({}, now_);
    connections_.forget_closed();
    for (Listener& listener : listeners_) close_listener(listener);
    std::lock_guard lock(mutex_);
    over_ = true;
    ended_.notify_all();
  }

  // All of them, so that no client's turn depends on how many others have something ready.
  void take_events() {
    epoll_event events[kEventsAtOnce];
    int timeout = pause(), ready = 0;
    bool comes_again = false;  // what epoll tells of sockets it tells as long as it is true
    do {
      ready = ::epoll_wait(poller_.get(), events, kEventsAtOnce, timeout);
      now_ = steady_clock::now();
      timeout = 0;
      for (int i = 0; i < ready; ++i) {
        const epoll_event& event = events[i];
        if (event.data.ptr == &mail_) continue;
        if ((event.data.u64 & kIsListener) != 0) {
          // NOLINTNEXTLINE(performance-no-int-to-ptr): epoll has one word for a pointer and for what it points at
          comes_again |= std::exchange(reinterpret_cast<Listener*>(event.data.u64 & ~kIsListener)->knocked, true);
          continue;
        }
        auto& connection = *static_cast<Connection*>(event.data.ptr);
        if ((event.events & (EPOLLHUP | EPOLLERR)) != 0) connection.hung_up = true;
        make_ready(connection);
      }
    } while (ready == kEventsAtOnce && !comes_again);
  }

  void make_ready(Connection& connection) {
    if (!std::exchange(connection.ready, true))
      ready_.push(connection.client.whose.group, connection.client.whose.holder, &connection);
  }

  void take_turns() {
    for (int turns = 0; turns < kTurnsARound && !ready_.empty(); ++turns) {
      Connection& connection = *ready_.pop();
      connection.ready = false;
      if (connection.session.state() == FrameSession::State::kClosed) continue;
      if (connection.may_bring_descriptors && closer_->full(connection.client.whose.group)) {
        look_later(connection);
      } else {
        serve(connection);
      }
    }
  }

  // How long epoll may wait, in milliseconds.
  int pause() const {
    if (!ready_.empty()) return 0;
    std::optional<Moment> next = connections_.next_deadline();
    if (!later_.empty()) next = std::min(next.value_or(Moment::max()), later_.front().first + kLater);
    if (closer_is_full_) next = std::min(next.value_or(Moment::max()), now_ + kLater);
    if (listen_again_ > now_) next = std::min(next.value_or(Moment::max()), listen_again_);
    for (const Listener& listener : listeners_) {
      if (!listener.ending && listener.ends != Moment::max())
        next = std::min(next.value_or(Moment::max()), listener.ends);
    }
    if (!next) return -1;
    auto left = std::chrono::ceil<std::chrono::milliseconds>(*next - now_);
    return static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 60'000));
  }

  void serve(Connection& connection) {
    switch (connection.hung_up ? connections_.hung_up(connection, now_) : connections_.serve(connection, now_)) {
      case FrameConnections::Next::kEvent: return watch(connection);
      case FrameConnections::Next::kNow: return make_ready(connection);
      case FrameConnections::Next::kAfterReply: return look_later(connection);
    }
  }

  void look_later(Connection& connection) {
    if (!std::exchange(connection.later, true)) later_.emplace_back(now_, &connection);
  }

  void look_again() {
    while (!later_.empty() && later_.front().first + kLater <= now_) {
      Connection& connection = *later_.front().second;
      later_.pop_front();
      connection.later = false;
      make_ready(connection);
    }
  }

  // From now on, epoll tells what happens to the connection. For edges: when something happens, all of it is taken.
  void watch(Connection& connection) {
    auto state = connection.session.state();
    if (state == FrameSession::State::kClosed) return;
    if (connection.watched == 0 && state == FrameSession::State::kWaiting && now_ - connection.since < kLater)
      return look_later(connection);
    // Room to write is an event at every reply that is taken: only a client that once had to wait for it hears of it.
    int events = EPOLLIN | EPOLLRDHUP | static_cast<int>(EPOLLET) |
                 (state == FrameSession::State::kWriting ? EPOLLOUT : connection.watched & EPOLLOUT);
    if (events == connection.watched) return;
    int operation = connection.watched == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
    if (!control(operation, connection.fd, static_cast<std::uint32_t>(events), &connection)) {
      connection.session.close();  // no memory in the kernel
      connections_.serve(connection, now_);
      return;
    }
    connection.watched = events;
  }

  void accept() {
    auto knocked = std::count_if(listeners_.begin(), listeners_.end(), [](const Listener& l) { return l.knocked; });
    // Where several knock, one of each: to ask whether another one waits is a system call, and epoll says so anyway.
    const int each = knocked > 1 ? 1 : kAcceptsARound;
    for (auto at = listeners_.begin(); at != listeners_.end();) {
      Listener& listener = *at;
      if (!listener.ending && now_ >= listener.ends) {
        // A client that connects now is refused, rather than queued and then lost with the queue.
        ::shutdown(listener.fd.get(), SHUT_RD);
        listener.ending = true;
      }
      if (!listener.knocked && !listener.ending) {
        ++at;
        continue;
      }
      bool all_taken = accept_from(listener, each);
      listener.knocked = false;  // epoll says it again as long as somebody waits
      if (all_taken && listener.ending) {
        close_listener(listener);
        at = listeners_.erase(at);
      } else {
        ++at;
      }
    }
  }

  // Whether one more can be taken; otherwise it waits in the kernel's queue, which is the socket's own.
  bool has_room(const Listener& listener) {
    if (!connections_.has_room()) {
      if (auto more = budget_.take(now_))
        log::warn("connections wait, all are taken and none can be dropped",
                  {{"open", connections_.open_connections()}, {"not_logged_before", *more}});
      return false;
    }
    if (listener.may_bring_descriptors && closer_->full(listener.group)) return false;
    return listener.holders == Holders::kProcesses || connections_.has_room(base::Whose{listener.group, 0});
  }

  // True when nobody is left in the queue.
  bool accept_from(Listener& listener, int most) {
    for (int i = 0; i < most; ++i) {
      if (!has_room(listener)) {
        stop_listening(listener);
        return false;
      }
      int fd = ::accept4(listener.fd.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
      if (fd >= 0) {
        open(listener, fd);
      } else if (errno == EAGAIN || (listener.ending && errno == EINVAL)) {
        return true;
      } else if (errno != EINTR && errno != ECONNABORTED) {
        if (auto more = budget_.take(now_))
          log::error("cannot accept a connection",
                     {{"reason", base::errno_error(errno, "accept").message()}, {"not_logged_before", *more}});
        for (Listener& each : listeners_) stop_listening(each);
        listen_again_ = now_ + kAcceptPause;
        return false;
      }
    }
    return false;
  }

  void open(const Listener& listener, int fd) {
    Client client{{listener.group, 0}};
    if (listener.holders == Holders::kProcesses) {
      client.peer = peer_of(fd);
      client.whose.holder = process_of(fd, client.peer);
    }
    Connection* connection = connections_.open(fd, client, now_);
    if (connection == nullptr) {  // one of many processes that has all it may
      if (listener.may_bring_descriptors) return close_elsewhere(listener.group, base::UniqueFd(fd));
      ::close(fd);
      return;
    }
    if (listener.may_bring_descriptors) {
      connection->may_bring_descriptors = true;
      int yes = 1;  // a byte out of band is dropped with its descriptors when it is passed over
      ::setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &yes, sizeof yes);
    }
    make_ready(*connection);
  }

  void stop_listening(Listener& listener) {
    if (listener.watched && control(EPOLL_CTL_DEL, listener.fd.get(), 0, nullptr)) listener.watched = false;
  }
  void listen() {
    closer_is_full_ = false;
    if (now_ < listen_again_) return;
    for (Listener& listener : listeners_) {
      if (listener.watched) continue;
      if (closer_ && closer_->full(listener.group)) closer_is_full_ = true;
      if (has_room(listener) && control(EPOLL_CTL_ADD, listener.fd.get(), EPOLLIN, &listener, kIsListener))
        listener.watched = true;
    }
  }

  base::UniqueFd poller_;
  std::shared_ptr<Mailbox> mail_ = std::make_shared<Mailbox>();
  FrameHandler& handler_;
  FrameConnections connections_;
  base::LogBudget budget_;
  std::optional<Closer> closer_;  // where descriptors may come along

  Moment now_ = steady_clock::now();
  base::Rotation<std::uint32_t, base::Rotation<std::uint64_t, base::Line<Connection*>>> ready_;
  std::deque<std::pair<Moment, Connection*>> later_;  // since when; to be looked at after kLater
  std::list<Listener> listeners_;                     // those at their paths, and earlier ones that end
  bool draining_ = false, closer_is_full_ = false;
  Moment listen_again_{};
  std::size_t closing_ = 0;  // connections that the closer has

  std::atomic<bool> stop_ = false;
  std::mutex mutex_;  // of what follows
  std::condition_variable ended_;
  bool over_ = false, asked_ = false;
  std::uint64_t answers_ = 0;
  std::thread thread_;
};

}  // namespace

Result<std::unique_ptr<FrameServer>> FrameServer::start(const FrameLimits& limits, FrameHandler& handler,
                                                        base::Metrics& metrics) {
  auto server = std::make_unique<Server>(limits, handler, metrics);
  ENCLAYER_CHECK(server->start());
  return std::unique_ptr<FrameServer>(std::move(server));
}

}  // namespace enclayer::net
