// SPDX-License-Identifier: Apache-2.0
#include "collateral/responses.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/bytes.h"
#include "base/file.h"
#include "base/hex.h"
#include "fake/provisioning.h"
#include "fake/quote_case.h"
#include "fake/temp_folder.h"

namespace enclayer::collateral {
namespace {

using testing::HasSubstr;

const std::filesystem::path kRecorded = ENCLAYER_TEST_DATA "/pcs/00606a000000-platform";

Bytes bytes(std::string_view text) { return Bytes(text.begin(), text.end()); }

TEST(Responses, a_recorded_folder_gives_the_collateral_it_was_made_of) {
  auto responses = read_responses(kRecorded);
  ASSERT_TRUE(responses) << responses.error().message();
  auto collateral = collateral_from(*responses);
  ASSERT_TRUE(collateral) << collateral.error().message();
  EXPECT_EQ(*collateral, fake::quote_case("C_automata_sgx_platform").collateral);
}

TEST(Responses, every_collateral_of_the_test_data_survives_the_way_through_responses_and_a_folder) {
  fake::TempFolder temporary;
  for (const std::string& name : fake::quote_case_names()) {
    SCOPED_TRACE(name);
    Collateral before = fake::quote_case(name).collateral;
    Responses made = fake::intels_responses(before);
    ASSERT_TRUE(write_responses(temporary.path() / name, made));
    auto read = read_responses(temporary.path() / name);
    ASSERT_TRUE(read) << read.error().message();
    EXPECT_EQ(*read, made);
    auto after = collateral_from(*read);
    ASSERT_TRUE(after) << after.error().message();
    EXPECT_EQ(*after, before);
  }
}

TEST(Responses, a_missing_file_is_named_and_a_long_one_is_refused) {
  for (const char* name : {"pckcrl", "pckcrl.headers", "rootcacrl", "tcb", "tcb.headers", "qe_identity"}) {
    SCOPED_TRACE(name);
    fake::TempFolder temporary;
    std::filesystem::copy(kRecorded, temporary.path() / "r");
    std::filesystem::remove(temporary.path() / "r" / name);
    auto missing = read_responses(temporary.path() / "r");
    ASSERT_FALSE(missing);
    EXPECT_EQ(missing.error().kind(), ErrorKind::kNotFound);
    EXPECT_THAT(missing.error().message(), HasSubstr(name));
    ASSERT_TRUE(base::write_file_atomic(temporary.path() / "r" / name, Bytes(kMaxBody + 1, 'x'), 0600));
    auto huge = read_responses(temporary.path() / "r");
    ASSERT_FALSE(huge);
    EXPECT_EQ(huge.error().kind(), ErrorKind::kMalformed);
  }
}

TEST(Responses, the_signed_object_stays_as_it_was_sent) {
  Responses responses = fake::intels_responses(fake::quote_case("C_automata_sgx_platform").collateral);
  const std::string odd = R"({ "a":"}\"{", "c" : {"tcbInfo" : 1}, "b" :[ {"signature":"00"} ]})";
  responses.tcb_info.body =
      bytes(R"({"other":{"tcbInfo":{"no":1}},"list":[{"tcbInfo":{}}],"text":"tcbInfo", "tcbInfo" : )" + odd +
            R"( , "signature":"0aFF"})");
  auto collateral = collateral_from(responses);
  ASSERT_TRUE(collateral) << collateral.error().message();
  EXPECT_EQ(collateral->tcb_info, odd);
  EXPECT_EQ(collateral->tcb_info_signature, (Bytes{0x0a, 0xff}));
}

TEST(Responses, a_body_that_is_not_the_signed_object_is_malformed_and_says_of_what) {
  for (const char* body : {"", "{}", "[]", "<html>", R"({"tcbInfo":{}})", R"({"tcbInfo":"x","signature":"00"})",
                           R"({"tcbInfo":{},"signature":5})", R"({"tcbInfo":{},"signature":"0"})",
                           R"({"tcbInfo":{},"tcbInfo":{},"signature":"00"})", R"({"tcb\u0049nfo":{},"signature":"00"})",
                           R"({"tcbInfo":{"tcbInfo":{}},"signature":"00"})", R"({"tcbInfo":{},"signature":"00"}x)"}) {
    SCOPED_TRACE(body);
    Responses responses = fake::intels_responses(fake::quote_case("C_automata_sgx_platform").collateral);
    responses.tcb_info.body = bytes(body);
    auto collateral = collateral_from(responses);
    ASSERT_FALSE(collateral);
    EXPECT_EQ(collateral.error().kind(), ErrorKind::kMalformed);
    EXPECT_THAT(collateral.error().message(), HasSubstr("TCB Info: "));
  }
}

TEST(Responses, both_versions_names_of_the_tcb_header_are_understood_in_any_case) {
  Collateral before = fake::quote_case("C_automata_sgx_platform").collateral;
  for (const char* name : {"TCB-Info-Issuer-Chain", "SGX-TCB-Info-Issuer-Chain", "sgx-tcb-info-issuer-chain"}) {
    Responses responses = fake::intels_responses(before);
    responses.tcb_info.headers =
        std::string("HTTP/2 200\r\nDate: today\r\n") + name + ":" + fake::percent_encoded(before.tcb_info_issuer_chain);
    auto after = collateral_from(responses);
    ASSERT_TRUE(after) << after.error().message();
    EXPECT_EQ(*after, before);
  }
}

TEST(Responses, a_missing_doubled_or_garbled_header_is_malformed_and_named) {
  auto error_with = [](const std::string& headers) {
    Responses responses = fake::intels_responses(fake::quote_case("C_automata_sgx_platform").collateral);
    responses.tcb_info.headers = headers;
    auto collateral = collateral_from(responses);
    EXPECT_FALSE(collateral) << headers;
    if (collateral) return std::string();
    EXPECT_EQ(collateral.error().kind(), ErrorKind::kMalformed);
    return collateral.error().message();
  };
  EXPECT_THAT(error_with(""), HasSubstr("TCB-Info-Issuer-Chain is missing"));
  EXPECT_THAT(error_with("X-TCB-Info-Issuer-Chain: a\r\n"), HasSubstr("is missing"));
  EXPECT_THAT(error_with("TCB-Info-Issuer-Chain: a\r\nSGX-TCB-Info-Issuer-Chain: a\r\n"), HasSubstr("twice"));
  EXPECT_THAT(error_with("TCB-Info-Issuer-Chain: %4\r\n"), HasSubstr("'%' at byte 0"));
  EXPECT_THAT(error_with("TCB-Info-Issuer-Chain: a%zz\r\n"), HasSubstr("'%' at byte 1"));
  EXPECT_THAT(error_with("TCB-Info-Issuer-Chain: " + std::string(100'000, 'a')), HasSubstr("at most 65536"));
}

TEST(Responses, percent_decoding_leaves_what_is_not_encoded) {
  EXPECT_EQ(percent_decoded("").value(), "");
  EXPECT_EQ(percent_decoded("a+b%2Bc%2b%0A%00d").value(), std::string("a+b+c+\n\0d", 9));
  EXPECT_FALSE(percent_decoded("%"));
  EXPECT_FALSE(percent_decoded("%+1"));
}

TEST(Responses, a_crl_is_read_from_der_hexadecimal_digits_and_pem) {
  Bytes der = fake::quote_case("C_automata_sgx_platform").collateral.pck_crl;
  EXPECT_EQ(crl_in_der(der).value(), der);
  EXPECT_EQ(crl_in_der(bytes(base::to_hex(der))).value(), der);
  EXPECT_EQ(crl_in_der(bytes(" " + base::to_hex(der) + "\r\n")).value(), der);
  EXPECT_EQ(crl_in_der(bytes("-----BEGIN X509 CRL-----\nMAMCAQU=\n-----END X509 CRL-----\n")).value(),
            (Bytes{0x30, 3, 2, 1, 5}));
  for (const char* bad :
       {"", "<html>", "3", "-----BEGIN X509 CRL-----\n!\n-----END X509 CRL-----\n", "-----BEGIN X509 CRL-----\n"})
    EXPECT_EQ(crl_in_der(bytes(bad)).error().kind(), ErrorKind::kMalformed) << bad;
  EXPECT_FALSE(crl_in_der(Bytes(kMaxBody + 1, 0x30)));
}

}  // namespace
}  // namespace enclayer::collateral
