// SPDX-License-Identifier: Apache-2.0
#include "sim/quoting_enclave.h"

#include <algorithm>

#include "attestation/p256.h"
#include "base/bytes.h"
#include "base/digest.h"
#include "sim/quote.h"

namespace enclayer::sim {
namespace {

using base::sha256;

// Quote v3: header 48 | report body 384 | length 4 | signature 64 | what is the same in every quote.
constexpr std::size_t kSignedSize = QuoteHeader::kSize + ReportBody::kSize;
constexpr std::size_t kSignatureSize = 64;

}  // namespace

Result<std::unique_ptr<QuotingEnclave>> QuotingEnclave::make(const Ca& ca, SigningKey attestation_key,
                                                             const ReportBody& qe) {
  std::unique_ptr<QuotingEnclave> out(new QuotingEnclave(std::move(attestation_key)));
  QuoteOrder order;
  order.qe = qe;
  ENCLAYER_TRY(Bytes quote, issue_quote(order, ca, out->attestation_key_));
  out->header_ = base::array_at<QuoteHeader::kSize>(quote, 0);
  out->tail_.assign(quote.begin() + kSignedSize + 4 + kSignatureSize, quote.end());

  out->qe_ = qe;
  out->target_.qe.mr_enclave = qe.mr_enclave;
  out->target_.qe.attributes = qe.attributes;
  out->target_.qe.misc_select = qe.misc_select;
  out->target_.pub_key_id = sha256(out->attestation_key_.public_key(), order.auth_data);
  return out;
}

Result<std::uint32_t> QuotingEnclave::quote_size() {
  return static_cast<std::uint32_t>(kSignedSize + 4 + kSignatureSize + tail_.size());
}

Result<quoting::QuoteReply> QuotingEnclave::quote(const sgx::Report& report,
                                                  const std::optional<quoting::QeReportRequest>& qe_report) {
  if (!report_is_for(report, target_.qe))
    return Error(ErrorKind::kPermissionDenied,
                 "the report's MAC is wrong: it was not made for this simulated Quoting Enclave, or by real hardware");
  quoting::QuoteReply out;
  out.quote.reserve(kSignedSize + 4 + kSignatureSize + tail_.size());
  base::append(out.quote, header_);
  base::append(out.quote, report.body_bytes());
  ENCLAYER_TRY(auto signature, attestation_key_.sign(out.quote));
  ByteArray<4> signature_data_size{};
  base::store_le32(signature_data_size.data(), static_cast<std::uint32_t>(kSignatureSize + tail_.size()));
  base::append(out.quote, signature_data_size);
  base::append(out.quote, signature);
  base::append(out.quote, tail_);

  if (qe_report) {
    ReportBody body = qe_;
    body.report_data = {};
    std::ranges::copy(sha256(qe_report->nonce, out.quote), body.report_data.begin());
    out.qe_report = ereport(body, qe_report->target);
  }
  return out;
}

}  // namespace enclayer::sim
