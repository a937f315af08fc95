// SPDX-License-Identifier: Apache-2.0
// The frame server's rules, without sockets and with a clock of the test's own.
#include "net/frame_connections.h"

#include <gtest/gtest.h>

#include "base/bytes.h"
#include "fake/byte_transport.h"
#include "fake/framed.h"

namespace enclayer::net {
namespace {

using namespace std::chrono_literals;
using fake::framed;
using State = FrameSession::State;
using Next = FrameConnections::Next;

// Sockets as byte strings, and a handler that answers in capitals; "later" is put off, "what?" has no reply.
class FrameConnectionsTest : public testing::Test, public fake::ByteTransport, public FrameHandler {
 protected:
  FrameConnectionsTest() : ByteTransport(1 << 20) {}

  void attach(Replies) override {}
  FrameOutcome frame(ByteView frame, const Client&, Ticket ticket) override {
    if (base::as_text(frame) == "what?") return NoReply{};
    if (base::as_text(frame) == "later") {
      tickets_.push_back(ticket);
      return Later{};
    }
    Bytes reply(frame.begin(), frame.end());
    for (auto& letter : reply) letter = static_cast<std::uint8_t>(std::toupper(letter));
    return reply;
  }
  std::optional<Bytes> overdue(Ticket) override {
    if (being_made_) return std::nullopt;
    return Bytes{'n', 'o'};
  }
  void abandoned(Ticket ticket) override { abandoned_.push_back(ticket); }

  void start(FrameLimits limits) { connections_ = std::make_unique<FrameConnections>(limits, *this, *this, metrics_); }
  Connection& open(std::uint64_t holder = 1, std::uint32_t group = 0) {
    return *connections_->open(++last_fd_, {{group, holder}}, now_);
  }
  Next say(Connection& connection, ByteView bytes) {
    base::append(end_of(connection).to_server, bytes);
    return connections_->serve(connection, now_);
  }
  Next say(Connection& connection, std::string_view frame) { return say(connection, framed(frame)); }
  bool closed(const Connection& connection) { return connection.session.state() == State::kClosed; }
  std::string rejections() {
    std::string page = metrics_.text(), out;
    std::size_t at = 0;
    while ((at = page.find("rejected_total{reason=\"", at)) != std::string::npos)
      out += page.substr(at + 23, page.find('\n', at) - at - 23) + " ", ++at;
    return out;
  }

  Moment now_{std::chrono::hours(1)};
  base::Metrics metrics_;
  int last_fd_ = 0;
  std::vector<Ticket> tickets_, abandoned_;
  bool being_made_ = false;
  std::unique_ptr<FrameConnections> connections_ =
      std::make_unique<FrameConnections>(FrameLimits{}, *this, *this, metrics_);
};

TEST_F(FrameConnectionsTest, frame_is_answered_and_the_connection_is_looked_at_again) {
  Connection& client = open();
  EXPECT_EQ(connections_->serve(client, now_), Next::kEvent) << "it has said nothing yet";
  EXPECT_EQ(say(client, "hello"), Next::kAfterReply);
  EXPECT_EQ(end_of(client).to_client, framed("HELLO"));
  EXPECT_EQ(connections_->serve(client, now_), Next::kEvent);
  EXPECT_EQ(client.session.state(), State::kIdle);
}

TEST_F(FrameConnectionsTest, deadlines_are_those_of_the_state_and_come_in_order) {
  Connection &silent = open(), &reading = open(), &idle = open();
  say(reading, Bytes{5, 0, 0, 0, 'h'});
  say(idle, "hello");
  EXPECT_EQ(connections_->next_deadline(), now_ + 2s);
  now_ += 1999ms;
  connections_->expire(now_);
  EXPECT_FALSE(closed(idle));
  now_ += 1ms;
  connections_->expire(now_);
  EXPECT_TRUE(closed(idle));
  EXPECT_EQ(rejections(), "") << "silence between frames is no offence";
  EXPECT_EQ(connections_->next_deadline(), now_ + 3s);
  now_ += 2s;
  say(reading, Bytes{'e'});
  now_ += 1s;
  connections_->expire(now_);
  EXPECT_TRUE(closed(silent));
  EXPECT_TRUE(closed(reading)) << "a byte now and then must not renew the deadline";
  EXPECT_EQ(rejections(), "too_slow\"} 2 ");
  EXPECT_EQ(connections_->next_deadline(), std::nullopt);
}

TEST_F(FrameConnectionsTest, each_frame_has_a_deadline_of_its_own) {
  Connection& client = open();
  for (int i = 0; i < 5; ++i) {
    now_ += 4s;
    connections_->expire(now_);
    Bytes whole_and_begun = i == 0 ? framed("one") : Bytes{'n', 'e'};
    base::append(whole_and_begun, Bytes{3, 0, 0, 0, 'o'});
    while (say(client, whole_and_begun) != Next::kEvent) whole_and_begun.clear();
    EXPECT_FALSE(closed(client));
  }
}

TEST_F(FrameConnectionsTest, client_that_does_not_take_its_reply_is_closed_in_time) {
  Connection& client = open();
  end_of(client).room = 5;
  say(client, "hello");
  EXPECT_EQ(client.session.state(), State::kWriting);
  end_of(client).room = 1;
  connections_->serve(client, now_ + 4s);
  connections_->expire(now_ + 5s);
  EXPECT_TRUE(closed(client));
  EXPECT_EQ(rejections(), "reply_not_taken\"} 1 ");
}

TEST_F(FrameConnectionsTest, deferred_frame_is_answered_when_the_reply_comes) {
  Connection& client = open();
  Bytes later_and_more = framed("later");
  base::append(later_and_more, framed("more"));
  EXPECT_EQ(say(client, later_and_more), Next::kEvent);
  EXPECT_TRUE(end_of(client).to_client.empty());
  EXPECT_EQ(connections_->replied(tickets_.at(0), Bytes{'x'}, now_), &client);
  EXPECT_EQ(connections_->serve(client, now_), Next::kAfterReply);
  Bytes expected = framed("x");
  base::append(expected, framed("MORE"));
  EXPECT_EQ(end_of(client).to_client, expected);
  EXPECT_EQ(connections_->replied(tickets_.at(0), Bytes{'x'}, now_), nullptr) << "a ticket is good for one reply";
}

TEST_F(FrameConnectionsTest, client_that_only_shut_down_its_sending_side_keeps_its_turn) {
  Connection& client = open();
  end_of(client).ended = true;
  say(client, "later");
  EXPECT_EQ(client.session.state(), State::kWaiting);
  connections_->serve(client, now_);
  EXPECT_TRUE(abandoned_.empty());
  connections_->replied(tickets_.at(0), Bytes{'x'}, now_);
  connections_->serve(client, now_);
  EXPECT_EQ(end_of(client).to_client, framed("x"));
  connections_->serve(client, now_);
  EXPECT_TRUE(closed(client));
}

TEST_F(FrameConnectionsTest, work_of_a_client_that_hung_up_is_given_up) {
  Connection &waiting = open(), &speaking = open();
  say(waiting, "later");
  connections_->hung_up(waiting, now_);
  EXPECT_TRUE(closed(waiting));
  EXPECT_EQ(abandoned_, std::vector<Ticket>{tickets_.at(0)});
  base::append(end_of(speaking).to_server, framed("later"));
  end_of(speaking).ended = true;
  EXPECT_EQ(connections_->hung_up(speaking, now_), Next::kEvent);
  EXPECT_TRUE(closed(speaking));
  EXPECT_EQ(abandoned_, tickets_);
  EXPECT_EQ(connections_->replied(tickets_.at(0), Bytes{'x'}, now_), nullptr);
  EXPECT_EQ(connections_->open_connections(), 0u);
}

TEST_F(FrameConnectionsTest, overdue_frame_is_refused_unless_its_reply_is_being_made) {
  Connection& client = open();
  say(client, "later");
  being_made_ = true;
  now_ += 12s;
  EXPECT_TRUE(connections_->expire(now_).empty());
  EXPECT_EQ(client.session.state(), State::kWaiting);
  being_made_ = false;
  now_ += 12s;
  auto to_serve = connections_->expire(now_);
  ASSERT_EQ(to_serve, std::vector<Connection*>{&client});
  connections_->serve(client, now_);
  EXPECT_EQ(end_of(client).to_client, framed("no"));
}

TEST_F(FrameConnectionsTest, silent_then_idle_then_unfinished_connections_give_way_the_oldest_first) {
  start({.max_connections = 4});
  Connection &reading = open(1), &idle = open(1), &waiting = open(1), &silent = open(1);
  say(reading, Bytes{1});
  say(idle, "x");
  say(waiting, "later");
  EXPECT_TRUE(connections_->has_room());
  say(open(2), "later");
  EXPECT_TRUE(closed(silent));
  EXPECT_FALSE(closed(idle));
  say(open(2), "later");
  EXPECT_TRUE(closed(idle));
  EXPECT_FALSE(closed(reading));
  say(open(2), "later");
  EXPECT_TRUE(closed(reading));
  EXPECT_FALSE(closed(waiting));
  EXPECT_FALSE(connections_->has_room()) << "all wait for their replies";
  EXPECT_EQ(rejections(), "crowded_out\"} 1 ") << "only the one that was in the middle of a frame";
}

TEST_F(FrameConnectionsTest, who_holds_most_gives_way_before_who_came_first) {
  start({.max_connections = 10});
  Connection& modest = open(7);
  for (int i = 0; i < 9; ++i) open(8);
  for (int i = 0; i < 100; ++i) open(9);
  EXPECT_FALSE(closed(modest));
  EXPECT_EQ(connections_->open_connections(), 10u);
}

TEST_F(FrameConnectionsTest, place_is_given_up_by_the_group_with_most_however_many_holders_it_has) {
  start({.max_connections = 10});
  Connection &modest = open(0, 1), &two = open(0, 2);
  open(0, 2);
  for (std::uint64_t process = 1; process <= 100; ++process) open(process);
  EXPECT_FALSE(closed(modest));
  EXPECT_FALSE(closed(two));
  for (int i = 0; i < 100; ++i) open(0, 3);
  EXPECT_FALSE(closed(modest)) << "who has one never loses it while others have more";
  EXPECT_FALSE(closed(two));
}

TEST_F(FrameConnectionsTest, holder_has_a_quarter_of_the_places_and_beyond_gives_up_one_of_its_own) {
  start({.max_connections = 80});
  Connection &other = open(9), &first = open(8);
  for (int i = 1; i < 20; ++i) open(8);
  EXPECT_FALSE(closed(first));
  open(8);
  EXPECT_TRUE(closed(first));
  EXPECT_FALSE(closed(other));
  EXPECT_EQ(connections_->open_connections(), 21u);
  for (int i = 0; i < 20; ++i) say(open(7), "later");
  EXPECT_FALSE(connections_->has_room({0, 7})) << "all of it wait for their replies";
  EXPECT_EQ(connections_->open(++last_fd_, {{0, 7}}, now_), nullptr);
  EXPECT_TRUE(connections_->has_room({0, 6}));
  EXPECT_TRUE(connections_->has_room({1, 7}));
}

TEST_F(FrameConnectionsTest, connection_whose_closing_takes_time_keeps_its_place_until_it_is_let_go) {
  closing_takes_time = true;
  say(open(3, 2), "what?");
  connections_->forget_closed();
  EXPECT_EQ(connections_->open_connections(), 1u);
  connections_->let_go({2, 3});
  EXPECT_EQ(connections_->open_connections(), 0u);
}

TEST_F(FrameConnectionsTest, group_can_be_closed_without_the_others) {
  Connection &gone = open(1, 1), &waiting = open(2, 1), &stays = open(1, 2);
  say(waiting, "later");
  connections_->close(1, now_);
  EXPECT_TRUE(closed(gone));
  EXPECT_TRUE(closed(waiting));
  EXPECT_EQ(abandoned_, tickets_);
  EXPECT_FALSE(closed(stays));
}

TEST_F(FrameConnectionsTest, unfinished_frames_of_all_together_take_bounded_memory) {
  start({.max_buffered = 100'000});
  Bytes most(60'000);
  base::store_le32(most.data(), 64 << 10);
  Connection& first = open(1);
  Connection& honest = open(2);
  say(honest, Bytes{100, 0, 0, 0, 1});
  say(first, most);
  Connection& second = open(1);
  say(second, most);
  EXPECT_TRUE(closed(first));
  EXPECT_FALSE(closed(second));
  EXPECT_FALSE(closed(honest));
  EXPECT_EQ(rejections(), "crowded_out\"} 1 ");
}

TEST_F(FrameConnectionsTest, one_connection_with_many_frames_lets_others_have_their_turn) {
  Connection& greedy = open();
  Bytes many;
  for (int i = 0; i < 100; ++i) base::append(many, framed("x"));
  EXPECT_EQ(say(greedy, many), Next::kNow);
  EXPECT_EQ(end_of(greedy).to_client.size(), framed("x").size());
  for (int turns = 0; turns < 200 && connections_->serve(greedy, now_) != Next::kEvent; ++turns) {
  }
  EXPECT_EQ(end_of(greedy).to_client.size(), 100 * framed("x").size());
}

TEST_F(FrameConnectionsTest, draining_answers_what_was_sent_and_closes_the_rest) {
  Connection &idle = open(), &asked_again = open(), &begun = open(), &waiting = open();
  say(idle, "x");
  say(asked_again, "x");
  say(begun, Bytes{1, 0});
  say(waiting, "later");
  base::append(end_of(asked_again).to_server, framed("y"));
  for (Connection* connection : connections_->drain())
    while (connections_->serve(*connection, now_) != Next::kEvent) {
    }
  EXPECT_TRUE(closed(idle));
  EXPECT_TRUE(closed(asked_again));
  EXPECT_EQ(end_of(asked_again).to_client.size(), 2 * framed("x").size());
  EXPECT_FALSE(closed(begun));
  say(begun, Bytes{0, 0, 'z'});
  connections_->serve(begun, now_);
  EXPECT_TRUE(closed(begun));
  connections_->replied(tickets_.at(0), Bytes{'x'}, now_);
  connections_->serve(waiting, now_);
  connections_->serve(waiting, now_);
  EXPECT_EQ(connections_->open_connections(), 0u);
}

TEST_F(FrameConnectionsTest, closing_everybody_gives_up_what_was_deferred) {
  open();
  say(open(), "later");
  connections_->close({}, now_);
  connections_->forget_closed();
  EXPECT_EQ(abandoned_, tickets_);
  EXPECT_EQ(connections_->open_connections(), 0u);
  EXPECT_NE(metrics_.text().find("enclayer_connections_open 0\n"), std::string::npos);
}

}  // namespace
}  // namespace enclayer::net
