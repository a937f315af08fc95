// SPDX-License-Identifier: Apache-2.0
#include "net/frame_server.h"

#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <atomic>
#include <cstring>
#include <mutex>
#include <thread>

#include "fake/frame_answers.h"
#include "fake/listen.h"
#include "fake/raw_client.h"
#include "fake/temp_folder.h"
#include "net/frame_client.h"

namespace enclayer::net {
namespace {

using namespace std::chrono_literals;
using fake::listen_at;
using fake::RawClient;

constexpr auto kPatience = 20s;

Bytes bytes(std::string_view text) { return Bytes(text.begin(), text.end()); }

// Echoes a frame; "close" gets no reply, "big" gets 60,000 bytes.
class FrameServerTest : public testing::Test {
 protected:
  void start(FrameLimits limits = {}) {
    server_ = FrameServer::start(limits, answers_, metrics_).value();
    server_->serve(listen_at(path_, descriptors_).value(), 0, Holders::kProcesses);
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
  std::atomic<bool> held_ = false;  // or about to be: the server's thread is in the handler
  fake::FrameAnswers answers_{[this](ByteView frame, const Peer& peer) -> std::optional<Bytes> {
    last_pid_ = peer.pid;
    if (base::as_text(frame) == "hold") {
      held_ = true;
      std::lock_guard wait(hold_);
    }
    if (base::as_text(frame) == "close" || frame.empty()) return std::nullopt;
    if (base::as_text(frame) == "big") return Bytes(60'000, 'b');
    return Bytes(frame.begin(), frame.end());
  }};
  Descriptors descriptors_ = Descriptors::kRefused;
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
  server_->serve(listen_at(path_).value(), 0, Holders::kProcesses);
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

// ---- Groups ----

TEST_F(FrameServerTest, sockets_of_several_groups_are_served_and_one_can_end_without_the_others) {
  start();
  std::filesystem::path slot = folder_.path() / std::string(200, 'd') / "aesm.socket";
  std::filesystem::create_directories(slot.parent_path());
  server_->serve(listen_at(slot).value(), 7, Holders::kOne);
  RawClient here(path_), there(slot);
  ASSERT_TRUE(here.send_frame(bytes("hello")));
  ASSERT_TRUE(there.send_frame(bytes("hello")));
  EXPECT_TRUE(here.receive_frame());
  EXPECT_TRUE(there.receive_frame());
  server_->end(7);
  EXPECT_TRUE(there.closed_by_server());
  EXPECT_EQ(call(slot, bytes("x"), kPatience).error().kind(), ErrorKind::kUnavailable);
  expect_served();
}

TEST_F(FrameServerTest, one_of_another_group_waits_for_one_frame_of_a_thousand_greedy_connections) {
  std::atomic<int> before = 0;
  std::atomic<bool> counts = false;
  fake::FrameAnswers answers([&](ByteView frame, const Peer&) -> std::optional<Bytes> {
    if (base::as_text(frame) == "hold") std::lock_guard wait(hold_);
    if (base::as_text(frame) == "honest") counts = false;
    if (counts && base::as_text(frame) == "greedy") ++before;
    return Bytes{'x'};
  });
  server_ = FrameServer::start({.max_connections = 4096}, answers, metrics_).value();
  server_->serve(listen_at(path_).value(), 0, Holders::kProcesses);
  std::filesystem::path slot = folder_.path() / "slot";
  server_->serve(listen_at(slot).value(), 1, Holders::kOne);
  ASSERT_TRUE(fake::allow_descriptors(4096));
  std::vector<std::unique_ptr<RawClient>> greedy;
  for (int i = 0; i < 1000; ++i) greedy.push_back(std::make_unique<RawClient>(path_));
  EXPECT_TRUE(metric_becomes("enclayer_connections_open 1000"));
  // While the thread is held, everybody says what they want.
  std::unique_lock held(hold_);
  RawClient holder(path_), honest(slot);
  ASSERT_TRUE(holder.send_frame(bytes("hold")));
  Bytes many;
  for (int i = 0; i < 20; ++i) base::append(many, fake::framed("greedy"));
  for (auto& client : greedy) ASSERT_TRUE(client->send(many));
  ASSERT_TRUE(honest.send_frame(bytes("honest")));
  counts = true;
  held.unlock();
  EXPECT_TRUE(honest.receive_frame());
  // The round that began with the thread's being held, and one turn of the others; not 20,000 frames.
  EXPECT_LE(before, 130);
  server_.reset();  // before its handler
}

TEST_F(FrameServerTest, thread_that_is_held_up_does_not_answer) {
  start();
  EXPECT_TRUE(server_->answers(kPatience));
  hold_.lock();
  RawClient client(path_);
  ASSERT_TRUE(client.send_frame(bytes("hold")));
  while (!held_) std::this_thread::yield();
  EXPECT_FALSE(server_->answers(1ms));
  hold_.unlock();
  EXPECT_TRUE(server_->answers(kPatience));
}

// ---- Descriptors that clients pass along ----

// A TCP connection whose last close takes as long as it likes: its peer reads nothing, and it lingers.
class LingeringSocket {
 public:
  LingeringSocket() : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    int small = 4096;
    ::setsockopt(listener_.get(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(::listen(listener_.get(), 1), 0);
    ::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size);
    fd_.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::connect(fd_.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    std::string filler(1 << 16, 'x');
    while (::send(fd_.get(), filler.data(), filler.size(), MSG_DONTWAIT | MSG_NOSIGNAL) > 0) {
    }
    linger wait{1, 10};
    EXPECT_EQ(::setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &wait, sizeof wait), 0);
  }

  // Sends it along with a byte and closes our own descriptor; false where the kernel refuses that.
  bool pass(RawClient& client, int flags = 0) {
    bool passed = client.send_descriptor(fd_.get(), flags);
    // Whoever closes last lingers: that may be us, where the server was faster.
    if (passed) closes_ = std::thread([ours = std::move(fd_)]() mutable { ours.reset(); });
    return passed;
  }
  // Resets the connection, so that nobody lingers any more.
  void let_go() {
    listener_.reset();
    if (closes_.joinable()) closes_.join();
  }
  ~LingeringSocket() { let_go(); }

 private:
  base::UniqueFd listener_, fd_;
  std::thread closes_;
};

TEST_F(FrameServerTest, descriptors_are_refused_where_the_kernel_can) {
  start();
  RawClient client(path_);
  ASSERT_TRUE(client.send_frame(bytes("hello")));
  ASSERT_TRUE(client.receive_frame());
  LingeringSocket lingering;
  if (!refuses_descriptors(listen_at(folder_.path() / "probe").value().get()))
    GTEST_SKIP() << "Linux 6.16 and later can; the other way is tested below";
  EXPECT_FALSE(lingering.pass(client));
  EXPECT_EQ(errno, EPERM);
}

TEST_F(FrameServerTest, descriptors_that_come_hold_up_nobody_and_cost_their_connection) {
  descriptors_ = Descriptors::kAllowed;
  start();
  LingeringSocket with_a_frame, unread, out_of_band, in_the_queue;
  RawClient reads(path_), leaves(path_), urgent(path_);
  for (RawClient* client : {&reads, &leaves, &urgent}) {
    ASSERT_TRUE(client->send_frame(bytes("hello")));
    ASSERT_TRUE(client->receive_frame());
  }
  ASSERT_TRUE(with_a_frame.pass(reads));
  EXPECT_TRUE(reads.closed_by_server());
  EXPECT_TRUE(rejected("descriptors", 1));
  // Behind more than is read of a frame that is too long.
  Bytes too_long(10'000, 0xff);
  ASSERT_TRUE(leaves.send(too_long));
  if (unread.pass(leaves)) {
    EXPECT_TRUE(leaves.closed_by_server());
  }
  if (out_of_band.pass(urgent, MSG_OOB)) {
    EXPECT_TRUE(urgent.closed_by_server());
  }
  auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < 50; ++i) expect_served();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 5s) << "each of them lingers for ten";
  // One in the queue of a socket that ends.
  std::filesystem::path slot = folder_.path() / "slot";
  server_->serve(listen_at(slot, Descriptors::kAllowed).value(), 1, Holders::kOne);
  hold_.lock();
  RawClient holds(path_), waits(slot);
  ASSERT_TRUE(holds.send_frame(bytes("hold")));
  server_->end(1);
  ASSERT_TRUE(in_the_queue.pass(waits));
  hold_.unlock();
  EXPECT_TRUE(waits.closed_by_server());
  for (int i = 0; i < 50; ++i) expect_served();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 8s);
  for (LingeringSocket* socket : {&with_a_frame, &unread, &out_of_band, &in_the_queue}) socket->let_go();
  EXPECT_TRUE(metric_becomes("enclayer_connections_open 0")) << "closed in the end";
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
  std::filesystem::path too_long = folder_.path() / std::string(81, 's');
  EXPECT_EQ(call(too_long, bytes("x"), kPatience).error().kind(), ErrorKind::kInvalidArgument);
}

TEST_F(FrameServerTest, call_takes_no_reply_that_is_too_long_or_cut_off) {
  base::UniqueFd listener = listen_at(path_).value();
  std::thread server([&] {
    for (Bytes reply : {Bytes{1, 0, 1, 0}, Bytes{5, 0, 0, 0, 'x'}, Bytes{}}) {
      base::UniqueFd client = fake::accept_from(listener);
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
