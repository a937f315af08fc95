// SPDX-License-Identifier: Apache-2.0
#include "quoting/dcap_protocol.h"

#include <gtest/gtest.h>

#include "base/bytes.h"

namespace enclayer::quoting {
namespace {

Bytes quote_of(std::size_t size) {
  Bytes quote(size, 0x51);
  base::store_le16(quote.data(), 3);
  base::store_le16(quote.data() + 2, 2);
  base::store_le32(quote.data() + 432, static_cast<std::uint32_t>(size - 436));
  return quote;
}

DcapRequest quote_request(bool with_qe_report) {
  DcapRequest request;
  request.call = DcapCall::kQuote;
  request.report.raw.fill(0x11);
  if (with_qe_report) {
    request.qe_report.emplace();
    request.qe_report->nonce.fill(0x22);
    request.qe_report->target.mr_enclave.fill(0x33);
  }
  return request;
}

TEST(DcapProtocol, requests_come_out_as_they_went_in) {
  for (DcapCall call : {DcapCall::kInit, DcapCall::kSize}) {
    DcapRequest request;
    request.call = call;
    EXPECT_EQ(decode_dcap_request(encode(request)).value().call, call);
  }
  auto plain = decode_dcap_request(encode(quote_request(false))).value();
  EXPECT_EQ(plain.report.raw, quote_request(false).report.raw);
  EXPECT_FALSE(plain.qe_report);
  auto full = decode_dcap_request(encode(quote_request(true))).value();
  EXPECT_EQ(full.qe_report->nonce, quote_request(true).qe_report->nonce);
  EXPECT_EQ(full.qe_report->target, quote_request(true).qe_report->target);
}

TEST(DcapProtocol, replies_come_out_as_they_went_in) {
  DcapReply reply;
  reply.target.qe.mr_enclave.fill(0x44);
  reply.target.pub_key_id.fill(0xAB);
  reply.size = 4600;
  reply.quote.quote = quote_of(4600);
  EXPECT_EQ(decode_dcap_reply(encode(reply, DcapCall::kInit), DcapCall::kInit)->target, reply.target);
  EXPECT_EQ(decode_dcap_reply(encode(reply, DcapCall::kSize), DcapCall::kSize)->size, 4600u);
  auto plain = decode_dcap_reply(encode(reply, DcapCall::kQuote), DcapCall::kQuote).value();
  EXPECT_EQ(plain.quote.quote, reply.quote.quote);
  EXPECT_FALSE(plain.quote.qe_report);
  reply.quote.qe_report.emplace().raw.fill(0x55);
  auto full = decode_dcap_reply(encode(reply, DcapCall::kQuote), DcapCall::kQuote).value();
  EXPECT_EQ(full.quote.quote, reply.quote.quote);
  EXPECT_EQ(full.quote.qe_report->raw, reply.quote.qe_report->raw);
}

TEST(DcapProtocol, a_failure_carries_its_text_without_control_characters) {
  DcapReply reply;
  reply.status = 0xE016;
  reply.text = "no\nfile\x1b[0m\xff";
  auto read = decode_dcap_reply(encode(reply, DcapCall::kInit), DcapCall::kInit).value();
  EXPECT_EQ(read.status, 0xE016u);
  EXPECT_EQ(read.text, "no?file?[0m?");
  reply.text.assign(5000, 'x');
  EXPECT_EQ(decode_dcap_reply(encode(reply, DcapCall::kInit), DcapCall::kInit)->text.size(), kMostDcapText);
  Bytes too_long = encode(reply, DcapCall::kInit);
  too_long.push_back('x');
  EXPECT_FALSE(decode_dcap_reply(too_long, DcapCall::kInit));
}

TEST(DcapProtocol, a_hello_says_whether_all_was_loaded) {
  auto hello = decode_dcap_hello(encode(DcapHello{true, "all"})).value();
  EXPECT_TRUE(hello.loaded);
  EXPECT_EQ(hello.text, "all");
  EXPECT_FALSE(decode_dcap_hello(encode(DcapHello{false, ""}))->loaded);
  EXPECT_FALSE(decode_dcap_hello(Bytes{}));
  EXPECT_FALSE(decode_dcap_hello(Bytes{2}));
}

TEST(DcapProtocol, every_shorter_and_every_longer_message_is_refused) {
  for (bool with_qe_report : {false, true}) {
    Bytes whole = encode(quote_request(with_qe_report));
    for (std::size_t size = 0; size < whole.size(); ++size)
      EXPECT_FALSE(decode_dcap_request(ByteView(whole).first(size))) << size;
    whole.push_back(0);
    EXPECT_FALSE(decode_dcap_request(whole));
  }
  EXPECT_FALSE(decode_dcap_request(Bytes{1, 0}));
  EXPECT_FALSE(decode_dcap_request(Bytes{0}));
  EXPECT_FALSE(decode_dcap_request(Bytes{5}));

  DcapReply reply;
  reply.size = 4600;
  reply.quote.quote = quote_of(1100);
  reply.quote.qe_report.emplace();
  reply.files = {{"/lib/a.so", {}}, {"/lib/b.so", {sgx::Sigstruct{{1, 2, 3}, 1, 11}}}};
  for (DcapCall call : {DcapCall::kInit, DcapCall::kSize, DcapCall::kQuote, DcapCall::kFiles}) {
    Bytes whole = encode(reply, call);
    for (std::size_t size = 0; size < whole.size(); ++size)
      EXPECT_FALSE(decode_dcap_reply(ByteView(whole).first(size), call)) << size;
    whole.push_back(0);
    EXPECT_FALSE(decode_dcap_reply(whole, call));
  }
}

TEST(DcapProtocol, files_arrive_as_they_were_sent_and_too_many_or_too_long_ones_are_cut) {
  auto there_and_back = [](const DcapReply& reply) {
    Bytes message = encode(reply, DcapCall::kFiles);
    EXPECT_LE(message.size(), kMostDcapMessage);
    return decode_dcap_reply(message, DcapCall::kFiles).value().files;
  };
  DcapReply reply;
  reply.files = {{"/lib/a.so", {}}, {"/lib/b.so", {sgx::Sigstruct{{1, 2, 3}, 1, 11}, sgx::Sigstruct{{4}, 2, 0xFFFF}}}};
  EXPECT_EQ(there_and_back(reply), reply.files);
  reply.files.assign(100, {std::string(2000, 'a'), std::vector<sgx::Sigstruct>(9)});
  auto cut = there_and_back(reply);
  ASSERT_EQ(cut.size(), kMostDcapFiles);
  EXPECT_EQ(cut[0],
            (DcapFile{std::string(DcapFile::kMostPath, 'a'), std::vector<sgx::Sigstruct>(DcapFile::kMostSigstructs)}));
}

TEST(DcapProtocol, a_size_that_no_quote_has_is_refused) {
  for (std::uint32_t size : {0u, 1051u, 16385u, 0xFFFFFFFFu}) {
    DcapReply reply;
    reply.size = size;
    EXPECT_FALSE(decode_dcap_reply(encode(reply, DcapCall::kSize), DcapCall::kSize)) << size;
  }
}

TEST(DcapProtocol, the_length_of_a_quote_is_its_own_and_padding_is_left_out) {
  Bytes padded = quote_of(4600);
  padded.resize(kMostQuote);
  EXPECT_EQ(length_of_quote(padded).value(), 4600u);
  EXPECT_FALSE(length_of_quote(Bytes(1051)));
  EXPECT_FALSE(length_of_quote(Bytes(kMostQuote)));  // version 0
  base::store_le32(padded.data() + 432, 0xFFFFFFFF);
  EXPECT_FALSE(length_of_quote(padded));
  base::store_le32(padded.data() + 432, 10);
  EXPECT_FALSE(length_of_quote(padded));
}

}  // namespace
}  // namespace enclayer::quoting
