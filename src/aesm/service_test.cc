// SPDX-License-Identifier: Apache-2.0
#include "aesm/service.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <set>

#include "aesm/att_key_id.h"
#include "aesm/client.h"
#include "base/hex.h"
#include "fake/aesm_frames.h"
#include "fake/quote_source.h"
#include "proto/aesm.pb.h"

namespace enclayer::aesm {
namespace {

using ::aesm::message::Request;
using ::aesm::message::Response;
using fake::aesm_body;

std::string text(ByteView bytes) { return std::string(base::as_text(bytes)); }

Bytes serialized(const Request& request) {
  std::string bytes = request.SerializePartialAsString();
  return Bytes(bytes.begin(), bytes.end());
}

// A quote source that gives what the stand-in server gave: then whole replies can be compared.
class ServiceTest : public testing::Test {
 protected:
  ServiceTest() {
    source_.next_target = read_init_reply(aesm_body("quote_ex-init2.standin-res")).value();
    source_.next_size = read_quote_size_reply(aesm_body("quote_ex-size.standin-res")).value();
    Response standin;
    EXPECT_TRUE(standin.ParseFromString(text(aesm_body("quote_ex-quote-qeinfo.standin-res"))));
    const std::string& quote = standin.get_quote_ex().quote();
    source_.next_quote->quote.assign(quote.begin(), quote.end());
    source_.next_quote->qe_report.emplace().raw.fill(0x33);
  }

  Answer answer(ByteView request) {
    auto answer = service_.answer(request);
    EXPECT_TRUE(answer) << "no reply to " << base::to_hex(request);
    return answer.value_or(Answer{});
  }
  Answer answer(const Request& request) { return answer(serialized(request)); }
  std::string reply_hex(std::string_view request_hex) {
    return base::to_hex(answer(base::from_hex(request_hex).value()).reply);
  }
  Response response(const Request& request) {
    Response response;
    EXPECT_TRUE(response.ParseFromString(text(answer(request).reply)));
    return response;
  }

  fake::QuoteSource source_;
  Service service_{source_};
};

Request quote_ex_request() {
  Request request;
  EXPECT_TRUE(request.ParseFromString(text(aesm_body("quote_ex-quote-qeinfo.req"))));
  return request;
}

TEST_F(ServiceTest, recorded_requests_get_the_very_bytes_that_their_clients_accepted) {
  for (auto [request, reply] : std::initializer_list<std::pair<const char*, const char*>>{
           {"quote_ex-num.req", "quote_ex-num.standin-res"},
           {"quote_ex-ids.req", "quote_ex-ids.standin-res"},
           {"quote_ex-select-nolist.req", "quote_ex-select-nolist.standin-res"},
           {"quote_ex-select-list.req", "quote_ex-select-list.standin-res"},
           {"quote_ex-size.req", "quote_ex-size.standin-res"},
           {"quote_ex-quote.req", "quote_ex-quote.standin-res"},
           {"dcap_ql-size.req", "dcap_ql-size.standin-res"},
           {"dcap_ql-quote.req", "dcap_ql-quote.standin-res"}})
    EXPECT_EQ(base::to_hex(answer(aesm_body(request)).reply), base::to_hex(aesm_body(reply))) << request;
}

TEST_F(ServiceTest, every_recorded_request_gets_a_success_of_its_own_kind) {
  for (const auto& name : fake::aesm_requests()) {
    Answer got = answer(aesm_body(name));
    EXPECT_EQ(got.code, kSuccess) << name << ": " << got.why;
    // The tag of the reply's only field is the tag of the request's.
    EXPECT_EQ(got.reply[0], aesm_body(name)[0]) << name;
    EXPECT_EQ(got.reply[0] & 0x80 ? got.reply[1] : 0, got.reply[0] & 0x80 ? aesm_body(name)[1] : 0) << name;
  }
}

TEST_F(ServiceTest, first_init_tells_the_size_and_does_not_touch_the_quote_source) {
  for (const char* name : {"quote_ex-init1.req", "dcap_ql-init1-a.req", "dcap_ql-init1-b.req", "dcap_ql-init1-c.req"}) {
    Bytes reply = answer(aesm_body(name)).reply;
    EXPECT_EQ(reply.size(), aesm_body("quote_ex-init1.standin-res").size());
    EXPECT_EQ(read_init_size_reply(reply).value(), 32u);
  }
  EXPECT_EQ(source_.calls, 0);
}

TEST_F(ServiceTest, second_init_gives_target_info_and_key_id) {
  for (const char* client : {"quote_ex-init2", "dcap_ql-init2", "gramine-init2"}) {
    Bytes reply = answer(aesm_body(std::string(client) + ".req")).reply;
    EXPECT_EQ(reply.size(), aesm_body(std::string(client) + ".standin-res").size());
    auto target = read_init_reply(reply).value();
    EXPECT_EQ(target.qe, source_.next_target->qe);
    EXPECT_EQ(target.pub_key_id, source_.next_target->pub_key_id);
  }
}

TEST_F(ServiceTest, quote_with_qe_report_info_echoes_all_960_bytes_with_the_report_filled_in) {
  Request request = quote_ex_request();
  std::string info = request.get_quote_ex().qe_report_info();
  auto got = response(request).get_quote_ex();
  ASSERT_EQ(got.qe_report_info().size(), 960u);
  EXPECT_EQ(got.qe_report_info().substr(0, 528), info.substr(0, 528));
  EXPECT_EQ(got.qe_report_info().substr(528), text(source_.next_quote->qe_report->raw));
  ASSERT_TRUE(source_.last_qe_report);
  EXPECT_EQ(text(source_.last_qe_report->nonce), info.substr(0, 16));
  EXPECT_EQ(text(source_.last_qe_report->target.mr_enclave), info.substr(16, 32));
}

TEST_F(ServiceTest, quote_is_never_padded_to_the_size_of_the_clients_buffer) {
  Request request = quote_ex_request();
  request.mutable_get_quote_ex()->set_buf_size(0xffffffff);
  EXPECT_EQ(response(request).get_quote_ex().quote().size(), source_.next_quote->quote.size());
}

TEST_F(ServiceTest, answer_names_the_enclave_that_was_quoted_and_only_then) {
  Answer good = answer(quote_ex_request());
  ASSERT_TRUE(good.quoted);
  EXPECT_EQ(good.quoted->mr_enclave[0], 0x11);
  source_.next_quote = Error(ErrorKind::kPermissionDenied, "wrong MAC");
  EXPECT_FALSE(answer(quote_ex_request()).quoted);
}

// aesmd's replies to odd requests. Transcribed from observation: test/data/aesm/aesmd-odd-replies.txt; those marked P
// there carry a code that a stand-in chose, and we choose the same.
TEST_F(ServiceTest, odd_requests_get_aesmds_answers) {
  std::ifstream file(std::string(ENCLAYER_TEST_DATA) + "/aesm/aesmd-odd-replies.txt");
  std::set<std::string> known;
  for (std::string line; std::getline(file, line);)
    if (!line.empty() && line[0] != '#') known.insert(line.substr(line.rfind(' ') + 1));
  ASSERT_EQ(known.size(), 14u);

  auto expect = [&](const Request& request, const std::string& reply) {
    EXPECT_TRUE(known.erase(reply)) << reply;
    EXPECT_EQ(base::to_hex(answer(request).reply), reply);
  };
  Request request;
  request.mutable_init_quote();
  expect(request, "0a02081e");
  request.Clear(), request.mutable_get_quote();
  expect(request, "1202081e");
  request.Clear(), request.mutable_get_launch_token();
  expect(request, "1a02081e");
  request.Clear(), request.mutable_get_white_list_size();
  expect(request, "5204081e1000");
  request.Clear(), request.mutable_get_white_list();
  expect(request, "5a02081e");
  request.Clear(), request.mutable_get_extended_epid_group_id();
  expect(request, "6204081e1000");
  request.Clear(), request.mutable_check_update_status();
  expect(request, "920104081e1800");
  request.Clear(), request.mutable_get_supported_att_key_ids()->set_buf_size(512);
  expect(request, "b201020803");
  request.Clear(), request.mutable_get_quote_size_ex();
  expect(request, "82010408031000");
  std::string other = text(ecdsa_att_key_id());
  other[157] = 1;
  request.mutable_get_quote_size_ex()->set_att_key_id(other);
  expect(request, "82010408261000");
  request.Clear(), request.mutable_init_quote_ex()->set_att_key_id(text(ecdsa_att_key_id()));
  expect(request, "7a0408011800");
  request.mutable_init_quote_ex()->set_b_pub_key_id(true);
  expect(request, "7a0408031800");
  request.mutable_init_quote_ex()->set_buf_size(33);
  expect(request, "7a0408031821");
  request = quote_ex_request();
  request.mutable_get_quote_ex()->set_buf_size(static_cast<std::uint32_t>(source_.next_quote->quote.size() - 1));
  expect(request, "8a01020803");
  EXPECT_TRUE(known.empty()) << *known.begin();
}

TEST_F(ServiceTest, epid_era_requests_without_an_observation_are_refused_in_their_own_type) {
  EXPECT_EQ(reply_hex("2200"), "2202081e");
  EXPECT_EQ(reply_hex("6a00"), "6a02081e");
  EXPECT_EQ(reply_hex("7200"), "7202081e");
}

TEST_F(ServiceTest, what_is_no_request_gets_no_reply) {
  for (const char* hex : {"", "00", "ff", "a20100", "7aff", "7a8004", "0a", "9a0603109875", "08011234", "a2010208"})
    EXPECT_FALSE(service_.answer(base::from_hex(hex).value())) << hex;
}

TEST_F(ServiceTest, unknown_fields_beside_a_known_one_are_ignored) {
  // field 98 (bytes) and field 99 (varint)
  EXPECT_EQ(reply_hex("aa0100"
                      "920602abcd"
                      "980605"),
            "aa010408001001");
}

TEST_F(ServiceTest, of_several_requests_in_one_the_first_in_aesmds_order_is_answered) {
  Request request = quote_ex_request();
  request.mutable_get_supported_att_key_id_num();
  EXPECT_EQ(answer(request).kind, RequestKind::kGetQuoteEx);
  request.mutable_check_update_status();
  EXPECT_EQ(answer(request).kind, RequestKind::kCheckUpdateStatus);
  request.mutable_init_quote();
  EXPECT_EQ(answer(request).kind, RequestKind::kInitQuote);
  request.mutable_get_launch_token();
  EXPECT_EQ(answer(request).kind, RequestKind::kGetLaunchToken);
}

TEST_F(ServiceTest, key_id_may_be_longer_and_may_differ_behind_its_first_158_bytes) {
  Request request;
  std::string id = text(ecdsa_att_key_id());
  id[158] = 7;
  request.mutable_get_quote_size_ex()->set_att_key_id(id + std::string(44, 'x'));
  EXPECT_EQ(answer(request).code, kSuccess);
  for (std::size_t i = 0; i < 158; ++i) {
    std::string changed = text(ecdsa_att_key_id());
    changed[i] = static_cast<char>(changed[i] ^ 1);
    request.mutable_get_quote_size_ex()->set_att_key_id(changed);
    EXPECT_EQ(answer(request).code, kUnsupportedAttKeyId) << i;
  }
  request.mutable_get_quote_size_ex()->set_att_key_id(text(ecdsa_att_key_id()).substr(0, 255));
  EXPECT_EQ(answer(request).code, kParameter);
}

TEST_F(ServiceTest, select_gives_the_callers_own_entry_or_says_that_there_is_none) {
  auto select = [&](const std::string& list) {
    Request request;
    request.mutable_select_att_key_id()->set_att_key_id_list(list);
    return response(request).select_att_key_id();
  };
  std::string head("\0\0\0\0\2\0\0\0", 8);
  std::string ours = text(ecdsa_att_key_id()), other = ours;
  other[154] = 1;
  ours[158] = 's';  // an SPID
  EXPECT_EQ(select(head + other + ours).selected_att_key_id(), ours);
  EXPECT_EQ(select(head + other + other).error_code(), kUnsupportedAttKeyId);
  EXPECT_EQ(select(head + other + other).has_selected_att_key_id(), false);
  EXPECT_EQ(select(head + ours).error_code(), kParameter) << "one entry is missing";
  EXPECT_EQ(select(head.substr(0, 7)).error_code(), kParameter);
  EXPECT_EQ(select("").error_code(), kParameter);
  std::string eleven("\0\0\0\0\13\0\0\0", 8);
  for (int i = 0; i < 11; ++i) eleven += ours;
  EXPECT_EQ(select(eleven).error_code(), kParameter);
  EXPECT_EQ(select(std::string("\1\0\0\0\1\0\0\0", 8) + ours).error_code(), kParameter);
  EXPECT_EQ(select(std::string("\0\0\1\0\1\0\0\0", 8) + ours).error_code(), kParameter);
}

TEST_F(ServiceTest, quote_request_with_parts_of_a_wrong_size_is_a_parameter_error) {
  Request request = quote_ex_request();
  request.mutable_get_quote_ex()->mutable_report()->pop_back();
  EXPECT_EQ(answer(request).code, kParameter);
  request = quote_ex_request();
  request.mutable_get_quote_ex()->mutable_qe_report_info()->push_back('x');
  EXPECT_EQ(answer(request).code, kParameter);
  request.mutable_get_quote_ex()->set_qe_report_info("");
  EXPECT_EQ(answer(request).code, kParameter);
  EXPECT_EQ(source_.calls, 0) << "a malformed request reached the quote source";
  request = quote_ex_request();
  request.mutable_get_quote_ex()->clear_report();
  EXPECT_EQ(base::to_hex(answer(request).reply), "8a01020801");
}

TEST_F(ServiceTest, source_errors_become_the_codes_that_clients_know) {
  source_.next_quote = Error(ErrorKind::kPermissionDenied, "the MAC is wrong");
  Answer refused = answer(quote_ex_request());
  EXPECT_EQ(refused.code, kAttKeyNotInitialized);
  EXPECT_EQ(refused.why, "the MAC is wrong");
  EXPECT_EQ(base::to_hex(refused.reply), "8a0102082a");
  source_.next_quote = Error(ErrorKind::kExhausted, "queue full");
  EXPECT_EQ(answer(quote_ex_request()).code, kBusy);
  source_.next_target = Error(ErrorKind::kUnavailable, "no enclave");
  EXPECT_EQ(base::to_hex(answer(aesm_body("gramine-init2.req")).reply), "7a04081e1820");
  source_.next_size = Error(ErrorKind::kUnavailable, "no enclave");
  EXPECT_EQ(base::to_hex(answer(aesm_body("quote_ex-size.req")).reply), "820104081e1000");
}

TEST_F(ServiceTest, code_that_the_source_names_is_the_one_that_is_sent) {
  source_.next_quote = Error(ErrorKind::kPermissionDenied, "another QE's report", kErrorReport);
  EXPECT_EQ(answer(quote_ex_request()).code, kErrorReport);
  source_.next_quote = Error(ErrorKind::kUnavailable, "the enclaves are gone", kEnclaveLost);
  EXPECT_EQ(base::to_hex(answer(quote_ex_request()).reply), "8a0102082e");
  source_.next_target = Error(ErrorKind::kUnavailable, "the platform is not registered", kNoPlatformCertData);
  EXPECT_EQ(base::to_hex(answer(aesm_body("gramine-init2.req")).reply), "7a04082c1820");
}

TEST_F(ServiceTest, only_init_size_and_quote_are_questions_to_the_source_and_only_when_they_are_well_formed) {
  for (const std::string& name : fake::aesm_requests()) {
    auto read = Service::read(aesm_body(name));
    bool asks = name.find("init2") != std::string::npos || name.find("-size") != std::string::npos ||
                name.find("-quote") != std::string::npos;
    EXPECT_EQ(std::holds_alternative<Question>(read), asks) << name;
    EXPECT_EQ(std::holds_alternative<Answer>(read), !asks) << name;
  }
  EXPECT_TRUE(std::holds_alternative<std::monostate>(Service::read({})));
  Request request = quote_ex_request();
  request.mutable_get_quote_ex()->mutable_report()->pop_back();
  EXPECT_TRUE(std::holds_alternative<Answer>(Service::read(serialized(request))));
  EXPECT_EQ(source_.calls, 0);
}

TEST_F(ServiceTest, question_that_is_refused_is_answered_in_its_own_kind_with_aesmds_zeros) {
  auto busy = [](const char* name) {
    return base::to_hex(Service::refuse(std::get<Question>(Service::read(aesm_body(name))), kBusy, "why").reply);
  };
  EXPECT_EQ(busy("quote_ex-init2.req"), "7a0408121820");
  EXPECT_EQ(busy("quote_ex-size.req"), "82010408121000");
  EXPECT_EQ(busy("quote_ex-quote.req"), "8a01020812");
}

}  // namespace
}  // namespace enclayer::aesm
