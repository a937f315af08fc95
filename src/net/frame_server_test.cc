#include "net/frame_server.h"

#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <thread>

#include "fake/frame_answers.h"
#include "fake/raw_client.h"
#include "fake/temp_folder.h"
#include "net/frame_client.h"

namespace enclayer::net {
namespace {

using namespace std::chrono_literals;
using fake::RawClient;

constexpr auto kPatience = 20s;

Bytes bytes(std::string_view text) { return Bytes(text.begin(), text.end()); }

// Echoes a frame; "close" gets no reply, "big" gets 60,000 bytes.
class FrameServerTest : public testing::Test {
 protected:
  void start(FrameLimits limits = {}) {
    auto started = FrameServer::start(listen_at(path_).value(), limits, answers_, metrics_);
    ASSERT_TRUE(started);
    server_ = std::move(*started);
  }
  void expect_served(std::string_view text = "hello") {
    auto reply = call(path_, bytes(text), kPatience);
    ASSERT_TRUE(reply) << reply.error().message();
    EXPECT_EQ(base::as_text(*reply), text);
  }
  // The value of a metric, waited for: it is counted after the client has seen the end of its connection.
  bool metric_becomes(const std::string& line) {
    auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (metrics_.text().find(line + "\n") == std::string::npos) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      std::this_thread::yield();
    }
    return true;
  }
  bool rejected(const std::string& reason, int times = 1) {
    return metric_becomes("enclayer_frames_rejected_total{reason=\"" + reason + "\"} " + std::to_string(times));
  }

  fake::TempFolder folder_;
  std::filesystem::path path_ = folder_.path() / "socket";
  base::Metrics metrics_;
  std::atomic<pid_t> last_pid_ = 0;
  std::mutex hold_;
  fake::FrameAnswers answers_{[this](ByteView frame, const Peer& peer) -> std::optional<Bytes> {
    last_pid_ = peer.pid;
    if (base::as_text(frame) == "hold") std::lock_guard wait(hold_);
    if (base::as_text(frame) == "close" || frame.empty()) return std::nullopt;
    if (base::as_text(frame) == "big") return Bytes(60'000, 'b');
    return Bytes(frame.begin(), frame.end());
  }};
  std::unique_ptr<FrameServer> server_;
};

TEST_F(FrameServerTest, frame_is_answered_and_the_handler_knows_who_asked) {
  start();
  expect_served();
  EXPECT_EQ(last_pid_, ::getpid());
}

TEST_F(FrameServerTest, several_requests_on_one_connection_also_sent_at_once) {
  start();
  RawClient client(path_);
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(client.send_frame(bytes("one")));
    EXPECT_EQ(client.receive_frame(), bytes("one"));
  }
  ASSERT_TRUE(client.send({3, 0, 0, 0, 't', 'w', 'o', 5, 0, 0, 0, 't', 'h', 'r', 'e', 'e', 1}));
  EXPECT_EQ(client.receive_frame(), bytes("two"));
  EXPECT_EQ(client.receive_frame(), bytes("three"));
  ASSERT_TRUE(client.send({0, 0, 0, 'x'}));
  EXPECT_EQ(client.receive_frame(), bytes("x"));
}

TEST_F(FrameServerTest, client_that_has_shut_down_its_sending_side_gets_its_reply) {
  start();
  RawClient client(path_);
  ASSERT_TRUE(client.send_frame(bytes("last words")));
  client.shut_down_sending();
  EXPECT_EQ(client.receive_frame(), bytes("last words"));
  EXPECT_TRUE(client.closed_by_server());
}

TEST_F(FrameServerTest, frame_that_comes_byte_by_byte_is_put_together) {
  start();
  RawClient client(path_);
  for (std::uint8_t byte : Bytes{3, 0, 0, 0, 'a', 'b', 'c'}) ASSERT_TRUE(client.send({byte}));
  EXPECT_EQ(client.receive_frame(), bytes("abc"));
}

TEST_F(FrameServerTest, length_and_body_of_a_big_reply_are_one_send) {
  start();
  RawClient client(path_);
  ASSERT_TRUE(client.send_frame(bytes("big")));
  EXPECT_EQ(client.receive_some().size(), 60'004u);
}

TEST_F(FrameServerTest, longest_frame_is_served_and_a_longer_one_closed_before_its_body_comes) {
  start();
  RawClient most(path_);
  Bytes content(64 << 10, 'x');
  ASSERT_TRUE(most.send_frame(content));
  EXPECT_EQ(most.receive_frame(), content);
  for (Bytes header : {Bytes{1, 0, 1, 0}, Bytes{0xff, 0xff, 0xff, 0x7f}, Bytes{0xff, 0xff, 0xff, 0xff}}) {
    RawClient client(path_);
    ASSERT_TRUE(client.send(header));
    EXPECT_TRUE(client.closed_by_server());
  }
  EXPECT_TRUE(rejected("too_long", 3));
  expect_served();
}

TEST_F(FrameServerTest, frame_that_is_cut_off_is_counted_and_closed) {
  start();
  for (Bytes part : {Bytes{9, 0}, Bytes{9, 0, 0, 0}, Bytes{9, 0, 0, 0, 'x'}}) {
    RawClient client(path_);
    ASSERT_TRUE(client.send(part));
    client.shut_down_sending();
    EXPECT_TRUE(client.closed_by_server());
  }
  EXPECT_TRUE(rejected("cut_off", 3));
  expect_served();
}

TEST_F(FrameServerTest, what_the_handler_has_no_reply_for_is_closed) {
  start();
  RawClient client(path_);
  ASSERT_TRUE(client.send_frame(bytes("close")));
  EXPECT_TRUE(client.closed_by_server());
  RawClient empty(path_);
  ASSERT_TRUE(empty.send({0, 0, 0, 0}));
  EXPECT_TRUE(empty.closed_by_server());
  EXPECT_TRUE(rejected("not_a_request", 2));
  expect_served();
}

TEST_F(FrameServerTest, connection_closed_without_a_word_is_no_offence) {
  start();
  { RawClient client(path_); }
  expect_served();
  EXPECT_TRUE(metric_becomes("enclayer_connections_total 2"));
  EXPECT_TRUE(metric_becomes("enclayer_connections_open 0"));
  EXPECT_EQ(metrics_.text().find("rejected"), std::string::npos);
}

TEST_F(FrameServerTest, slow_client_is_closed_and_holds_up_nobody) {
  start({.read = 300ms});
  RawClient silent(path_), slow(path_), header_only(path_);
  ASSERT_TRUE(slow.send({7}));
  ASSERT_TRUE(header_only.send({7, 0, 0, 0, 'x'}));
  for (int i = 0; i < 20; ++i) expect_served();
  EXPECT_TRUE(silent.closed_by_server());
  EXPECT_TRUE(slow.closed_by_server());
  EXPECT_TRUE(header_only.closed_by_server());
  EXPECT_TRUE(rejected("too_slow", 3));
}

TEST_F(FrameServerTest, silence_after_a_reply_ends_the_connection_quietly) {
  start({.idle = 100ms});
  RawClient client(path_);
  ASSERT_TRUE(client.send_frame(bytes("one")));
  EXPECT_EQ(client.receive_frame(), bytes("one"));
  EXPECT_TRUE(client.closed_by_server());
  EXPECT_TRUE(metric_becomes("enclayer_connections_open 0"));
  EXPECT_EQ(metrics_.text().find("rejected"), std::string::npos);
}

TEST_F(FrameServerTest, client_that_takes_no_replies_is_closed) {
  start({.write = 200ms});
  RawClient greedy(path_);
  // The replies fill the socket's buffer; nobody reads them.
  for (int i = 0; i < 64; ++i) ASSERT_TRUE(greedy.send_frame(bytes("big")));
  EXPECT_TRUE(rejected("reply_not_taken"));
  expect_served();
}

TEST_F(FrameServerTest, silent_connections_give_way_to_those_who_ask) {
  start({.max_connections = 2, .read = 60s});
  RawClient first(path_), second(path_);
  EXPECT_TRUE(metric_becomes("enclayer_connections_open 2"));
  expect_served();
  EXPECT_TRUE(first.closed_by_server());
  EXPECT_TRUE(metric_becomes("enclayer_connections_evicted_total 1"));
}

TEST_F(FrameServerTest, many_clients_at_once_are_all_served) {
  start();
  std::vector<std::thread> clients;
  for (int c = 0; c < 8; ++c)
    clients.emplace_back([this] {
      for (int i = 0; i < 100; ++i) expect_served("request " + std::to_string(i));
    });
  for (std::thread& client : clients) client.join();
  EXPECT_TRUE(metric_becomes("enclayer_connections_total 800"));
}

TEST_F(FrameServerTest, drain_serves_what_was_begun_and_what_is_in_the_queue) {
  start({.idle = 60s});
  RawClient idle(path_), begun(path_);
  ASSERT_TRUE(idle.send_frame(bytes("first")));
  ASSERT_TRUE(idle.receive_frame());
  ASSERT_TRUE(begun.send({5, 0, 0, 0, 'h'}));
  EXPECT_TRUE(metric_becomes("enclayer_connections_open 2"));
  auto& in_handler = hold_;
  in_handler.lock();  // so that the server's thread takes nobody from the queue
  ASSERT_TRUE(idle.send_frame(bytes("hold")));
  RawClient queued(path_);  // connected, as far as the kernel is concerned, but not accepted
  ASSERT_TRUE(queued.send_frame(bytes("queued")));

  server_->drain();
  in_handler.unlock();
  EXPECT_EQ(idle.receive_frame(), bytes("hold"));
  EXPECT_FALSE(server_->wait_drained(0ms));
  ASSERT_TRUE(begun.send({'e', 'l', 'l', 'o'}));
  EXPECT_EQ(begun.receive_frame(), bytes("hello"));
  EXPECT_EQ(queued.receive_frame(), bytes("queued"));
  EXPECT_TRUE(server_->wait_drained(kPatience));
  EXPECT_TRUE(idle.closed_by_server());
  EXPECT_EQ(call(path_, bytes("x"), kPatience).error().kind(), ErrorKind::kUnavailable);
}

TEST_F(FrameServerTest, another_socket_is_served_beside_the_first_which_ends_after_a_while) {
  start({.idle = 60s});
  RawClient early(path_);
  ASSERT_TRUE(early.send_frame(bytes("first")));
  ASSERT_TRUE(early.receive_frame());
  std::filesystem::path first = folder_.path() / "first";
  std::filesystem::rename(path_, first);
  auto begin = std::chrono::steady_clock::now();
  server_->serve_also(listen_at(path_).value());
  expect_served("at the new one");
  auto late = call(first, bytes("x"), kPatience);
  EXPECT_TRUE(late || std::chrono::steady_clock::now() - begin >= FrameServer::kOverlap) << late.error().message();
  while (call(first, bytes("x"), kPatience)) std::this_thread::yield();
  EXPECT_GE(std::chrono::steady_clock::now() - begin, FrameServer::kOverlap);
  EXPECT_EQ(call(first, bytes("x"), kPatience).error().kind(), ErrorKind::kUnavailable);
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(early.send_frame(bytes("still here")));
    EXPECT_EQ(early.receive_frame(), bytes("still here"));
    expect_served("at the new one");
  }
  server_->drain();
  EXPECT_TRUE(server_->wait_drained(kPatience));
}

// Whoever the kernel has let connect is answered, also in the moment in which the socket ends.
TEST_F(FrameServerTest, nobody_who_could_connect_is_lost_when_it_drains) {
  for (int round = 0; round < 20; ++round) {
    start();
    std::vector<std::thread> clients;
    std::atomic<int> served = 0, refused = 0, lost = 0;
    for (int c = 0; c < 4; ++c)
      clients.emplace_back([&] {
        while (lost == 0) {
          auto reply = call(path_, bytes("hello"), kPatience);
          if (reply)
            ++served;
          else if (reply.error().kind() == ErrorKind::kUnavailable)
            return void(++refused);
          else
            ++lost;
        }
      });
    while (served < 20) std::this_thread::yield();
    server_->drain();
    EXPECT_TRUE(server_->wait_drained(kPatience));
    for (std::thread& client : clients) client.join();
    EXPECT_EQ(lost, 0);
    EXPECT_EQ(refused, 4);
    server_.reset();
    std::filesystem::remove(path_);
  }
}

TEST_F(FrameServerTest, it_can_be_dropped_while_connections_are_open) {
  start();
  RawClient client(path_);
  ASSERT_TRUE(client.send({5, 0}));
  EXPECT_TRUE(metric_becomes("enclayer_connections_open 1"));
  server_.reset();
  EXPECT_TRUE(client.closed_by_server());
}

// ---- The client ----

TEST_F(FrameServerTest, call_says_what_is_wrong_with_the_other_side) {
  EXPECT_EQ(call(path_, bytes("x"), kPatience).error().kind(), ErrorKind::kNotFound);
  base::UniqueFd listener = listen_at(path_).value();
  auto silent = call(path_, bytes("x"), 50ms);
  ASSERT_FALSE(silent);
  EXPECT_EQ(silent.error().kind(), ErrorKind::kTimedOut);
  EXPECT_NE(silent.error().message().find("no reply within 50 ms"), std::string::npos);
  listener.reset();
  EXPECT_EQ(call(path_, bytes("x"), kPatience).error().kind(), ErrorKind::kUnavailable);
  std::filesystem::path too_long = folder_.path() / std::string(108, 's');
  EXPECT_EQ(call(too_long, bytes("x"), kPatience).error().kind(), ErrorKind::kInvalidArgument);
}

TEST_F(FrameServerTest, call_takes_no_reply_that_is_too_long_or_cut_off) {
  base::UniqueFd listener = listen_at(path_).value();
  std::thread server([&] {
    for (Bytes reply : {Bytes{1, 0, 1, 0}, Bytes{5, 0, 0, 0, 'x'}, Bytes{}}) {
      base::UniqueFd client(::accept(listener.get(), nullptr, nullptr));
      char request[16];
      EXPECT_GT(::recv(client.get(), request, sizeof request, 0), 0);
      EXPECT_EQ(::send(client.get(), reply.data(), reply.size(), 0), static_cast<ssize_t>(reply.size()));
    }
  });
  EXPECT_EQ(call(path_, bytes("x"), kPatience).error().kind(), ErrorKind::kMalformed);
  EXPECT_EQ(call(path_, bytes("x"), kPatience).error().kind(), ErrorKind::kIo);
  EXPECT_EQ(call(path_, bytes("x"), kPatience).error().kind(), ErrorKind::kIo);
  server.join();
}

}  // namespace
}  // namespace enclayer::net
