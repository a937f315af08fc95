// SPDX-License-Identifier: Apache-2.0
// Whole conversations of the clients that pods have, byte for byte, with the real enclayer-quote-helper.
//
// What is sent are recorded frames (test/data/aesm), in the order and on the connections that the client uses; in the
// place of their filler stands what only the running enclave knows: its report, its nonce, the size it was told. What
// comes back is compared byte for byte too, except for keys and signatures, which are checked for what they have to be.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <set>
#include <thread>

#include "aesm/att_key_id.h"
#include "attestation/p256.h"
#include "base/digest.h"
#include "base/hex.h"
#include "enclayer/collateral.h"
#include "enclayer/policy.h"
#include "enclayer/quote.h"
#include "enclayer/verify.h"
#include "fake/aesm_frames.h"
#include "fake/framed.h"
#include "fake/quote_helper.h"
#include "fake/raw_client.h"
#include "sim/platform.h"

namespace enclayer {
namespace {

using fake::aesm_frame;
using fake::framed;
using fake::RawClient;

// ---- Frames, written as docs/formats/aesm.md and hex dumps have them ----

void append_part(Bytes& out, const char* hex_with_blanks) {
  std::string digits = hex_with_blanks;
  std::erase(digits, ' ');
  base::append(out, base::from_hex(digits).value());
}
void append_part(Bytes& out, ByteView bytes) { base::append(out, bytes); }

// wire("0d010000 7a", key_id, "1801")
template <class... Parts>
Bytes wire(const Parts&... parts) {
  Bytes out;
  (append_part(out, parts), ...);
  return out;
}

// protobuf's varint
Bytes varint(std::uint64_t value) {
  Bytes out;
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<std::uint8_t>(value | 0x80));
  out.push_back(static_cast<std::uint8_t>(value));
  return out;
}

Bytes counted(ByteView bytes) { return wire(varint(bytes.size()), bytes); }

Bytes part_of(ByteView bytes, std::size_t offset, std::size_t size) {
  EXPECT_LE(offset + size, bytes.size());
  if (offset + size > bytes.size()) return Bytes(size);
  return {bytes.begin() + static_cast<std::ptrdiff_t>(offset),
          bytes.begin() + static_cast<std::ptrdiff_t>(offset + size)};
}

// Puts `bytes` in the place of what a recorded frame has there, which is checked to be what is expected there.
void put(Bytes& frame, std::size_t offset, ByteView expected, ByteView bytes) {
  ASSERT_EQ(base::to_hex(part_of(frame, offset, expected.size())), base::to_hex(expected));
  ASSERT_EQ(expected.size(), bytes.size());
  std::copy(bytes.begin(), bytes.end(), frame.begin() + static_cast<std::ptrdiff_t>(offset));
}

#define EXPECT_SAME_BYTES(left, right) EXPECT_EQ(base::to_hex(left), base::to_hex(right))

constexpr std::size_t kReportSize = sgx::Report::kSize, kInfoSize = sgx::QeReportInfo::kSize;

// Where a recorded request for a quote has what the enclave puts there: length 4, tag and length of the field 4, then
// tag and length of the report 3. The key id follows with its own 3, then the info with its 3.
constexpr std::size_t kReportAt = 11, kInfoAt = kReportAt + kReportSize + 3 + 256 + 3;

class Client {
 public:
  explicit Client(const std::filesystem::path& socket) : socket_(socket) {}

  // As all clients but one do: connect, send, receive, close. The reply comes in one piece, and nothing after it.
  Bytes ask(ByteView frame) {
    RawClient connection(socket_);
    Bytes reply = ask_on(connection, frame);
    connection.shut_down_sending();
    EXPECT_TRUE(connection.closed_by_server()) << "something came after the reply";
    return reply;
  }

  static Bytes ask_on(RawClient& connection, ByteView frame) {
    EXPECT_TRUE(connection.send(frame));
    Bytes reply = connection.receive_some();
    EXPECT_GE(reply.size(), 4u) << "no reply to " << base::to_hex(frame);
    if (reply.size() >= 4) {
      EXPECT_EQ(base::load_le32(reply.data()), reply.size() - 4) << "the reply is not one send";
    }
    return reply;
  }

 private:
  std::filesystem::path socket_;
};

class AesmSequencesTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(helper_.serving()) << helper_.log();
    auto json = base::read_text(sim::public_collateral_path(helper_.state_dir()), 1 << 20);
    auto root = base::read_text(sim::public_root_path(helper_.state_dir()), 1 << 20);
    ASSERT_TRUE(json && root);
    collateral_ = parse_collateral_json(*json).value();
    root_ = TrustedRoot::from_pem(*root).value();
  }

  // ---- What is expected of each reply ----

  static void expect_num(ByteView reply) { EXPECT_SAME_BYTES(reply, wire("07000000 aa01 04 0800 1001")); }

  // The ids, or the one that was selected.
  static Bytes expect_key_id(ByteView reply, const char* tag) {
    EXPECT_SAME_BYTES(reply, wire("09010000", tag, "8502 0800 128002", aesm::ecdsa_att_key_id()));
    return part_of(reply, 13, 256);
  }

  // Only the size is told; the target info is zeros, as aesmd's.
  static void expect_init1(ByteView reply) {
    EXPECT_SAME_BYTES(reply, wire("0a020000 7a 8704 0800 128004", Bytes(512), "1820"));
  }

  static quoting::QuoteTarget expect_init2(ByteView reply) {
    Bytes target = part_of(reply, 12, 512), key_id = part_of(reply, 528, 32);
    EXPECT_SAME_BYTES(reply, wire("2c020000 7a a904 0800 128004", target, "1820 2220", key_id));
    EXPECT_NE(target, Bytes(512));
    return {sgx::TargetInfo::from_bytes(std::span(target).first<512>()), base::array_at<32>(key_id, 0)};
  }

  static std::uint32_t expect_size(ByteView reply) {
    Bytes size = part_of(reply, 10, 2);
    EXPECT_SAME_BYTES(reply, wire("08000000 8201 05 0800 10", size));
    return static_cast<std::uint32_t>((size[0] & 0x7f) | size[1] << 7);
  }

  // A quote of `report` in its exact length, that verifies, made by the Quoting Enclave that init told of. `info`: what
  // was sent as qe_report_info, which comes back whole and filled in.
  void expect_quote(ByteView reply, const sgx::Report& report, const quoting::QuoteTarget& target,
                    std::optional<std::uint32_t> told_size, ByteView info = {}) {
    // length 4, tag and length of the field 4, code 2, tag and length of the quote 3
    std::size_t size = reply.size() - 13 - (info.empty() ? 0 : 3 + kInfoSize);
    ASSERT_GT(reply.size(), 1052u);
    Bytes quote = part_of(reply, 13, size), answered_info;
    Bytes fields = wire("0800 12", counted(quote));
    if (!info.empty()) {
      answered_info = part_of(reply, reply.size() - kInfoSize, kInfoSize);
      fields = wire(fields, "1a c007", answered_info);
    }
    EXPECT_SAME_BYTES(reply, framed(wire("8a01", counted(fields))));

    auto parsed = parse_quote(quote);
    ASSERT_TRUE(parsed) << parsed.error().message();
    EXPECT_EQ(parsed->size, quote.size()) << "padded";
    if (told_size) {
      EXPECT_EQ(*told_size, quote.size());
    }
    EXPECT_EQ(parsed->header.version, 3);
    EXPECT_SAME_BYTES(ByteView(quote).subspan(48, 384), report.body_bytes());
    EXPECT_EQ(base::load_le32(quote.data() + 432) + 436, quote.size());
    EXPECT_EQ(parsed->certification.type, CertificationData::kPckChain);

    ReportBody qe = parsed->qe_report();
    EXPECT_EQ(qe.mr_enclave, target.qe.mr_enclave);
    EXPECT_EQ(qe.attributes, target.qe.attributes);
    EXPECT_EQ(qe.misc_select, target.qe.misc_select);
    EXPECT_EQ(target.pub_key_id, base::sha256(parsed->attestation_key, parsed->qe_auth_data));
    EXPECT_SAME_BYTES(ByteView(qe.report_data).first<32>(), target.pub_key_id);

    Time now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
    auto verification = verify(quote, collateral_, root_.value(), now);
    EXPECT_TRUE(judge(verification, Policy{.allow_simulated = true}).trusted) << verification.detail;

    if (info.empty()) return;
    EXPECT_SAME_BYTES(ByteView(answered_info).first<528>(), ByteView(info).first<528>());
    sgx::Report qe_report{base::array_at<kReportSize>(answered_info, 528)};
    auto checked = sim::check_qe_report({quote, qe_report}, base::array_at<16>(info, 0), target.qe);
    EXPECT_TRUE(checked) << checked.error().message();
  }

  // ---- What a client puts into its requests ----

  static sgx::Report report_for(const quoting::QuoteTarget& target, std::uint8_t data = 1) {
    ByteArray<64> report_data{};
    report_data.fill(data);
    return sim::ereport(sim::enclave_body(report_data), target.qe);
  }

  // The recorded request with this report and, behind it, this size for the buffer: two bytes in front of `tail`.
  static Bytes quote_request(const std::string& name, const sgx::Report& report, std::uint32_t size,
                             const char* recorded_size, const char* tail) {
    Bytes frame = aesm_frame(name);
    put(frame, kReportAt, Bytes(kReportSize, 0x11), report.raw);
    Bytes end = wire(recorded_size, tail);
    put(frame, frame.size() - end.size(), end, wire(varint(size), tail));
    return frame;
  }

  // What the client put there when it was recorded stays, but for the nonce and who is to read the QE's report.
  static Bytes put_info(Bytes& frame, std::uint8_t nonce) {
    Bytes info = part_of(frame, kInfoAt, kInfoSize);
    std::fill_n(info.begin(), 16, nonce);
    auto target = sim::enclave_target().to_bytes();
    std::copy(target.begin(), target.end(), info.begin() + sgx::QeReportInfo::kTargetInfoOffset);
    std::copy(info.begin(), info.end(), frame.begin() + kInfoAt);
    return info;
  }

  // ---- The sequences ----

  // Intel's libsgx_dcap_ql with SGX_AESM_ADDR set: DCAP's samples, Occlum, most applications. Four connections.
  // `run` is one of the three recordings, which differ in what stood on the client's stack.
  void dcap_ql(const std::string& run) {
    expect_init1(client_.ask(aesm_frame("dcap_ql-init1-" + run + ".req")));
    auto target = expect_init2(client_.ask(aesm_frame("dcap_ql-init2.req")));
    std::uint32_t size = expect_size(client_.ask(aesm_frame("dcap_ql-size.req")));
    auto report = report_for(target);
    expect_quote(client_.ask(quote_request("dcap_ql-quote.req", report, size, "f823", "489875")), report, target, size);
  }

  // libsgx_quote_ex used directly: remote attestation with Intel's SDK. Select first, QE report at the end.
  void sdk(const std::string& select) {
    expect_key_id(client_.ask(aesm_frame(select)), "9a01");
    expect_init1(client_.ask(aesm_frame("quote_ex-init1.req")));
    auto target = expect_init2(client_.ask(aesm_frame("quote_ex-init2.req")));
    std::uint32_t size = expect_size(client_.ask(aesm_frame("quote_ex-size.req")));
    auto report = report_for(target);
    Bytes request = quote_request("quote_ex-quote-qeinfo.req", report, size, "f823", "489875");
    Bytes info = put_info(request, 0x5a);
    expect_quote(client_.ask(request), report, target, size, info);
  }

  // Through libsgx_quote_ex too, with another order: the ids once a process, then any number of quotes with the id that
  // it was given.
  void open_enclave(int quotes) {
    expect_num(client_.ask(aesm_frame("quote_ex-num.req")));
    Bytes key_id = expect_key_id(client_.ask(aesm_frame("quote_ex-ids.req")), "b201");
    for (int i = 0; i < quotes; ++i) {
      Bytes init1 = aesm_frame("quote_ex-init1.req"), init2 = aesm_frame("quote_ex-init2.req"),
            ask_size = aesm_frame("quote_ex-size.req");
      put(init1, 10, aesm::ecdsa_att_key_id(), key_id);
      put(init2, 10, aesm::ecdsa_att_key_id(), key_id);
      put(ask_size, 11, aesm::ecdsa_att_key_id(), key_id);
      expect_init1(client_.ask(init1));
      auto target = expect_init2(client_.ask(init2));
      std::uint32_t size = expect_size(client_.ask(ask_size));
      auto report = report_for(target, static_cast<std::uint8_t>(i));
      expect_quote(client_.ask(quote_request("quote_ex-quote.req", report, size, "f823", "489875")), report, target,
                   size);
    }
  }

  // One init when the enclave starts, then quotes only; no sizes, no timeout, a buffer of 8192 bytes.
  quoting::QuoteTarget gramine_start() { return expect_init2(client_.ask(aesm_frame("gramine-init2.req"))); }
  void gramine_quote(const quoting::QuoteTarget& target, std::uint8_t data) {
    auto report = report_for(target, data);
    Bytes reply = client_.ask(quote_request("gramine-quote.req", report, 8192, "8040", ""));
    EXPECT_LE(reply.size() - 13, 8192u);
    expect_quote(reply, report, target, std::nullopt);
  }

  // Fortanix's crate, outside of an enclave: six connections. The second init has no timeout.
  void fortanix() {
    expect_num(client_.ask(aesm_frame("fortanix-num.req")));
    expect_key_id(client_.ask(aesm_frame("fortanix-ids.req")), "b201");
    expect_init1(client_.ask(aesm_frame("fortanix-init1.req")));
    auto target = expect_init2(client_.ask(aesm_frame("fortanix-init2.req")));
    std::uint32_t size = expect_size(client_.ask(aesm_frame("fortanix-size.req")));
    auto report = report_for(target);
    Bytes request = quote_request("fortanix-quote-qeinfo.req", report, size, "ef21", "48 8087a70e");
    Bytes info = put_info(request, 0x33);
    expect_quote(client_.ask(request), report, target, size, info);
  }

  // The same crate within an enclave has one stream for everything, and no timeouts. Not recorded: made of the recorded
  // frames without their last five bytes, as its source says.
  void fortanix_in_an_enclave() {
    auto without_timeout = [](const std::string& name, const char* head, std::size_t recorded_head) {
      Bytes frame = aesm_frame(name);
      EXPECT_SAME_BYTES(part_of(frame, frame.size() - 5, 5), wire("48 8087a70e"));
      return framed(wire(head, part_of(frame, recorded_head, frame.size() - recorded_head - 5)));
    };
    RawClient stream(helper_.socket());
    auto ask = [&](ByteView frame) { return Client::ask_on(stream, frame); };
    expect_num(ask(wire("03000000 aa01 00")));
    expect_key_id(ask(without_timeout("fortanix-ids.req", "b201 03", 7)), "b201");
    expect_init1(ask(without_timeout("fortanix-init1.req", "7a 8502", 7)));
    auto target = expect_init2(ask(aesm_frame("fortanix-init2.req")));
    std::uint32_t size = expect_size(ask(without_timeout("fortanix-size.req", "8201 8302", 8)));
    auto report = report_for(target);
    Bytes request = quote_request("fortanix-quote-qeinfo.req", report, size, "ef21", "48 8087a70e");
    Bytes info = put_info(request, 0x33);
    request = framed(wire("8a01 fc0c", part_of(request, 8, request.size() - 8 - 5)));
    expect_quote(ask(request), report, target, size, info);
    stream.shut_down_sending();
    EXPECT_TRUE(stream.closed_by_server());
  }

  fake::QuoteHelper helper_;
  Client client_{helper_.socket()};
  Collateral collateral_;
  std::optional<TrustedRoot> root_;
};

TEST_F(AesmSequencesTest, dcap_ql_gets_a_quote_whatever_stood_on_its_stack) {
  for (const char* run : {"a", "b", "c"}) {
    SCOPED_TRACE(run);
    dcap_ql(run);
  }
}

TEST_F(AesmSequencesTest, sdk_gets_a_quote_with_a_key_that_it_chose_from_a_list_or_not) {
  sdk("quote_ex-select-list.req");
  sdk("quote_ex-select-nolist.req");
}

TEST_F(AesmSequencesTest, open_enclave_asks_for_the_ids_once_and_gets_quotes_with_them) { open_enclave(3); }

TEST_F(AesmSequencesTest, gramine_gets_quotes_with_the_target_of_its_start) {
  auto target = gramine_start();
  for (std::uint8_t data : {1, 2, 3}) gramine_quote(target, data);
}

TEST_F(AesmSequencesTest, gramines_target_outlives_a_restart_of_the_helper) {
  auto target = gramine_start();
  helper_.process().signal(SIGTERM);
  ASSERT_EQ(helper_.process().wait(fake::QuoteHelper::kPatience), 0);
  helper_.start();
  ASSERT_TRUE(helper_.serving()) << helper_.log();
  gramine_quote(target, 1);
}

TEST_F(AesmSequencesTest, fortanix_gets_a_quote_on_six_connections) { fortanix(); }

TEST_F(AesmSequencesTest, fortanix_in_an_enclave_gets_a_quote_on_one_connection) { fortanix_in_an_enclave(); }

TEST_F(AesmSequencesTest, all_clients_get_their_quotes_at_the_same_time) {
  std::vector<std::thread> clients;
  auto run = [&](auto sequence) {
    clients.emplace_back([sequence] {
      for (int i = 0; i < 5; ++i) sequence();
    });
  };
  run([this] { dcap_ql("a"); });
  run([this] { sdk("quote_ex-select-list.req"); });
  run([this] { open_enclave(1); });
  run([this] { gramine_quote(gramine_start(), 1); });
  run([this] { fortanix(); });
  run([this] { fortanix_in_an_enclave(); });
  for (std::thread& client : clients) client.join();
}

// What Intel's libsgx_epid, libsgx_launch and libsgx_uae_service and Fortanix's crate still ask, complete with all
// fields: "service unavailable" in the type of the request, with the zeros that aesmd has beside it.
TEST_F(AesmSequencesTest, requests_of_the_epid_era_are_refused_in_their_own_type) {
  const Bytes report(kReportSize, 0x11), spid(16, 0x44), token_mr_enclave(32, 0x55), modulus(384, 0x66),
      attributes(16, 0x77), platform_info(101, 0x88), sig_rl(40'000, 0x99);
  const char* timeout = "48 9875";
  auto request = [](const char* tag, ByteView fields) { return framed(wire(tag, counted(fields))); };
  struct Case {
    const char* name;
    Bytes request;
    const char* reply;
  };
  const Case cases[] = {
      {"init_quote of Intel's", request("0a", wire(timeout)), "04000000 0a02 081e"},
      {"init_quote of Fortanix's", aesm_frame("fortanix-epid-init.req"), "04000000 0a02 081e"},
      {"get_quote of Fortanix's", aesm_frame("fortanix-epid-quote.req"), "04000000 1202 081e"},
      {"get_quote with 40 kB of revoked signatures",
       request("12", wire("0a", counted(report), "1000 1a", counted(spid), "2a", counted(sig_rl), "30", varint(1244),
                          "3801", timeout)),
       "04000000 1202 081e"},
      {"get_launch_token",
       request("1a", wire("0a", counted(token_mr_enclave), "12", counted(modulus), "1a", counted(attributes), timeout)),
       "04000000 1a02 081e"},
      {"report_attestation_error", request("22", wire("0a", counted(platform_info), "1001 182c", timeout)),
       "04000000 2202 081e"},
      {"get_white_list_size", request("52", wire(timeout)), "06000000 5204 081e 1000"},
      {"get_white_list", request("5a", wire("08 8004", timeout)), "04000000 5a02 081e"},
      {"get_extended_epid_group_id", request("62", wire(timeout)), "06000000 6204 081e 1000"},
      {"switch_extended_epid_group", request("6a", wire("0800", timeout)), "04000000 6a02 081e"},
      {"register", request("72", wire("0a", counted(platform_info), "1001", timeout)), "04000000 7202 081e"},
      {"check_update_status", request("9201", wire("0a", counted(platform_info), "102c 1802", timeout)),
       "07000000 920104 081e 1800"},
  };
  std::set<std::uint8_t> kinds;
  for (const Case& one : cases) {
    SCOPED_TRACE(one.name);
    EXPECT_SAME_BYTES(client_.ask(one.request), wire(one.reply));
    kinds.insert(one.request[4]);
  }
  EXPECT_EQ(kinds.size(), 10u) << "1 to 4, 10 to 14 and 18";
  dcap_ql("a");  // and a client that asks for both gets its quote
}

}  // namespace
}  // namespace enclayer
