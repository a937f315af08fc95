// SPDX-License-Identifier: Apache-2.0
// All connections of a frame server: which is served, how long each may wait, and which is closed when all places are
// taken. Everything but the sockets, the clock and the waiting, which the server (frame_server.h) or a test brings: so
// all of it can be tested and fuzzed byte by byte. Used by one thread.
//
//   a frame has to be complete within 5 s, a connection may be silent for 2 s between two of them, a reply has to be
//   taken within 5 s, a deferred one to be made within 12 s
//   each of these times is the same for everybody, so a list for each state is in the order of its deadlines
//
// Places belong to holders, and holders to groups (base::Whose): a group is a socket, a holder one of its clients. A
// holder has a quarter of all places at most. When all are taken and a new client comes, one connection is evicted: of
// the group with most connections, there of the holder with most, and of these the one that costs its client least:
// one that has said nothing yet, then one between two frames, then one in the middle of a frame, then one that does not
// take its reply, the oldest first. A connection that waits for a reply is never evicted.
#pragma once

#include <array>
#include <chrono>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

#include "base/fair_queue.h"
#include "base/log_budget.h"
#include "base/metrics.h"
#include "net/frame_session.h"
#include "net/unix_socket.h"

namespace enclayer::net {

using Moment = std::chrono::steady_clock::time_point;

// A frame whose reply comes later. Never used twice.
using Ticket = std::uint64_t;

// The other end of a connection.
struct Client {
  base::Whose whose;
  Peer peer{};  // where a socket has several holders; otherwise the kernel is not asked
};

// What becomes of a frame: a reply, a reply later, or none, and then the connection is closed.
struct Later {};
struct NoReply {};
using FrameOutcome = std::variant<Bytes, Later, NoReply>;

// Answers frames. Called on the server's thread, by which everybody is served: nothing in here may wait.
class FrameHandler {
 public:
  // Replies to a frame that was put off; nullopt closes the connection. From any thread, at any time, also when client
  // or server have gone.
  using Replies = std::function<void(Ticket, std::optional<Bytes>)>;

  virtual ~FrameHandler() = default;

  // Before the first frame.
  virtual void attach(Replies replies) = 0;

  virtual FrameOutcome frame(ByteView frame, const Client& client, Ticket ticket) = 0;

  // All frames that are here now have been handed in: what was put off may begin. One call for many frames, because
  // waking a thread costs more than a request.
  virtual void begin() {}

  // The ticket's time is up. The reply that says so; nullopt: it is being made, and is waited for.
  virtual std::optional<Bytes> overdue(Ticket ticket) = 0;

  // The ticket's client is gone, nobody waits for the reply.
  virtual void abandoned(Ticket ticket) = 0;

  // Who it is, for the log.
  virtual std::string name(const Client& client) const;
};

struct FrameLimits {
  std::uint32_t max_frame = 64 << 10;  // bytes
  std::size_t max_connections = 1024;
  std::size_t max_connections_each() const { return std::max<std::size_t>(16, max_connections / 4); }
  std::size_t max_buffered = 8U << 20;  // bytes of unfinished frames and replies, all connections together
  std::chrono::milliseconds read{5000}, idle{2000}, write{5000}, answer{12'000};
};

struct Connection {
  int fd = -1;
  Client client;
  FrameSession session;

  // Of FrameConnections alone.
  std::list<Connection>::iterator self{};
  std::list<Connection*>::iterator of_holder{};
  FrameSession::State listed{};
  Moment since{};  // when it came into this state
  std::uint64_t frames = 0;
  std::size_t buffered = 0;
  Ticket ticket = 0;  // 0: none is out
  bool hung_up = false;

  // Of the server alone.
  int watched = 0;                     // the events that epoll tells of
  bool ready = false, later = false;   // it stands in a list of things to do
  bool may_bring_descriptors = false;  // this kernel cannot forbid it
};

// The sockets.
class Transport {
 public:
  static constexpr long kNotNow = -1, kBroken = -2, kDescriptors = -3;  // that descriptors came along

  virtual ~Transport() = default;
  virtual long receive(Connection& from, std::span<std::uint8_t> into) = 0;  // bytes; 0: the client sends no more
  virtual long send(Connection& to, ByteView bytes) = 0;                     // bytes
  // False where that takes time: the place is taken until FrameConnections::let_go().
  virtual bool close(Connection& connection) = 0;
};

class FrameConnections {
 public:
  // All of them outlive it. Counts in `metrics` the connections and the frames that were rejected.
  FrameConnections(const FrameLimits& limits, FrameHandler& handler, Transport& transport, base::Metrics& metrics);

  // Whether there is a place, or a connection that can be evicted; whether this holder may have one more, or has one
  // that can be evicted.
  bool has_room() const;
  bool has_room(const base::Whose& whose) const;

  // A new client, to be served with serve(). Evicts a connection if need be; null, and then `fd` is the caller's, where
  // the holder has its share and none of it can be evicted.
  Connection* open(int fd, const Client& client, Moment now);

  // Goes on with a connection as far as its socket and its turn, a frame, allow. kNow: there is more to do at once, but
  // others should have their turn. kAfterReply: it was answered and its socket not looked at since; most clients close
  // now.
  enum class Next { kEvent, kNow, kAfterReply };
  Next serve(Connection& connection, Moment now);

  // The same where the client can neither send nor receive any more: what it said before is still looked at.
  Next hung_up(Connection& connection, Moment now);

  // The connection that waited for it, to be served; null when it is gone.
  Connection* replied(Ticket ticket, std::optional<Bytes> reply, Moment now);

  // Ends what has taken too long. Gives the connections that are to be served now, because they got a reply by it.
  std::vector<Connection*> expire(Moment now);
  std::optional<Moment> next_deadline() const;

  // From now on, a connection between two frames that has sent no other is closed. Gives those to be served for it.
  std::vector<Connection*> drain();

  // Everybody of the group is closed, or without one everybody.
  void close(std::optional<std::uint32_t> group, Moment now);

  // Of a connection whose closing took time: it is closed.
  void let_go(const base::Whose& whose);

  std::size_t open_connections() const { return open_; }

  // A connection that was closed stays where it is, in state kClosed, until this is called and it stands in no list.
  void forget_closed();

 private:
  using State = FrameSession::State;
  static constexpr std::size_t kStates = 6;

  std::list<Connection>& list(State state) { return lists_[static_cast<std::size_t>(state)]; }
  const std::list<Connection>& list(State state) const { return lists_[static_cast<std::size_t>(state)]; }
  std::chrono::milliseconds limit(State state) const;
  // What one holder, or all of a group, have.
  struct Holding {
    std::size_t connections = 0, buffered = 0;
  };
  struct Holder : Holding {
    std::array<std::list<Connection*>, kStates> by_state;
  };
  struct Group : Holding {
    std::unordered_map<std::uint64_t, Holder> holders;
  };

  using States = std::initializer_list<State>;
  static Connection* oldest(const Holder& holder, States among);
  Connection* to_evict(std::size_t Holding::*most, States among) const;
  void count(const base::Whose& whose, std::size_t Holding::*what, std::size_t more, std::size_t less = 0);
  void evict(Connection& connection, Moment now);
  void update(Connection& connection, Moment now);
  void report(const Connection& connection, Rejection why, Moment now);

  const FrameLimits limits_;
  FrameHandler& handler_;
  Transport& transport_;
  base::Metrics& metrics_;
  base::Counter& connections_total_;
  base::Counter& evicted_;
  base::Gauge& connections_open_;
  std::array<base::Counter*, kRejections> rejected_{};  // made when first needed
  base::LogBudget budget_;

  std::array<std::list<Connection>, kStates> lists_;
  std::unordered_map<std::uint32_t, Group> groups_;
  std::unordered_map<Ticket, Connection*> tickets_;
  Ticket last_ticket_ = 0;
  std::size_t open_ = 0, buffered_ = 0;
  bool draining_ = false;
  Bytes scratch_;  // what was received last; as long as the longest read so far
};

}  // namespace enclayer::net
