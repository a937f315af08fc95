// SPDX-License-Identifier: Apache-2.0
#include "sim/quote.h"

#include <algorithm>
#include <numeric>

#include "attestation/p256.h"
#include "base/bytes.h"
#include "base/digest.h"

namespace enclayer::sim {
namespace {

using base::sha256;

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

// What the attestation key signs: header, in version 5 the body's type and size, body.
Bytes signed_part(const QuoteOrder& order, const ByteArray<64>& attestation_key) {
  ByteArray<QuoteHeader::kSize> header{};
  base::store_le16(header.data(), order.version);
  base::store_le16(header.data() + 2, order.att_key_type);
  base::store_le32(header.data() + 4, order.td ? QuoteHeader::kTdx : QuoteHeader::kSgx);
  if (order.version == 3) {
    base::store_le16(header.data() + 8, order.qe.isv_svn);
    base::store_le16(header.data() + 10, kSvn);  // the PCE's
  }
  std::ranges::copy(order.vendor_id, header.begin() + 12);
  // The QE's id, 16 bytes: which QE on which machine. The attestation key is as lasting.
  std::copy_n(sha256(base::as_bytes("SIMULATED QE id"), attestation_key).begin(), 16, header.begin() + 28);

  Bytes body;
  if (order.td) {
    body = order.td->to_bytes();
  } else {
    base::append(body, order.enclave.to_bytes());
  }
  Bytes out(header.begin(), header.end());
  if (order.version == 5) {
    append_le16(out, !order.td ? 1 : order.td->partitioned ? 4 : order.td->tdx15 ? 3 : 2);
    append_le32(out, static_cast<std::uint32_t>(body.size()));
  }
  base::append(out, body);
  return out;
}

}  // namespace

Bytes usual_auth_data() {
  Bytes out(32);
  std::iota(out.begin(), out.end(), std::uint8_t{0});
  return out;
}

Result<Bytes> issue_quote(const QuoteOrder& order, const Ca& ca, const SigningKey& attestation_key) {
  ByteArray<64> named_key = order.attestation_key.value_or(attestation_key.public_key());
  Bytes out = signed_part(order, named_key);
  ENCLAYER_TRY(auto signature, attestation_key.sign(out));

  // The PCK vouches for the QE's report, the report for the attestation key.
  ReportBody certified = order.qe;
  certified.report_data = {};
  std::ranges::copy(sha256(named_key, order.auth_data), certified.report_data.begin());
  certified.report_data.back() = order.qe_report_data_end;
  auto qe_report = certified.to_bytes();
  ENCLAYER_TRY(auto qe_report_signature, ca.pck.key.sign(qe_report));
  std::string chain = ca.pck_chain();
  ByteView data = order.certification_data ? ByteView(*order.certification_data) : base::as_bytes(chain);

  Bytes certification;
  base::append(certification, qe_report);
  base::append(certification, qe_report_signature);
  append_le16(certification, static_cast<std::uint16_t>(order.auth_data.size()));
  base::append(certification, order.auth_data);
  append_le16(certification, order.certification_type);
  append_le32(certification, static_cast<std::uint32_t>(data.size()));
  base::append(certification, data);
  if (order.version >= 4) {
    Bytes wrapped;
    append_le16(wrapped, CertificationData::kQeReportCertification);
    append_le32(wrapped, static_cast<std::uint32_t>(certification.size()));
    base::append(wrapped, certification);
    certification = std::move(wrapped);
  }
  append_le32(out, static_cast<std::uint32_t>(signature.size() + named_key.size() + certification.size()));
  base::append(out, signature);
  base::append(out, named_key);
  base::append(out, certification);
  return out;
}

}  // namespace enclayer::sim
