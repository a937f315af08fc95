// SPDX-License-Identifier: Apache-2.0
#include "helper/request_scheduler.h"

#include <gtest/gtest.h>

#include <unistd.h>

#include <map>

#include "aesm/client.h"
#include "base/hex.h"
#include "fake/aesm_frames.h"
#include "fake/quote_source.h"
#include "fake/temp_folder.h"

namespace enclayer::helper {
namespace {

using namespace std::chrono_literals;
using testing::Test;

// Its quotes say for whom they were made, and may take a time.
class Source final : public fake::QuoteSource {
 public:
  std::optional<quoting::QuoteTerms> terms_now() override {
    return is_ready ? fake::QuoteSource::terms_now() : std::nullopt;
  }
  bool only_computes() const override { return computes; }
  Result<quoting::QuoteReply> quote(const sgx::Report&, const std::optional<quoting::QeReportRequest>&) override {
    std::this_thread::sleep_for(takes);  // what a slow quote is; no test waits for it to pass
    return ++calls, next_quote;          // from several threads, so what was asked is not kept
  }

  std::atomic<bool> is_ready = true, computes = false;
  std::chrono::milliseconds takes{0};
};

class RequestSchedulerTest : public Test {
 protected:
  void SetUp() override {
    source_.next_size = 4600;
    source_.next_quote = quoting::QuoteReply{Bytes(4600, 'q'), std::nullopt};
    start({.threads = 0});
  }
  // With no threads, quotes are made by make_next_quote().
  void start(RequestScheduler::Options options) {
    scheduler_ = std::make_unique<RequestScheduler>(source_, identities_, std::move(options), metrics_);
    scheduler_->attach([this](net::Ticket ticket, std::optional<Bytes> reply) {
      std::lock_guard lock(mutex_);
      order_.push_back(ticket);
      replies_[ticket] = reply.value_or(Bytes{});
      arrived_.notify_all();
    });
  }

  // Of a process at the legacy socket, and of a slot.
  static net::Client client(pid_t pid) { return {{kLegacy, static_cast<std::uint64_t>(pid)}, {0, pid}}; }
  static net::Client in_slot(std::uint32_t group) { return {{group, 0}}; }
  net::FrameOutcome ask(const Bytes& request, pid_t pid = 1) { return ask(request, client(pid)); }
  net::FrameOutcome ask(const Bytes& request, const net::Client& client) {
    return scheduler_->frame(request, client, ++last_ticket_);
  }
  net::Ticket ask_quote(pid_t pid) { return ask_quote(client(pid)); }
  net::Ticket ask_quote(const net::Client& client) {
    EXPECT_TRUE(std::holds_alternative<net::Later>(ask(quote_request(), client)));
    scheduler_->begin();
    return last_ticket_;
  }
  static Bytes quote_request() { return aesm::quote_request(sgx::Report{}, 8192, std::nullopt); }
  static std::string hex(const net::FrameOutcome& outcome) {
    auto* reply = std::get_if<Bytes>(&outcome);
    return reply ? base::to_hex(*reply) : "no reply now";
  }
  void make_all() {
    while (scheduler_->make_next_quote()) {
    }
  }
  bool has_metric(const std::string& line) { return metrics_.text().find(line + "\n") != std::string::npos; }

  const std::string kBusyQuote = "8a01020812";  // errorCode 18, nothing else

  Source source_;
  ClientIdentities identities_;
  base::Metrics metrics_;
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::map<net::Ticket, Bytes> replies_;
  std::vector<net::Ticket> order_;
  net::Ticket last_ticket_ = 0;
  std::unique_ptr<RequestScheduler> scheduler_;
};

TEST_F(RequestSchedulerTest, everything_but_quotes_is_answered_at_once) {
  for (const std::string& name : fake::aesm_requests()) {
    auto outcome = ask(fake::aesm_body(name));
    EXPECT_EQ(std::holds_alternative<net::Later>(outcome), name.find("-quote") != std::string::npos) << name;
    EXPECT_FALSE(std::holds_alternative<net::NoReply>(outcome)) << name;
  }
  EXPECT_TRUE(std::holds_alternative<net::NoReply>(ask(Bytes{0xff})));
  EXPECT_TRUE(std::holds_alternative<net::NoReply>(ask(Bytes{})));
}

TEST_F(RequestSchedulerTest, quote_that_can_only_be_refused_takes_no_place_in_the_queue) {
  EXPECT_EQ(hex(ask(Bytes{0x8a, 0x01, 0x00})), "8a01020801");
  EXPECT_TRUE(has_metric("enclayer_quote_queue_depth 0"));
  EXPECT_TRUE(has_metric("enclayer_aesm_requests_total{code=\"1\",request=\"get_quote_ex\"} 1"));
}

TEST_F(RequestSchedulerTest, clients_take_turns_however_many_quotes_each_wants) {
  std::vector<net::Ticket> greedy;
  for (int i = 0; i < 4; ++i) greedy.push_back(ask_quote(7));
  net::Ticket modest = ask_quote(8), other = ask_quote(9);
  EXPECT_TRUE(has_metric("enclayer_quote_queue_depth 6"));
  make_all();
  EXPECT_EQ(order_, (std::vector<net::Ticket>{greedy[0], modest, other, greedy[1], greedy[2], greedy[3]}));
  EXPECT_EQ(replies_[modest].size(), 4609u);
  EXPECT_TRUE(has_metric("enclayer_quote_queue_depth 0"));
  EXPECT_TRUE(has_metric("enclayer_quotes_total 6"));
  EXPECT_TRUE(has_metric("enclayer_quote_seconds_count 6"));
}

TEST_F(RequestSchedulerTest, slots_take_turns_and_all_of_the_legacy_socket_has_one) {
  net::Ticket first = ask_quote(1), second = ask_quote(2), third = ask_quote(3);
  net::Ticket slot = ask_quote(in_slot(5)), again = ask_quote(in_slot(5)), other = ask_quote(in_slot(6));
  make_all();
  EXPECT_EQ(order_, (std::vector<net::Ticket>{first, slot, other, second, again, third}));
}

TEST_F(RequestSchedulerTest, full_queue_takes_the_place_from_who_has_most) {
  start({.threads = 0, .max_queued = 3});
  net::Ticket first = ask_quote(7), second = ask_quote(7), last = ask_quote(7);
  EXPECT_EQ(hex(ask(quote_request(), 7)), kBusyQuote);
  net::Ticket modest = ask_quote(8);
  EXPECT_EQ(base::to_hex(replies_[last]), kBusyQuote);
  EXPECT_EQ(hex(ask(quote_request(), 9)), "no reply now");
  EXPECT_EQ(base::to_hex(replies_[second]), kBusyQuote);
  EXPECT_EQ(hex(ask(quote_request(), 10)), kBusyQuote) << "all have one: who comes last has none";
  order_.clear();
  make_all();
  EXPECT_EQ(order_, (std::vector<net::Ticket>{first, modest, modest + 1}));
  EXPECT_TRUE(has_metric("enclayer_quotes_dropped_total{reason=\"queue_full\"} 4"));
}

TEST_F(RequestSchedulerTest, one_owner_has_no_more_places_than_it_may) {
  start({.threads = 0, .max_queued_each = 2});
  ask_quote(7), ask_quote(7);
  EXPECT_EQ(hex(ask(quote_request(), 7)), kBusyQuote);
  ask_quote(8);
}

TEST_F(RequestSchedulerTest, clients_that_left_cost_no_quote) {
  net::Ticket gone = ask_quote(7), stays = ask_quote(7);
  scheduler_->abandoned(gone);
  make_all();
  EXPECT_EQ(order_, std::vector<net::Ticket>{stays});
  EXPECT_EQ(source_.calls, 1);
  scheduler_->abandoned(stays);  // has been answered: nothing to give up
  EXPECT_TRUE(has_metric("enclayer_quotes_dropped_total{reason=\"client_gone\"} 1"));
}

TEST_F(RequestSchedulerTest, overdue_quote_is_refused_only_while_it_waits) {
  net::Ticket late = ask_quote(7);
  auto refused = scheduler_->overdue(late);
  ASSERT_TRUE(refused);
  EXPECT_EQ(base::to_hex(*refused), kBusyQuote);
  EXPECT_FALSE(scheduler_->overdue(late)) << "not in the queue any more";
  EXPECT_FALSE(scheduler_->make_next_quote());
}

TEST_F(RequestSchedulerTest, init_and_size_say_busy_when_a_quote_could_not_be_had_in_time_and_quotes_wait) {
  start({.threads = 0, .budget = 50ms});
  Bytes init = fake::aesm_body("quote_ex-init2.req"), size = fake::aesm_body("quote_ex-size.req");
  source_.takes = 80ms;  // the average begins at 0 and moves by an eighth: 10 ms
  ask_quote(1);
  make_all();
  source_.takes = 0ms;
  EXPECT_TRUE(aesm::read_init_reply(std::get<Bytes>(ask(init))));
  for (pid_t pid = 10; pid < 20; ++pid) ask_quote(pid);
  EXPECT_EQ(hex(ask(init)), "7a0408121820");
  EXPECT_EQ(hex(ask(size)), "82010408121000");
  EXPECT_TRUE(aesm::read_init_size_reply(std::get<Bytes>(ask(fake::aesm_body("quote_ex-init1.req")))));
  ask_quote(20);
  make_all();
  EXPECT_TRUE(aesm::read_quote_size_reply(std::get<Bytes>(ask(size)))) << "the queue is empty again";
}

TEST_F(RequestSchedulerTest, with_fair_turns_a_newcomer_does_not_wait_for_all_of_a_long_lane) {
  start({.threads = 0, .budget = 50ms});
  source_.takes = 80ms;
  ask_quote(1);
  make_all();
  source_.takes = 0ms;
  for (int i = 0; i < 50; ++i) ask_quote(7);
  Bytes size = fake::aesm_body("quote_ex-size.req");
  EXPECT_TRUE(aesm::read_quote_size_reply(std::get<Bytes>(ask(size, 8))));
  EXPECT_EQ(hex(ask(size, 7)), "82010408121000") << "its own fifty are before it";
}

TEST_F(RequestSchedulerTest, init_and_size_wait_behind_quotes_while_the_source_is_not_ready) {
  source_.is_ready = false;
  EXPECT_EQ(hex(ask(fake::aesm_body("quote_ex-init2.req"))), "no reply now");
  net::Ticket init = last_ticket_;
  EXPECT_EQ(hex(ask(fake::aesm_body("quote_ex-size.req"))), "no reply now");
  net::Ticket size = last_ticket_, quote = ask_quote(9);
  EXPECT_NE(hex(ask(fake::aesm_body("quote_ex-init1.req"))), "no reply now");
  EXPECT_NE(hex(ask(fake::aesm_body("quote_ex-num.req"))), "no reply now");
  EXPECT_EQ(source_.calls, 0) << "asked on the server's thread";
  make_all();
  EXPECT_EQ(order_, (std::vector<net::Ticket>{quote, init, size}));
  EXPECT_TRUE(aesm::read_init_reply(replies_[init]));
  EXPECT_EQ(aesm::read_quote_size_reply(replies_[size]).value(), 4600u);
}

TEST_F(RequestSchedulerTest, quotes_that_are_only_computed_are_made_at_once_while_nobody_waits) {
  source_.computes = true;
  EXPECT_EQ(std::get<Bytes>(ask(quote_request())).size(), 4609u);
  EXPECT_TRUE(has_metric("enclayer_quotes_total 1"));
  source_.computes = false;
  net::Ticket waits = ask_quote(7);
  source_.computes = true;
  net::Ticket behind = ask_quote(8);
  make_all();
  EXPECT_EQ(order_, (std::vector<net::Ticket>{waits, behind}));
  EXPECT_TRUE(std::holds_alternative<Bytes>(ask(quote_request())));
}

TEST_F(RequestSchedulerTest, server_thread_makes_no_more_quotes_a_round_than_it_has_time_for) {
  source_.computes = true;
  source_.takes = 1ms;
  EXPECT_TRUE(std::holds_alternative<Bytes>(ask(quote_request()))) << "nothing is known of the source yet";
  EXPECT_EQ(hex(ask(quote_request())), "no reply now") << "this round's time is used up";
  make_all();
  scheduler_->begin();
  EXPECT_EQ(hex(ask(quote_request())), "no reply now") << "they take too long for this thread";
  make_all();
  source_.takes = 0ms;
  int waited = 0;  // the latest ones took no time, so the average falls
  while (!std::holds_alternative<Bytes>(ask(quote_request()))) {
    make_all();
    scheduler_->begin();
    ASSERT_LT(++waited, 10'000);
  }
}

TEST_F(RequestSchedulerTest, every_quote_and_refusal_is_counted_for_its_slot_and_nothing_else_is) {
  identities_.set(5, {"p3", {7, "bank", "ledger-0", "app", 64}});
  ask_quote(in_slot(5)), ask_quote(1);
  ask(fake::aesm_body("quote_ex-init2.req"), in_slot(5));
  make_all();
  ask(Bytes{0x8a, 0x01, 0x00}, in_slot(5));
  scheduler_->audit().publish();
  auto counted = [](const std::string& who, const std::string& result) {
    return "enclayer_pod_quotes_total{" + who + ",result=\"" + result + "\"";
  };
  std::string page = metrics_.text(), ours = "container=\"app\",namespace=\"bank\",pod=\"ledger-0\"";
  EXPECT_NE(page.find(counted(ours, "made") + ",slot=\"p3\"} 1\n"), std::string::npos) << page;
  EXPECT_NE(page.find(counted(ours, "refused") + ",slot=\"p3\"} 1\n"), std::string::npos) << page;
  EXPECT_NE(page.find("slot=\"legacy\"} 1\n"), std::string::npos) << page;
}

TEST_F(RequestSchedulerTest, who_has_had_its_quotes_is_told_busy_and_others_are_not) {
  start({.threads = 0, .quotes_per_minute = 2});
  Bytes init = fake::aesm_body("quote_ex-init2.req");
  for (const net::Client& whose : {in_slot(5), client(5)}) {
    ask_quote(whose), ask_quote(whose);
    EXPECT_EQ(hex(ask(quote_request(), whose)), kBusyQuote);
    EXPECT_EQ(hex(ask(init, whose)), "7a0408121820") << "where clients repeat it";
  }
  EXPECT_TRUE(aesm::read_init_reply(std::get<Bytes>(ask(init, in_slot(6)))));
  ask_quote(in_slot(6)), ask_quote(client(6));
}

TEST_F(RequestSchedulerTest,
       who_only_computes_has_no_threads_and_each_round_makes_quotes_for_a_while_but_one_at_least) {
  source_.computes = true;
  source_.takes = 1ms;  // more than a round may take
  start({.threads = 2});
  EXPECT_TRUE(std::holds_alternative<Bytes>(ask(quote_request(), 7))) << "nobody waits";
  std::vector<net::Ticket> later;
  for (pid_t pid : {7, 7, 8}) {
    EXPECT_TRUE(std::holds_alternative<net::Later>(ask(quote_request(), pid)));
    later.push_back(last_ticket_);
  }
  std::vector<net::Ticket> in_turn{later[0], later[2], later[1]};
  for (std::size_t made = 1; made <= 3; ++made) {
    scheduler_->begin();
    EXPECT_EQ(order_, std::vector(in_turn.begin(), in_turn.begin() + static_cast<std::ptrdiff_t>(made)));
  }
}

TEST_F(RequestSchedulerTest, threads_make_quotes_and_end_with_the_responder) {
  start({.threads = 2});
  for (pid_t pid = 1; pid <= 50; ++pid) ask_quote(pid);
  {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(arrived_.wait_for(lock, 20s, [this] { return replies_.size() == 50; }));
  }
  scheduler_.reset();
  EXPECT_EQ(order_.size(), 50u);
}

}  // namespace
}  // namespace enclayer::helper
