// SPDX-License-Identifier: Apache-2.0
// What anybody who can open the AESM socket may do to it, one misuse after the other, with the real
// enclayer-quote-helper: each is done by many clients at once and held, and while it is held honest clients are served
// in time and the helper's memory stays where it was. All of it freezes, swells or stops Intel's aesmd.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/un.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <random>

#include "aesm/att_key_id.h"
#include "base/bytes.h"
#include "base/hex.h"
#include "fake/aesm_frames.h"
#include "fake/framed.h"
#include "fake/memory.h"
#include "fake/quote_helper.h"
#include "fake/raw_client.h"
#include "proto/aesm.pb.h"

namespace enclayer {
namespace {

using namespace std::chrono_literals;
using ::aesm::message::Request;
using fake::aesm_body;
using fake::framed;
using fake::QuoteHelper;
using fake::RawClient;

// What the helper may grow by, in MiB. Nearly all misuse costs it next to nothing. Unfinished frames and replies are
// kept up to 8 MiB in all (net::FrameLimits), and what the heap loses between them comes on top.
constexpr double kGrowth = 4, kGrowthWithFullBuffers = 16;

// An honest client makes four connections and gets a quote in this time. Alone it needs 1 to 5 ms; a client that waits
// behind a misuse needs the 5 s of its deadline.
constexpr auto kHonestTime = 2500ms;

Bytes hex(std::string_view digits) { return base::from_hex(digits).value(); }

Bytes serialized(const Request& request) {
  std::string bytes = request.SerializePartialAsString();
  return Bytes(bytes.begin(), bytes.end());
}

Request recorded(const char* name) {
  Request request;
  EXPECT_TRUE(request.ParseFromString(std::string(base::as_text(aesm_body(name)))));
  return request;
}

// Watches a helper while it is misused.
class Watch {
 public:
  explicit Watch(const QuoteHelper& helper, pid_t pid) : helper_(helper), pid_(pid) {
    serve_honest_client();  // what is made when first needed is not growth
    before_ = fake::memory_mib(pid_, "VmRSS");
    took_.clear();
  }

  void serve_honest_client() {
    auto begin = std::chrono::steady_clock::now();
    auto num = helper_.ask(aesm_body("quote_ex-num.req"));
    EXPECT_EQ(num.value_or(Bytes{}), aesm_body("quote_ex-num.standin-res"));
    auto quote = helper_.attest();
    EXPECT_TRUE(quote) << quote.error().message();
    took_.push_back(std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begin));
  }

  // The peak counts: memory that was taken and given back would have been noticed by the node's other pods too.
  void expect_no_harm(double most_growth = kGrowth) {
    // The worst time is left out, so that a machine that stalls once fails nothing.
    ASSERT_GE(took_.size(), 5u);
    std::sort(took_.begin(), took_.end());
    EXPECT_LT(took_[took_.size() - 2], kHonestTime) << "from " << took_.front().count() << " ms";
    if (!fake::kSanitized) {
      EXPECT_GT(before_, 0);
      EXPECT_LT(fake::memory_mib(pid_, "VmRSS") - before_, most_growth) << "held, from " << before_;
      EXPECT_LT(fake::memory_mib(pid_, "VmHWM") - before_, most_growth) << "peak, from " << before_;
    }
  }

 private:
  const QuoteHelper& helper_;
  pid_t pid_;
  double before_ = 0;  // MiB
  std::vector<std::chrono::milliseconds> took_;
};

// ---- The misuses that many clients do alike ----

struct Misuse {
  std::string name;
  int clients = 0;
  // What each of them does; it then keeps its connection.
  std::function<void(RawClient&, const QuoteHelper&, int number)> act;
  // What has to come of it: nothing that is looked at, the connection closed, or this reply.
  enum class End { kOpen, kClosed, kAnswered } end = End::kOpen;
  std::string reply_hex{};   // without length; empty: a reply of at most 20,000 bytes
  std::string log_reason{};  // of "frame rejected"
  double most_growth = kGrowth;
};

void PrintTo(const Misuse& misuse, std::ostream* out) { *out << misuse.name; }

Misuse held(std::string name, int clients, Bytes bytes) {
  return {std::move(name), clients,
          [bytes](RawClient& client, const QuoteHelper&, int) { client.send_what_fits(bytes); }};
}
Misuse closed(std::string name, Bytes bytes, std::string log_reason) {
  return {
      std::move(name),      100, [bytes](RawClient& client, const QuoteHelper&, int) { client.send_what_fits(bytes); },
      Misuse::End::kClosed, {},  std::move(log_reason)};
}
Misuse refused(std::string name, ByteView body) { return closed(std::move(name), framed(body), "not a request"); }
Misuse answered(std::string name, Bytes body, std::string reply_hex = {}) {
  return {std::move(name), 100,
          [body](RawClient& client, const QuoteHelper&, int) { EXPECT_TRUE(client.send_frame(body)); },
          Misuse::End::kAnswered, std::move(reply_hex)};
}

Bytes repeated(std::string_view digits, int times) {
  Bytes one = hex(digits), all;
  for (int i = 0; i < times; ++i) base::append(all, one);
  return all;
}

Bytes changed(const char* name, const std::function<void(Request&)>& change) {
  Request request = recorded(name);
  change(request);
  return serialized(request);
}

// A request for a quote that is right but for what `change` does to it.
Misuse quote_with(std::string name, const std::function<void(Request&)>& change) {
  return {std::move(name), 20,
          [change](RawClient& client, const QuoteHelper& helper, int) {
            Request request = recorded("quote_ex-quote.req");
            auto report = helper.report();
            ASSERT_TRUE(report);
            request.mutable_get_quote_ex()->set_report(std::string(base::as_text(report->raw)));
            change(request);
            EXPECT_TRUE(client.send_frame(serialized(request)));
          },
          Misuse::End::kAnswered};
}

std::vector<Misuse> misuses() {
  Bytes limit_but_a_byte(4 + (64 << 10) - 1, 0xaa);
  base::store_le32(limit_but_a_byte.data(), 64 << 10);
  Bytes too_long_and_sent(4 + (64 << 10) + 1, 0xaa);
  base::store_le32(too_long_and_sent.data(), (64 << 10) + 1);
  Bytes endless(4 << 20, 0xff);
  Bytes half = fake::aesm_frame("quote_ex-quote-qeinfo.req");
  half.resize(half.size() / 2);
  const std::string num = "aa010408001001", eight_ff = "ffffffffffffffffff01";
  std::string key_id(base::as_text(aesm::ecdsa_att_key_id()));

  std::vector<Misuse> all = {
      // Stalls.
      held("one_byte", 300, {0x06}),
      held("three_bytes_of_a_length", 100, {0x06, 0, 0}),
      held("length_and_no_body", 100, {0x06, 0, 0, 0}),
      held("half_a_request", 100, half),
      held("nothing_at_all", 1500, {}),
      // Lengths.
      closed("length_7fffffff", {0xff, 0xff, 0xff, 0x7f}, "longer than the limit"),
      closed("length_ffffffff", {0xff, 0xff, 0xff, 0xff}, "longer than the limit"),
      closed("length_ffffffff_and_4_MiB_of_it", endless, "longer than the limit"),
      closed("one_byte_longer_than_the_limit", too_long_and_sent, "longer than the limit"),
      held("limit_announced_and_nothing_sent", 300, {0, 0, 1, 0}),
      refused("empty_frame", {}),
      // Sizes in requests that somebody might allocate.
      quote_with("quote_into_1_GiB", [](Request& r) { r.mutable_get_quote_ex()->set_buf_size(1U << 30); }),
      quote_with("quote_into_4_GiB", [](Request& r) { r.mutable_get_quote_ex()->set_buf_size(0xffffffffU); }),
      answered("ids_into_4_GiB",
               changed("quote_ex-ids.req",
                       [](Request& r) { r.mutable_get_supported_att_key_ids()->set_buf_size(0xffffffffU); }),
               "b201020803"),
      answered("init_into_2_to_the_64",
               changed("quote_ex-init2.req", [](Request& r) { r.mutable_init_quote_ex()->set_buf_size(~0ULL); }),
               "7a0d080318" + eight_ff),
      answered("white_list_of_4_GiB", hex("5a0608ffffffff0f"), "5a02081e"),
      answered("epid_quote_into_4_GiB", hex("120630ffffffff0f"), "1202081e"),
      answered("update_info_of_4_GiB",
               hex("9201"
                   "06"
                   "10ffffffff0f"),
               "920104081e1800"),
      // What is no request.
      refused("unknown_field", hex("980605")),
      refused("field_20", hex("a20100")),
      refused("inner_length_past_the_end", hex("aa017f48")),
      refused("inner_length_of_4_GiB", hex("7affffffff0f0a")),
      refused("inner_length_negative", hex("7affffffffffffffffff0100")),
      refused("key_id_longer_than_its_message", hex("8201030affff")),
      refused("number_without_end", Bytes(1000, 0x80)),
      refused("groups_in_groups", Bytes(64 << 10, 0x0b)),
      refused("http", Bytes{'G', 'E', 'T', ' ', '/', '\r', '\n'}),
      // Too much of it, or rubbish where nobody looks.
      answered("request_that_is_there_20000_times", repeated("aa0100", 20'000), num),
      answered(
          "unknown_fields_60_kB",
          [] {
            Bytes body = hex("aa0100");
            base::append(body, repeated("980605", 20'000));
            return body;
          }(),
          num),
      answered("timeout_is_rubbish",
               hex("aa010648"
                   "ffffffff0f"),
               num),
      answered("init_buf_size_is_rubbish", aesm_body("dcap_ql-init1-b.req")),
      answered("key_id_of_300_bytes", changed("quote_ex-size.req",
                                              [&](Request& r) {
                                                r.mutable_get_quote_size_ex()->set_att_key_id(key_id +
                                                                                              std::string(44, '\xff'));
                                              })),
      answered("key_id_of_60000_bytes", changed("quote_ex-size.req",
                                                [&](Request& r) {
                                                  r.mutable_get_quote_size_ex()->set_att_key_id(
                                                      key_id + std::string(60'000 - 256, '\xff'));
                                                })),
      answered("key_id_of_another_60000_bytes",
               changed("quote_ex-size.req",
                       [](Request& r) { r.mutable_get_quote_size_ex()->set_att_key_id(std::string(60'000, '\xff')); }),
               "82010408261000"),
      answered("key_id_list_of_65535",
               changed("quote_ex-select-list.req",
                       [](Request& r) {
                         auto* list = r.mutable_select_att_key_id()->mutable_att_key_id_list();
                         list->replace(4, 4, "\xff\xff\xff\xff");
                       }),
               "9a01020803"),
      answered("report_of_60000_bytes",
               changed("quote_ex-quote.req",
                       [](Request& r) { r.mutable_get_quote_ex()->set_report(std::string(60'000, 'r')); }),
               "8a01020803"),
      answered("qe_report_info_of_60000_bytes",
               changed("quote_ex-quote.req",
                       [](Request& r) { r.mutable_get_quote_ex()->set_qe_report_info(std::string(60'000, 'i')); }),
               "8a01020803"),
  };

  // 38 MiB of unfinished frames, more than is kept of all.
  Misuse& full = all.emplace_back(held("limit_but_a_byte_sent", 600, limit_but_a_byte));
  full.most_growth = kGrowthWithFullBuffers;

  // Asks and asks, and never takes an answer: the replies of nobody pile up.
  Bytes many_nums, many_quotes;
  for (int i = 0; i < 1000; ++i) {
    base::append(many_nums, fake::aesm_frame("quote_ex-num.req"));
    base::append(many_nums, fake::aesm_frame("quote_ex-ids.req"));
  }
  for (int i = 0; i < 300; ++i) base::append(many_quotes, fake::aesm_frame("dcap_ql-quote.req"));
  all.push_back(held("ids_pipelined_and_never_read", 100, many_nums));
  all.push_back(held("refused_quotes_pipelined_and_never_read", 50, many_quotes));
  all.push_back({"quotes_pipelined_and_never_read", 30, [](RawClient& client, const QuoteHelper& helper, int) {
                   auto report = helper.report();
                   ASSERT_TRUE(report);
                   Bytes one = framed(aesm::quote_request(*report, 8192, std::nullopt)), requests;
                   for (int i = 0; i < 100; ++i) base::append(requests, one);
                   client.send_what_fits(requests);
                 }});

  // Half-close.
  all.push_back({"half_close_at_once", 100,
                 [](RawClient& client, const QuoteHelper&, int) { client.shut_down_sending(); }, Misuse::End::kClosed});
  all.push_back({"half_close_within_a_request",
                 100,
                 [half](RawClient& client, const QuoteHelper&, int) {
                   client.send_what_fits(half);
                   client.shut_down_sending();
                 },
                 Misuse::End::kClosed,
                 {},
                 "cut off"});
  all.push_back({"half_close_after_a_request", 100,
                 [](RawClient& client, const QuoteHelper&, int) {
                   EXPECT_TRUE(client.send(fake::aesm_frame("quote_ex-num.req")));
                   client.shut_down_sending();
                 },
                 Misuse::End::kAnswered, num});

  // Frames of random bytes, and recorded requests with random bytes changed: closed or answered, never worse. The seed
  // is the client's number.
  all.push_back({"random_bytes", 300, [](RawClient& client, const QuoteHelper&, int number) {
                   std::mt19937 random(static_cast<unsigned>(number));
                   Bytes body(random() % 3000);
                   for (auto& byte : body) byte = static_cast<std::uint8_t>(random());
                   client.send_frame(body);
                 }});
  all.push_back({"damaged_requests", 600, [](RawClient& client, const QuoteHelper&, int number) {
                   std::mt19937 random(static_cast<unsigned>(number));
                   auto names = fake::aesm_requests();
                   Bytes frame = fake::aesm_frame(names[static_cast<std::size_t>(number) % names.size()]);
                   for (int i = 0; i < 3; ++i) frame[random() % frame.size()] = static_cast<std::uint8_t>(random());
                   client.send_what_fits(frame);
                 }});
  return all;
}

class AesmMisuseTest : public testing::TestWithParam<Misuse> {};

TEST_P(AesmMisuseTest, costs_neither_memory_nor_honest_clients) {
  const Misuse& misuse = GetParam();
  ASSERT_TRUE(fake::allow_descriptors(4000)) << "this test needs more open files";
  QuoteHelper helper;
  ASSERT_TRUE(helper.serving()) << helper.log();
  Watch watch(helper, helper.process().pid());
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < misuse.clients; ++i) {
    clients.push_back(std::make_unique<RawClient>(helper.socket()));
    ASSERT_TRUE(clients.back()->connected()) << i;
    misuse.act(*clients.back(), helper, i);
    if (i % (misuse.clients / 5) == 0) watch.serve_honest_client();
  }
  for (int i = 0; i < 5; ++i) watch.serve_honest_client();
  watch.expect_no_harm(misuse.most_growth);

  for (auto& client : clients) {
    if (misuse.end == Misuse::End::kClosed) {
      EXPECT_TRUE(client->closed_by_server());
    } else if (misuse.end == Misuse::End::kAnswered) {
      auto reply = client->receive_frame();
      ASSERT_TRUE(reply) << "closed without a reply";
      EXPECT_LT(reply->size(), 20'000u);
      if (!misuse.reply_hex.empty()) {
        EXPECT_EQ(base::to_hex(*reply), misuse.reply_hex);
      }
    }
  }
  if (!misuse.log_reason.empty()) {
    EXPECT_TRUE(
        helper.process().wait_for_output("frame rejected reason=\"" + misuse.log_reason + "\"", QuoteHelper::kPatience))
        << helper.log();
  }
  clients.clear();
  watch.serve_honest_client();
  watch.expect_no_harm(misuse.most_growth);
  helper.process().signal(SIGTERM);
  EXPECT_EQ(helper.process().wait(QuoteHelper::kPatience), 0) << "the misuse has left something behind";
}

INSTANTIATE_TEST_SUITE_P(Each, AesmMisuseTest, testing::ValuesIn(misuses()),
                         [](const testing::TestParamInfo<Misuse>& one) { return one.param.name; });

// ---- Those that are not a matter of what is sent ----

// Clients that do not wait when they connect (Fortanix's) get EAGAIN from a full queue; Intel's has 32 places. The
// helper is stopped meanwhile, so that no place becomes free.
TEST(AesmCrowd, five_hundred_connect_at_the_same_moment_without_waiting_and_all_are_served) {
  ASSERT_TRUE(fake::allow_descriptors(4000)) << "this test needs more open files";
  QuoteHelper helper;
  ASSERT_TRUE(helper.serving()) << helper.log();
  Watch watch(helper, helper.process().pid());
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::string path = helper.socket();
  ASSERT_LT(path.size(), sizeof address.sun_path);
  std::copy(path.begin(), path.end(), address.sun_path);

  helper.process().signal(SIGSTOP);
  Bytes request = fake::aesm_frame("quote_ex-num.req"), expected = fake::aesm_frame("quote_ex-num.standin-res");
  std::vector<base::UniqueFd> clients;
  for (int i = 0; i < 500; ++i) {
    clients.emplace_back(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    ASSERT_EQ(::connect(clients.back().get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0)
        << "client " << i << ": " << std::strerror(errno);
    ASSERT_EQ(::send(clients.back().get(), request.data(), request.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(request.size()));
  }
  helper.process().signal(SIGCONT);
  for (int i = 0; i < 5; ++i) watch.serve_honest_client();
  for (auto& client : clients) {
    pollfd readable{client.get(), POLLIN, 0};
    ASSERT_EQ(::poll(&readable, 1, 20'000), 1);
    Bytes got(64);
    ssize_t size = ::recv(client.get(), got.data(), got.size(), 0);
    got.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
    EXPECT_EQ(base::to_hex(got), base::to_hex(expected));
  }
  watch.expect_no_harm();
}

TEST(AesmCrowd, clients_that_come_and_go_at_once_leave_nothing_behind) {
  QuoteHelper helper;
  ASSERT_TRUE(helper.serving()) << helper.log();
  Watch watch(helper, helper.process().pid());
  for (int i = 0; i < 3000; ++i) {
    RawClient client(helper.socket());
    ASSERT_TRUE(client.connected());
    if (i % 3 == 1) client.send({0x06});
    if (i % 3 == 2) client.send(fake::aesm_frame("dcap_ql-quote.req"));
    if (i % 300 == 0) watch.serve_honest_client();
  }
  watch.expect_no_harm();
}

// A byte now and then keeps nobody's place: the deadline is that of the whole request.
TEST(AesmCrowd, clients_that_send_a_byte_now_and_then_are_closed_when_their_request_takes_too_long) {
  QuoteHelper helper;
  ASSERT_TRUE(helper.serving()) << helper.log();
  Watch watch(helper, helper.process().pid());
  Bytes request = fake::aesm_frame("quote_ex-quote-qeinfo.req");
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 100; ++i) clients.push_back(std::make_unique<RawClient>(helper.socket()));
  std::size_t sent = 0;
  auto begin = std::chrono::steady_clock::now();
  // The time between two bytes is spent waiting for the first client to be closed.
  while (sent < 500 && !clients.front()->readable(50ms)) {
    for (auto& client : clients) client->send(ByteView(request).subspan(sent, 1));
    if (++sent % 10 == 0) watch.serve_honest_client();
  }
  EXPECT_LT(sent, 500u) << "a request may take for ever";
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 4s) << "closed while there was time";
  for (auto& client : clients) EXPECT_TRUE(client->closed_by_server());
  EXPECT_TRUE(helper.process().wait_for_output("not complete in time", QuoteHelper::kPatience));
  watch.expect_no_harm();
}

TEST(AesmCrowd, request_that_comes_byte_by_byte_is_served_as_any_other) {
  QuoteHelper helper;
  ASSERT_TRUE(helper.serving()) << helper.log();
  auto report = helper.report();
  ASSERT_TRUE(report);
  Bytes frame = framed(aesm::quote_request(*report, 8192, std::nullopt));
  RawClient client(helper.socket());
  for (std::uint8_t byte : frame) ASSERT_TRUE(client.send({byte}));
  auto reply = client.receive_frame();
  ASSERT_TRUE(reply);
  EXPECT_TRUE(aesm::read_quote_reply(*reply, false));
}

}  // namespace
}  // namespace enclayer
