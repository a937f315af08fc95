// SPDX-License-Identifier: Apache-2.0
#include "sim/quoting_enclave.h"
#include "base/digest.h"

#include <gtest/gtest.h>

#include <thread>

#include "attestation/certificate.h"
#include "attestation/p256.h"
#include "base/bytes.h"
#include "base/hex.h"
#include "base/metric_names.h"
#include "quoting/pck_validity.h"
#include "sim/enclave.h"

namespace enclayer::sim {
namespace {

using attestation::P256Key;
using base::array_at;
using base::load_le16;
using base::load_le32;
using base::sha256;

const Time kNow = parse_time("2026-11-21T10:00:00Z").value();

class SimQeTest : public testing::Test {
 protected:
  SimQeTest() {
    ca_ = make_ca(ca_order(kNow)).value();
    key_ = SigningKey::generate().value();
    qe_ = QuotingEnclave::make(*ca_, *key_).value();
    ByteArray<64> report_data{};
    report_data.fill(0x5a);
    body_ = enclave_body(report_data);
    report_ = ereport(body_, qe_->target()->qe);
  }

  std::optional<Ca> ca_;
  std::optional<SigningKey> key_;
  std::unique_ptr<QuotingEnclave> qe_;
  ReportBody body_;
  sgx::Report report_;
};

TEST_F(SimQeTest, validity_of_the_certificate_in_a_quote_is_shown) {
  base::Metrics metrics;
  quoting::show_pck_validity_of_quote(Bytes{1, 2, 3}, metrics);
  EXPECT_EQ(metrics.text().find("enclayer_pck"), std::string::npos);
  quoting::show_pck_validity_of_quote(qe_->quote(report_, std::nullopt)->quote, metrics);
  auto validity = attestation::certificates_from_pem(ca_->pck.certificate).value().front().validity;
  auto shown = [&](const std::string& name, Time time) {
    return metrics.text().find(name + " " + std::to_string(time.time_since_epoch().count()) + "\n") !=
           std::string::npos;
  };
  EXPECT_TRUE(shown("enclayer_pck_not_before_seconds", validity.from)) << metrics.text();
  EXPECT_TRUE(shown("enclayer_pck_not_after_seconds", validity.until)) << metrics.text();
}

// Layout and signatures, byte by byte, as the specification has them: not with our own parser.
TEST_F(SimQeTest, quote_has_the_layout_of_version_3_and_both_signatures_verify) {
  Bytes quote = qe_->quote(report_, std::nullopt)->quote;
  const std::uint8_t* q = quote.data();
  EXPECT_EQ(quote.size(), qe_->quote_size().value());
  EXPECT_EQ(load_le16(q), 3);
  EXPECT_EQ(load_le16(q + 2), 2);
  EXPECT_EQ(load_le32(q + 4), 0u);
  EXPECT_EQ(base::to_hex(ByteView(quote).subspan(12, 16)), "939a7233f79c4ca9940a0db3957f0607");
  EXPECT_EQ(base::to_hex(ByteView(quote).subspan(44, 4)), "00000000");
  EXPECT_EQ(ReportBody::from_bytes(ByteView(quote).subspan<48, 384>()), body_);
  EXPECT_EQ(load_le32(q + 432), quote.size() - 436);

  auto key = P256Key::from_point(array_at<64>(quote, 500));
  ASSERT_TRUE(key);
  EXPECT_TRUE(key->signed_this(ByteView(quote).first(432), ByteView(quote).subspan(436, 64)));
  auto pck = P256Key::from_point(ca_->pck.key.public_key());
  EXPECT_TRUE(pck->signed_this(ByteView(quote).subspan(564, 384), ByteView(quote).subspan(948, 64)));

  EXPECT_EQ(load_le16(q + 1012), 32);
  EXPECT_EQ(base::to_hex(ByteView(quote).subspan(1014, 32)),
            "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");
  auto qe = ReportBody::from_bytes(ByteView(quote).subspan<564, 384>());
  EXPECT_EQ(base::to_hex(qe.report_data), base::to_hex(qe_->target()->pub_key_id) + std::string(64, '0'));
  EXPECT_EQ(qe_->target()->pub_key_id, sha256(ByteView(quote).subspan(500, 64), ByteView(quote).subspan(1014, 32)));

  EXPECT_EQ(load_le16(q + 1046), 5);
  EXPECT_EQ(load_le32(q + 1048), quote.size() - 1052);
  EXPECT_EQ(base::as_text(ByteView(quote).subspan(1052)), ca_->pck_chain());
}

TEST_F(SimQeTest, report_for_another_enclave_or_with_one_bit_changed_is_refused) {
  auto other = qe_->target()->qe;
  other.mr_enclave[0] ^= 1;
  auto refused = qe_->quote(ereport(body_, other), std::nullopt);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kPermissionDenied);
  for (std::size_t at : {0, 64, 383, 384, 416, 431}) {
    sgx::Report changed = report_;
    changed.raw[at] ^= 1;
    EXPECT_FALSE(qe_->quote(changed, std::nullopt)) << at;
  }
}

TEST_F(SimQeTest, qe_report_ties_the_quote_to_the_nonce) {
  ByteArray<16> nonce{};
  nonce.fill(9);
  auto reply = qe_->quote(report_, quoting::QeReportRequest{nonce, enclave_target()}).value();
  ASSERT_TRUE(reply.qe_report);
  EXPECT_TRUE(report_is_for(*reply.qe_report, enclave_target()));
  auto body = reply.qe_report->body();
  EXPECT_EQ(base::to_hex(body.report_data), base::to_hex(sha256(nonce, reply.quote)) + std::string(64, '0'));
  EXPECT_EQ(body.mr_enclave, qe_->target()->qe.mr_enclave);
  EXPECT_TRUE(check_qe_report(reply, nonce, qe_->target()->qe));
}

TEST_F(SimQeTest, simulated_enclave_finds_every_kind_of_wrong_qe_report) {
  ByteArray<16> nonce{};
  auto qe = qe_->target()->qe;
  auto reply = qe_->quote(report_, quoting::QeReportRequest{nonce, enclave_target()}).value();
  auto said = [&](const quoting::QuoteReply& changed, const ByteArray<16>& n, const sgx::TargetInfo& asked) {
    auto checked = check_qe_report(changed, n, asked);
    return checked ? std::string() : checked.error().message();
  };
  EXPECT_EQ(said(reply, nonce, qe), "");
  quoting::QuoteReply changed = reply;
  changed.quote[100] ^= 1;
  EXPECT_EQ(said(changed, nonce, qe), "the QE report does not say SHA-256(nonce || quote)");
  EXPECT_EQ(said(reply, {1}, qe), "the QE report does not say SHA-256(nonce || quote)");
  changed = reply;
  changed.qe_report->raw[320] ^= 1;
  EXPECT_NE(said(changed, nonce, qe).find("its MAC is wrong"), std::string::npos);
  changed.qe_report.reset();
  EXPECT_EQ(said(changed, nonce, qe), "the QE report is missing");
  auto other = qe;
  other.mr_enclave[0] ^= 1;
  EXPECT_NE(said(reply, nonce, other).find("not of the QE"), std::string::npos);
}

TEST_F(SimQeTest, same_key_gives_the_same_key_id_and_only_the_signature_differs) {
  auto again = QuotingEnclave::make(*ca_, *key_).value();
  EXPECT_EQ(again->target()->pub_key_id, qe_->target()->pub_key_id);
  EXPECT_EQ(again->target()->qe, qe_->target()->qe);
  Bytes one = qe_->quote(report_, std::nullopt)->quote, two = again->quote(report_, std::nullopt)->quote;
  EXPECT_TRUE(std::equal(one.begin(), one.begin() + 436, two.begin()));
  EXPECT_TRUE(std::equal(one.begin() + 500, one.begin() + 948, two.begin() + 500));
}

TEST_F(SimQeTest, simulated_identities_are_nobodys) {
  EXPECT_NE(base::to_hex(qe_body().mr_signer), "8c4f5775d796503e96137f77c68a829a0056ac8ded70140b081b094490c57bff");
  EXPECT_FALSE(enclave_body({}).attributes.debug());
}

TEST_F(SimQeTest, quotes_are_made_by_several_threads_at_once) {
  auto key = P256Key::from_point(key_->public_key()).value();
  auto work = [&] {
    for (int i = 0; i < 30; ++i) {
      auto reply = qe_->quote(report_, std::nullopt);
      EXPECT_TRUE(reply && key.signed_this(ByteView(reply->quote).first(432), ByteView(reply->quote).subspan(436, 64)));
    }
  };
  std::thread first(work), second(work);
  first.join();
  second.join();
}

}  // namespace
}  // namespace enclayer::sim
