// SPDX-License-Identifier: Apache-2.0
#include "net/frame_connections.h"

#include <tuple>
#include <utility>

#include "base/log.h"
#include "base/metric_names.h"

namespace enclayer::net {
namespace {

namespace log = base::log;

constexpr auto kOpen = {FrameSession::State::kSilent, FrameSession::State::kIdle, FrameSession::State::kReading,
                        FrameSession::State::kWriting, FrameSession::State::kWaiting};
// In the order of what it costs a client to be closed.
constexpr auto kMayBeEvicted = {FrameSession::State::kSilent, FrameSession::State::kIdle, FrameSession::State::kReading,
                                FrameSession::State::kWriting};

}  // namespace

std::string FrameHandler::name(const Client& client) const {
  return "process " + std::to_string(client.peer.pid) + " of user " + std::to_string(client.peer.uid);
}

FrameConnections::FrameConnections(const FrameLimits& limits, FrameHandler& handler, Transport& transport,
                                   base::Metrics& metrics)
    : limits_(limits),
      handler_(handler),
      transport_(transport),
      metrics_(metrics),
      connections_total_(metrics.counter(base::metric::kConnections)),
      evicted_(metrics.counter(base::metric::kConnectionsEvicted)),
      connections_open_(metrics.gauge(base::metric::kConnectionsOpen)) {}

std::chrono::milliseconds FrameConnections::limit(State state) const {
  switch (state) {
    case State::kIdle: return limits_.idle;
    case State::kWaiting: return limits_.answer;
    case State::kWriting: return limits_.write;
    default: return limits_.read;
  }
}

Connection* FrameConnections::oldest(const Holder& holder, States among) {
  for (State state : among)
    if (const auto& all = holder.by_state[static_cast<std::size_t>(state)]; !all.empty()) return all.front();
  return nullptr;
}

// Of the holder that has most, in the group that has most, among those that can give something up; among equals of the
// one whose connection is worth least.
Connection* FrameConnections::to_evict(std::size_t Holding::*most, States among) const {
  using Rank = std::tuple<std::size_t, std::size_t, int, Moment::duration>;
  Connection* chosen = nullptr;
  Rank highest{};
  for (const auto& [id, group] : groups_) {
    if (chosen != nullptr && group.*most < std::get<0>(highest)) continue;
    for (const auto& [key, holder] : group.holders) {
      Connection* candidate = oldest(holder, among);
      if (candidate == nullptr) continue;
      Rank rank{group.*most, holder.*most, -static_cast<int>(candidate->listed), -candidate->since.time_since_epoch()};
      if (chosen != nullptr && rank <= highest) continue;
      chosen = candidate;
      highest = rank;
    }
  }
  return chosen;
}

void FrameConnections::count(const base::Whose& whose, std::size_t Holding::*what, std::size_t more, std::size_t less) {
  Group& group = groups_[whose.group];
  Holder& holder = group.holders[whose.holder];
  group.*what += more - less;
  holder.*what += more - less;
  if (holder.connections == 0) group.holders.erase(whose.holder);
  if (group.connections == 0) groups_.erase(whose.group);
}

void FrameConnections::evict(Connection& connection, Moment now) {
  evicted_.add();
  State state = connection.session.state();
  if (state == State::kReading || state == State::kWriting)
    connection.session.reject(Rejection::kCrowdedOut);
  else
    connection.session.close();
  update(connection, now);
}

bool FrameConnections::has_room() const {
  return open_ < limits_.max_connections || to_evict(&Holding::connections, kMayBeEvicted) != nullptr;
}

bool FrameConnections::has_room(const base::Whose& whose) const {
  auto group = groups_.find(whose.group);
  if (group == groups_.end()) return true;
  auto holder = group->second.holders.find(whose.holder);
  return holder == group->second.holders.end() || holder->second.connections < limits_.max_connections_each() ||
         oldest(holder->second, kMayBeEvicted) != nullptr;
}

Connection* FrameConnections::open(int fd, const Client& client, Moment now) {
  Holder& holder = groups_[client.whose.group].holders[client.whose.holder];
  Connection* other = nullptr;
  if (holder.connections >= limits_.max_connections_each()) {
    other = oldest(holder, kMayBeEvicted);
    if (other == nullptr) return nullptr;
  } else if (open_ >= limits_.max_connections) {
    other = to_evict(&Holding::connections, kMayBeEvicted);
  }
  count(client.whose, &Holding::connections, 1);  // first, so that its holder stays
  if (other != nullptr) evict(*other, now);
  ++open_;
  connections_total_.add();
  auto& silent = list(State::kSilent);
  Connection& connection = silent.emplace_back(Connection{fd, client, FrameSession(limits_.max_frame)});
  auto& of_holder = groups_[client.whose.group].holders[client.whose.holder].by_state[0];
  connection.of_holder = of_holder.insert(of_holder.end(), &connection);
  connection.self = std::prev(silent.end());
  connection.listed = State::kSilent;
  connection.since = now;
  return &connection;
}

FrameConnections::Next FrameConnections::serve(Connection& connection, Moment now) {
  FrameSession& session = connection.session;
  auto next = Next::kEvent;
  for (bool had_its_turn = false; session.state() != State::kClosed;) {
    if (ByteView unsent = session.unsent(); !unsent.empty()) {
      long sent = transport_.send(connection, unsent);
      if (sent == Transport::kNotNow) break;
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
      if (std::exchange(had_its_turn, true)) {
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
    long received = transport_.receive(connection, std::span(scratch_).first(wanted));
    if (received == Transport::kNotNow) {
      if (draining_ && session.state() == State::kIdle) session.close();
      break;
    }
    if (received == Transport::kDescriptors)
      session.reject(Rejection::kDescriptors);
    else if (received > 0)
      session.receive(ByteView(scratch_).first(static_cast<std::size_t>(received)));
    else
      session.end_of_input();
  }
  update(connection, now);
  return next;
}

FrameConnections::Next FrameConnections::hung_up(Connection& connection, Moment now) {
  connection.hung_up = true;
  Next next = serve(connection, now);
  return next == Next::kAfterReply ? Next::kNow : next;
}

Connection* FrameConnections::replied(Ticket ticket, std::optional<Bytes> reply, Moment now) {
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

std::vector<Connection*> FrameConnections::expire(Moment now) {
  std::vector<Connection*> to_serve;
  for (State state : kOpen) {
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

std::optional<Moment> FrameConnections::next_deadline() const {
  std::optional<Moment> next;
  for (State state : kOpen) {
    if (list(state).empty()) continue;
    Moment deadline = list(state).front().since + limit(state);
    if (!next || deadline < *next) next = deadline;
  }
  return next;
}

std::vector<Connection*> FrameConnections::drain() {
  draining_ = true;
  std::vector<Connection*> idle;
  for (Connection& connection : list(State::kIdle)) idle.push_back(&connection);
  return idle;
}

void FrameConnections::forget_closed() {
  connections_open_.set(static_cast<double>(open_));
  list(State::kClosed).remove_if([](const Connection& c) { return !c.ready && !c.later; });
}

void FrameConnections::close(std::optional<std::uint32_t> group, Moment now) {
  for (State state : kOpen)
    for (auto at = list(state).begin(); at != list(state).end();) {
      Connection& connection = *at++;
      if (group && connection.client.whose.group != *group) continue;
      connection.session.close();
      update(connection, now);
    }
}

void FrameConnections::let_go(const base::Whose& whose) {
  --open_;
  count(whose, &Holding::connections, 0, 1);
}

// After anything that was done to a connection: brings it into the list of its state, which renews its deadline where
// the state or the frame is another one.
void FrameConnections::update(Connection& connection, Moment now) {
  FrameSession& session = connection.session;
  if (connection.listed == State::kClosed) return;
  if (connection.hung_up && session.state() == State::kWaiting) session.close();
  State state = session.state();
  std::size_t buffered = state == State::kClosed ? 0 : session.buffered();
  std::size_t before = std::exchange(connection.buffered, buffered);
  buffered_ += buffered - before;
  if (buffered != before) count(connection.client.whose, &Holding::buffered, buffered, before);
  if (state != connection.listed || session.frames() != connection.frames) {
    auto& of_holder = groups_[connection.client.whose.group].holders[connection.client.whose.holder].by_state;
    auto& to = of_holder[static_cast<std::size_t>(state)];
    to.splice(to.end(), of_holder[static_cast<std::size_t>(connection.listed)], connection.of_holder);
    list(state).splice(list(state).end(), list(connection.listed), connection.self);
    connection.listed = state;
    connection.frames = session.frames();
    connection.since = now;
    if (state == State::kClosed) to.erase(connection.of_holder);
  }
  if (state == State::kClosed) {
    if (session.rejection()) report(connection, *session.rejection(), now);
    if (connection.ticket != 0) {
      tickets_.erase(connection.ticket);
      handler_.abandoned(connection.ticket);
    }
    if (transport_.close(connection)) let_go(connection.client.whose);
  }
  while (buffered_ > limits_.max_buffered) {
    Connection* other = to_evict(&Holding::buffered, {State::kReading, State::kWriting});
    if (other == nullptr) break;
    evict(*other, now);
  }
}

void FrameConnections::report(const Connection& connection, Rejection why, Moment now) {
  base::Counter*& counter = rejected_[static_cast<std::size_t>(why)];
  if (counter == nullptr) counter = &metrics_.counter(base::metric::kFramesRejected, {{"reason", words_of(why).label}});
  counter->add();
  auto more = budget_.take(now);
  if (!more) return;
  log::warn("frame rejected", {{"reason", words_of(why).text},
                               {"announced_bytes", connection.session.announced()},
                               {"received_bytes", connection.session.received()},
                               {"client", handler_.name(connection.client)},
                               {"not_logged_before", *more}});
}

}  // namespace enclayer::net
