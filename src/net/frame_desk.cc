#include "net/frame_desk.h"

#include <utility>

#include "base/log.h"
#include "base/metric_names.h"

namespace enclayer::net {
namespace {

namespace log = base::log;

// Frames that one connection may have answered before others have their turn.
constexpr int kFramesATurn = 16;
// How many of the oldest are looked at to find who gives way: the price of a newcomer stays the same however many wait.
constexpr int kLookedAt = 64;

}  // namespace

void FrameHandler::identify(Client& client, int) {
  constexpr std::uint64_t kUser = std::uint64_t{1} << 32;
  const Peer& peer = client.peer;
  client.holder = peer.pid > 0 ? static_cast<std::uint64_t>(peer.pid) : kUser | peer.uid;
}

FrameDesk::FrameDesk(const FrameLimits& limits, FrameHandler& handler, Wire& wire, base::Metrics& metrics)
    : limits_(limits),
      handler_(handler),
      wire_(wire),
      metrics_(metrics),
      connections_total_(metrics.counter(base::metric::kConnections)),
      evicted_(metrics.counter(base::metric::kConnectionsEvicted)),
      connections_open_(metrics.gauge(base::metric::kConnectionsOpen)) {}

std::chrono::milliseconds FrameDesk::limit(State state) const {
  switch (state) {
    case State::kIdle: return limits_.idle;
    case State::kWaiting: return limits_.answer;
    case State::kWriting: return limits_.write;
    default: return limits_.read;
  }
}

Connection* FrameDesk::who_gives_way(std::initializer_list<State> among) const {
  for (State state : among) {
    const Connection* chosen = nullptr;
    std::size_t most = 0;
    int looked_at = 0;
    for (const Connection& connection : list(state)) {
      if (++looked_at > kLookedAt) break;
      std::size_t held = held_.at(connection.client.holder);
      if (held <= most) continue;
      most = held;
      chosen = &connection;
    }
    if (chosen != nullptr) return const_cast<Connection*>(chosen);
  }
  return nullptr;
}

void FrameDesk::give_way(Connection& connection, Moment now) {
  evicted_.add();
  State state = connection.session.state();
  if (state == State::kReading || state == State::kWriting)
    connection.session.reject(Rejection::kCrowdedOut);
  else
    connection.session.close();
  update(connection, now);
}

bool FrameDesk::has_room() const {
  return open_ < limits_.max_connections ||
         who_gives_way({State::kSilent, State::kIdle, State::kReading, State::kWriting}) != nullptr;
}

Connection& FrameDesk::open(int fd, const Peer& peer, Moment now) {
  if (open_ >= limits_.max_connections)
    if (Connection* other = who_gives_way({State::kSilent, State::kIdle, State::kReading, State::kWriting}))
      give_way(*other, now);
  ++open_;
  connections_total_.add();
  auto& silent = list(State::kSilent);
  Connection& connection = silent.emplace_back(Connection{fd, {peer}, FrameSession(limits_.max_frame)});
  handler_.identify(connection.client, fd);
  connection.self = std::prev(silent.end());
  connection.listed = State::kSilent;
  connection.since = now;
  ++held_[connection.client.holder];
  return connection;
}

FrameDesk::Next FrameDesk::serve(Connection& connection, Moment now) {
  FrameSession& session = connection.session;
  auto next = Next::kEvent;
  for (int frames = 0; session.state() != State::kClosed;) {
    if (ByteView unsent = session.unsent(); !unsent.empty()) {
      long sent = wire_.send(connection, unsent);
      if (sent == Wire::kNotNow) break;
      if (sent < 0) {
        session.close();
        break;
      }
      session.sent(static_cast<std::size_t>(sent));
      if (session.state() != State::kIdle || connection.hung_up) continue;
      next = Next::kAfterReply;
      break;
    }
    if (auto frame = session.frame()) {
      if (++frames > kFramesATurn) {
        next = Next::kNow;
        break;
      }
      FrameOutcome outcome = handler_.frame(*frame, connection.client, ++last_ticket_);
      if (auto* reply = std::get_if<Bytes>(&outcome)) {
        session.reply(std::move(*reply));
      } else if (std::holds_alternative<Later>(outcome)) {
        session.defer();
        connection.ticket = last_ticket_;
        tickets_[last_ticket_] = &connection;
      } else {
        session.reject(Rejection::kNotARequest);
      }
      continue;
    }
    std::size_t wanted = session.wanted();
    if (wanted == 0) break;
    if (scratch_.size() < wanted) scratch_.resize(wanted);
    long received = wire_.receive(connection, std::span(scratch_).first(wanted));
    if (received == Wire::kNotNow) {
      if (draining_ && session.state() == State::kIdle) session.close();
      break;
    }
    if (received > 0)
      session.receive(ByteView(scratch_).first(static_cast<std::size_t>(received)));
    else
      session.end_of_input();
  }
  update(connection, now);
  return next;
}

void FrameDesk::hung_up(Connection& connection, Moment now) {
  connection.hung_up = true;
  while (serve(connection, now) != Next::kEvent) {
  }
}

Connection* FrameDesk::replied(Ticket ticket, std::optional<Bytes> reply, Moment now) {
  auto found = tickets_.find(ticket);
  if (found == tickets_.end()) return nullptr;
  Connection& connection = *found->second;
  tickets_.erase(found);
  connection.ticket = 0;
  if (reply)
    connection.session.reply(std::move(*reply));
  else
    connection.session.reject(Rejection::kNotARequest);
  update(connection, now);
  return &connection;
}

std::vector<Connection*> FrameDesk::expire(Moment now) {
  std::vector<Connection*> to_serve;
  for (State state : {State::kSilent, State::kIdle, State::kReading, State::kWriting, State::kWaiting}) {
    auto& all = list(state);
    for (std::size_t left = all.size(); left > 0 && now - all.front().since >= limit(state); --left) {
      Connection& connection = all.front();
      if (state == State::kIdle) {
        connection.session.close();
      } else if (state != State::kWaiting) {
        connection.session.reject(state == State::kWriting ? Rejection::kNotTaken : Rejection::kTooSlow);
      } else if (auto reply = handler_.overdue(connection.ticket)) {
        replied(connection.ticket, std::move(reply), now);
        to_serve.push_back(&connection);
        continue;
      } else {
        all.splice(all.end(), all, connection.self);
        connection.since = now;
      }
      update(connection, now);
    }
  }
  return to_serve;
}

std::optional<Moment> FrameDesk::next_deadline() const {
  std::optional<Moment> next;
  for (State state : {State::kSilent, State::kIdle, State::kReading, State::kWriting, State::kWaiting}) {
    if (list(state).empty()) continue;
    Moment deadline = list(state).front().since + limit(state);
    if (!next || deadline < *next) next = deadline;
  }
  return next;
}

std::vector<Connection*> FrameDesk::drain() {
  draining_ = true;
  std::vector<Connection*> idle;
  for (Connection& connection : list(State::kIdle)) idle.push_back(&connection);
  return idle;
}

void FrameDesk::forget_closed() {
  connections_open_.set(static_cast<double>(open_));
  list(State::kClosed).clear();
}

void FrameDesk::close_all(Moment now) {
  for (State state : {State::kSilent, State::kIdle, State::kReading, State::kWriting, State::kWaiting})
    while (!list(state).empty()) {
      list(state).front().session.close();
      update(list(state).front(), now);
    }
  forget_closed();
}

// After anything that was done to a connection: brings it into the list of its state, which renews its deadline where
// the state or the frame is another one.
void FrameDesk::update(Connection& connection, Moment now) {
  FrameSession& session = connection.session;
  if (connection.listed == State::kClosed) return;
  if (connection.hung_up && session.state() == State::kWaiting) session.close();
  State state = session.state();
  if (state == State::kClosed) {
    if (session.rejection()) report(connection, *session.rejection(), now);
    if (connection.ticket != 0) {
      tickets_.erase(connection.ticket);
      handler_.abandoned(connection.ticket);
    }
    wire_.close(connection);
    --open_;
    auto holder = held_.find(connection.client.holder);
    if (--holder->second == 0) held_.erase(holder);
  }
  std::size_t buffered = state == State::kClosed ? 0 : session.buffered();
  buffered_ += buffered - std::exchange(connection.buffered, buffered);
  if (state != connection.listed || session.frames() != connection.frames) {
    list(state).splice(list(state).end(), list(connection.listed), connection.self);
    connection.listed = state;
    connection.frames = session.frames();
    connection.since = now;
  }
  while (buffered_ > limits_.max_buffered) {
    Connection* other = who_gives_way({State::kReading, State::kWriting});
    if (other == nullptr) break;
    give_way(*other, now);
  }
}

void FrameDesk::report(const Connection& connection, Rejection why, Moment now) {
  base::Counter*& counter = rejected_[static_cast<std::size_t>(why)];
  if (counter == nullptr) counter = &metrics_.counter(base::metric::kFramesRejected, {{"reason", word(why)}});
  counter->add();
  auto more = budget_.take(now);
  if (!more) return;
  log::warn("frame rejected", {{"reason", text(why)},
                               {"announced_bytes", connection.session.announced()},
                               {"received_bytes", connection.session.received()},
                               {"peer_uid", connection.client.peer.uid},
                               {"peer_pid", connection.client.peer.pid},
                               {"not_logged_before", *more}});
}

}  // namespace enclayer::net
