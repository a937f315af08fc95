// SPDX-License-Identifier: Apache-2.0
#include "collateral/contents.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "fake/quote_case.h"

namespace enclayer::collateral {
namespace {

using testing::HasSubstr;

Collateral good() { return fake::quote_case("C_automata_sgx_platform").collateral; }

TEST(Contents, say_platform_number_and_window_of_all_parts) {
  auto contents = contents_of(good());
  ASSERT_TRUE(contents) << contents.error().message();
  EXPECT_EQ(to_string(contents->platform), "FMSPC 00606a000000, platform CA");
  EXPECT_EQ(contents->evaluation_number, 17U);
  // test/data/quotes/windows.json
  EXPECT_EQ(format_time(contents->validity.from), "2025-08-15T05:41:26Z");
  EXPECT_EQ(format_time(contents->validity.until), "2025-09-14T04:36:46Z");
  EXPECT_EQ(contents->first_to_expire, "QE Identity");
  auto processor = contents_of(fake::quote_case("A_phala_sgx_processor").collateral);
  ASSERT_TRUE(processor) << processor.error().message();
  EXPECT_EQ(to_string(processor->platform), "FMSPC 00a067110000, processor CA");
}

TEST(Contents, each_damaged_part_is_named) {
  auto message = [](auto&& damage) {
    Collateral c = good();
    damage(c);
    auto contents = contents_of(c);
    EXPECT_FALSE(contents);
    return contents ? "" : contents.error().message();
  };
  EXPECT_THAT(message([](Collateral& c) { c.pck_crl.pop_back(); }), HasSubstr("the PCK CRL"));
  EXPECT_THAT(message([](Collateral& c) { c.pck_crl = c.root_ca_crl; }), HasSubstr("the PCK CRL is of"));
  EXPECT_THAT(message([](Collateral& c) { c.root_ca_crl.clear(); }), HasSubstr("the root CA's CRL"));
  EXPECT_THAT(message([](Collateral& c) { c.pck_crl_issuer_chain.clear(); }), HasSubstr("issuer chain of the PCK CRL"));
  EXPECT_THAT(message([](Collateral& c) { c.pck_crl_issuer_chain = c.tcb_info_issuer_chain; }),
              HasSubstr("neither the PCK Platform CA"));
  EXPECT_THAT(message([](Collateral& c) { c.tcb_info_issuer_chain = "x"; }), HasSubstr("issuer chain of TCB Info"));
  EXPECT_THAT(message([](Collateral& c) { c.tcb_info = "{}"; }), HasSubstr("TCB Info: "));
  EXPECT_THAT(message([](Collateral& c) { c.tcb_info_signature.pop_back(); }), HasSubstr("63 bytes, not 64"));
  EXPECT_THAT(message([](Collateral& c) { c.qe_identity = c.tcb_info; }), HasSubstr("QE Identity: "));
  EXPECT_THAT(message([](Collateral& c) { c.qe_identity_issuer_chain.clear(); }), HasSubstr("chain of QE Identity"));
  EXPECT_THAT(message([](Collateral& c) { c.qe_identity_signature.clear(); }), HasSubstr("0 bytes, not 64"));
}

TEST(Contents, that_no_file_could_hold_are_refused) {
  Collateral c = good();
  c.tcb_info.insert(1, Collateral::kMaxJsonSize - c.tcb_info.size() - 100, ' ');
  auto contents = contents_of(c);
  ASSERT_FALSE(contents);
  EXPECT_EQ(contents.error().kind(), ErrorKind::kMalformed);
  EXPECT_THAT(contents.error().message(), HasSubstr("at most 1048576 are read"));
}

TEST(Contents, of_tdx_say_so_and_both_documents_have_to) {
  Collateral tdx = fake::quote_case("T4_phala_tdx_v4").collateral;
  auto contents = contents_of(tdx);
  ASSERT_TRUE(contents) << contents.error().message();
  EXPECT_EQ(to_string(contents->platform), "FMSPC b0c06f000000, platform CA, TDX");
  tdx.qe_identity = good().qe_identity;
  auto mixed = contents_of(tdx);
  ASSERT_FALSE(mixed);
  EXPECT_EQ(mixed.error().kind(), ErrorKind::kMalformed);
  EXPECT_THAT(mixed.error().message(), HasSubstr("has to be that of TD_QE, not of QE"));
  Collateral sgx = good();
  sgx.qe_identity = fake::quote_case("T4_phala_tdx_v4").collateral.qe_identity;
  EXPECT_THAT(contents_of(sgx).error().message(), HasSubstr("has to be that of QE, not of TD_QE"));
}

TEST(PlatformOfQuote, is_that_of_its_collateral) {
  for (const char* name : {"A_phala_sgx_processor", "C_automata_sgx_platform", "F_mobilecoin_prod", "T4_phala_tdx_v4",
                           "T5_phala_outdated"}) {
    fake::QuoteCase c = fake::quote_case(name);
    auto platform = platform_of_quote(c.quote);
    ASSERT_TRUE(platform) << platform.error().message();
    EXPECT_EQ(platform->kind, contents_of(c.collateral).value().platform);
    EXPECT_FALSE(platform->simulated);
  }
}

TEST(PlatformOfQuote, says_why_it_cannot_tell) {
  auto error = [](const char* name) { return platform_of_quote(fake::quote_case(name).quote).error(); };
  EXPECT_EQ(error("N_trunc_436").kind(), ErrorKind::kMalformed);
  EXPECT_THAT(error("N_chain_empty").message(), HasSubstr("has no certificate"));
  Bytes ppid = base::read_file(ENCLAYER_SOURCE_DIR "/fuzz/corpus/quote/sgx_v3_ppid", 1 << 20).value();
  auto no_chain = platform_of_quote(ppid);
  ASSERT_FALSE(no_chain);
  EXPECT_EQ(no_chain.error().kind(), ErrorKind::kUnsupported);
  EXPECT_THAT(no_chain.error().message(), HasSubstr("--fmspc and --ca"));
}

TEST(RootCrlUrl, is_taken_from_the_trusted_root_only) {
  Collateral c = good();
  EXPECT_EQ(root_crl_url(c.pck_crl_issuer_chain, TrustedRoot::intel()).value(),
            "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der");

  // The last certificate is another one than the root.
  std::string leaf = c.pck_crl_issuer_chain.substr(0, c.pck_crl_issuer_chain.find("-----END") + 26);
  auto refused = root_crl_url(leaf, TrustedRoot::intel());
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message(), HasSubstr("is not the trusted root"));

  // The root's certificate with one bit of its signature changed: it still parses, and nobody signed it.
  std::string changed = c.pck_crl_issuer_chain;
  std::size_t at = changed.rfind("RQ7cvqRXaqI=");
  ASSERT_NE(at, std::string::npos);
  changed[at + 4] = changed[at + 4] == 'v' ? 'w' : 'v';
  auto unsigned_root = root_crl_url(changed, TrustedRoot::intel());
  ASSERT_FALSE(unsigned_root);
  EXPECT_THAT(unsigned_root.error().message(), HasSubstr("is not the trusted root"));
}

TEST(PlatformKind, is_spelled_exactly) {
  EXPECT_EQ(fmspc_from("00606A000000").value(), (ByteArray<6>{0, 0x60, 0x6a, 0, 0, 0}));
  for (const char* bad : {"", "00606A00000", "00606A0000000", "00606A00000g", "0x606A000000"})
    EXPECT_EQ(fmspc_from(bad).error().kind(), ErrorKind::kInvalidArgument) << bad;
  EXPECT_EQ(pck_ca_from("platform").value(), PckCa::kPlatform);
  EXPECT_EQ(pck_ca_from("processor").value(), PckCa::kProcessor);
  EXPECT_EQ(pck_ca_from("Platform").error().kind(), ErrorKind::kInvalidArgument);
  EXPECT_EQ(tee_from("sgx").value(), Tee::kSgx);
  EXPECT_EQ(tee_from("tdx").value(), Tee::kTdx);
  EXPECT_EQ(tee_from("TDX").error().kind(), ErrorKind::kInvalidArgument);
}

}  // namespace
}  // namespace enclayer::collateral
