#include "quoting/sim_qe.h"

#include <algorithm>

#include "attestation/p256.h"
#include "base/bytes.h"

namespace enclayer::quoting {
namespace {

using attestation::sha256;

// Quote v3, Intel's "ECDSA quote library reference", appendix A: header 48 | report body 384 | length 4 | signature
// data.
constexpr std::size_t kSignedSize = 48 + ReportBody::kSize;
constexpr std::size_t kSignatureSize = 64;
constexpr std::uint16_t kQuoteVersion = 3, kEcdsaP256 = 2, kPckChain = 5;
// Intel's QE vendor id: the format has no other, and verifiers refuse any.
constexpr ByteArray<16> kVendorId = {0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9,
                                     0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07};
constexpr std::size_t kAuthDataSize = 32;  // 00 01 .. 1f, as Intel's; some verifiers accept no other size

void append_le16(Bytes& out, std::uint16_t value) {
  ByteArray<2> bytes{};
  base::store_le16(bytes.data(), value);
  base::append(out, bytes);
}

void append_le32(Bytes& out, std::uint32_t value) {
  ByteArray<4> bytes{};
  base::store_le32(bytes.data(), value);
  base::append(out, bytes);
}

}  // namespace

Result<std::unique_ptr<SimQuotingEnclave>> SimQuotingEnclave::make(const SimCa& ca, SigningKey attestation_key,
                                                                   const ReportBody& qe) {
  std::unique_ptr<SimQuotingEnclave> out(new SimQuotingEnclave(std::move(attestation_key)));
  const ByteArray<64>& public_key = out->attestation_key_.public_key();
  ByteArray<kAuthDataSize> auth_data{};
  for (std::size_t i = 0; i < auth_data.size(); ++i) auth_data[i] = static_cast<std::uint8_t>(i);

  out->qe_ = qe;
  out->target_.qe.mr_enclave = qe.mr_enclave;
  out->target_.qe.attributes = qe.attributes;
  out->target_.qe.misc_select = qe.misc_select;
  out->target_.pub_key_id = sha256(public_key, auth_data);

  std::uint8_t* header = out->header_.data();
  base::store_le16(header, kQuoteVersion);
  base::store_le16(header + 2, kEcdsaP256);
  base::store_le16(header + 8, qe.isv_svn);
  base::store_le16(header + 10, kSimSvn);  // the PCE's
  std::ranges::copy(kVendorId, header + 12);
  // The QE's id, 16 bytes: which QE on which machine. The attestation key is as lasting.
  std::copy_n(sha256(base::as_bytes("SIMULATED QE id"), public_key).begin(), 16, header + 28);

  // The PCK vouches for the QE's report, the report for the attestation key.
  ReportBody certified = qe;
  certified.report_data = {};
  std::ranges::copy(out->target_.pub_key_id, certified.report_data.begin());
  auto qe_report = certified.to_bytes();
  ENCLAYER_TRY(auto qe_report_signature, ca.pck.key.sign(qe_report));
  std::string chain = ca.pck_chain();

  Bytes& tail = out->tail_;
  base::append(tail, public_key);
  base::append(tail, qe_report);
  base::append(tail, qe_report_signature);
  append_le16(tail, kAuthDataSize);
  base::append(tail, auth_data);
  append_le16(tail, kPckChain);
  append_le32(tail, static_cast<std::uint32_t>(chain.size()));
  base::append(tail, base::as_bytes(chain));
  return out;
}

Result<std::uint32_t> SimQuotingEnclave::quote_size() {
  return static_cast<std::uint32_t>(kSignedSize + 4 + kSignatureSize + tail_.size());
}

Result<QuoteReply> SimQuotingEnclave::quote(const sgx::Report& report,
                                            const std::optional<QeReportRequest>& qe_report) {
  if (!sgx::sim::report_is_for(report, target_.qe))
    return Error(ErrorKind::kPermissionDenied,
                 "the report's MAC is wrong: it was not made for this simulated Quoting Enclave, or by real hardware");
  QuoteReply out;
  out.quote.reserve(kSignedSize + 4 + kSignatureSize + tail_.size());
  base::append(out.quote, header_);
  base::append(out.quote, report.body_bytes());
  ENCLAYER_TRY(auto signature, attestation_key_.sign(out.quote));
  append_le32(out.quote, static_cast<std::uint32_t>(kSignatureSize + tail_.size()));
  base::append(out.quote, signature);
  base::append(out.quote, tail_);

  if (qe_report) {
    ReportBody body = qe_;
    body.report_data = {};
    std::ranges::copy(sha256(qe_report->nonce, out.quote), body.report_data.begin());
    out.qe_report = sgx::sim::ereport(body, qe_report->target);
  }
  return out;
}

}  // namespace enclayer::quoting
