// SPDX-License-Identifier: Apache-2.0
#include "aesm/client.h"

#include <gtest/gtest.h>

#include "aesm/codes.h"
#include "base/hex.h"
#include "fake/aesm_frames.h"
#include "proto/aesm.pb.h"

namespace enclayer::aesm {
namespace {

using ::aesm::message::Response;
using fake::aesm_body;

Bytes serialized(const Response& response) {
  std::string bytes = response.SerializePartialAsString();
  return Bytes(bytes.begin(), bytes.end());
}

// Golden: what Intel's libsgx_quote_ex sent.
TEST(AesmClient, requests_are_byte_for_byte_those_of_intels_client) {
  EXPECT_EQ(base::to_hex(init_size_request()), base::to_hex(aesm_body("quote_ex-init1.req")));
  EXPECT_EQ(base::to_hex(init_request()), base::to_hex(aesm_body("quote_ex-init2.req")));
  EXPECT_EQ(base::to_hex(quote_size_request()), base::to_hex(aesm_body("quote_ex-size.req")));
  sgx::Report report;
  report.raw.fill(0x11);
  EXPECT_EQ(base::to_hex(quote_request(report, 4600, std::nullopt)), base::to_hex(aesm_body("quote_ex-quote.req")));
}

TEST(AesmClient, replies_of_the_stand_in_server_are_read) {
  EXPECT_EQ(read_init_size_reply(aesm_body("quote_ex-init1.standin-res")).value(), 32u);
  auto target = read_init_reply(aesm_body("quote_ex-init2.standin-res")).value();
  EXPECT_EQ(target.pub_key_id[31], 0xab);
  EXPECT_EQ(target.qe.mr_enclave[31], 0x1f);
  EXPECT_EQ(read_quote_size_reply(aesm_body("quote_ex-size.standin-res")).value(), 4600u);
  EXPECT_EQ(read_quote_reply(aesm_body("gramine-quote.standin-res"), false)->quote.size(), 4600u);
}

TEST(AesmClient, padding_behind_the_quote_is_cut_off_and_the_qe_report_found) {
  Response response;
  ASSERT_TRUE(response.ParseFromString(std::string(base::as_text(aesm_body("gramine-quote.standin-res")))));
  response.mutable_get_quote_ex()->mutable_quote()->append(100, '\0');
  response.mutable_get_quote_ex()->set_qe_report_info(std::string(960, 'q'));
  auto reply = read_quote_reply(serialized(response), true).value();
  EXPECT_EQ(reply.quote.size(), 4600u);
  EXPECT_EQ(reply.qe_report->raw[0], 'q');
}

TEST(AesmClient, reply_of_another_kind_or_shape_is_malformed) {
  auto malformed = [](const auto& result) { return !result && result.error().kind() == ErrorKind::kMalformed; };
  EXPECT_TRUE(malformed(read_init_reply({})));
  EXPECT_TRUE(malformed(read_init_reply(base::from_hex("ffff").value())));
  EXPECT_TRUE(malformed(read_init_reply(aesm_body("quote_ex-size.standin-res"))));
  EXPECT_TRUE(malformed(read_init_reply(aesm_body("quote_ex-init1.standin-res")))) << "no key id in it";
  EXPECT_TRUE(malformed(read_quote_size_reply(aesm_body("quote_ex-num.standin-res"))));
  EXPECT_TRUE(malformed(read_quote_size_reply(base::from_hex("820100").value()))) << "no error code in it";
  EXPECT_TRUE(malformed(read_quote_reply(aesm_body("gramine-quote.standin-res"), true))) << "no QE report in it";
  EXPECT_TRUE(malformed(read_quote_reply(aesm_body("quote_ex-quote.standin-res"), false))) << "its length is rubbish";
  Response response;
  response.mutable_get_quote_ex()->set_error_code(0);
  response.mutable_get_quote_ex()->set_quote(std::string(435, 'x'));
  EXPECT_TRUE(malformed(read_quote_reply(serialized(response), false)));
  response.mutable_get_quote_ex()->set_quote(std::string(432, 'x') + std::string("\2\0\0\0y", 5));
  EXPECT_TRUE(malformed(read_quote_reply(serialized(response), false))) << "longer than it is";
}

TEST(AesmClient, refusal_is_told_with_the_codes_name) {
  auto refused = read_quote_reply(base::from_hex("8a0102082f").value(), true);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kPermissionDenied);
  EXPECT_EQ(refused.error().message(), "the AESM service refused GetQuoteEx: INVALID_REPORT (47)");
  EXPECT_EQ(read_quote_reply(base::from_hex("8a0102082a").value(), true).error().kind(), ErrorKind::kPermissionDenied);
  EXPECT_EQ(read_init_reply(base::from_hex("7a04081e1800").value()).error().kind(), ErrorKind::kUnavailable);
  EXPECT_EQ(to_string(static_cast<Code>(60)), "code 60");
}

}  // namespace
}  // namespace enclayer::aesm
