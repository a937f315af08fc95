// SPDX-License-Identifier: Apache-2.0
#include "enclayer/quote.h"
#include "base/malformed.h"

#include <string>

#include "base/bytes.h"

namespace enclayer {
namespace {

using base::array_at;
using base::load_le16;
using base::load_le32;
using base::load_le64;

constexpr std::size_t kOpenEnclaveHeaderSize = 16;

constexpr base::Malformed bad_quote{"quote: "};
Error unsupported_quote(std::string message) { return {ErrorKind::kUnsupported, "quote: " + std::move(message)}; }

// Takes fields from the front and says which one does not fit.
class Fields {
 public:
  explicit Fields(ByteView bytes) : reader_(bytes) {}

  std::size_t left() const { return reader_.remaining(); }

  Result<ByteView> take(std::size_t size, const char* what) {
    if (auto taken = reader_.take(size)) return *taken;
    return bad_quote(std::string("it ends in its ") + what + ", which has " + std::to_string(size) + " bytes; " +
                     std::to_string(left()) + " are left");
  }
  template <std::size_t N>
  Result<ByteArray<N>> array(const char* what) {
    ENCLAYER_TRY(ByteView taken, take(N, what));
    return array_at<N>(taken, 0);
  }
  Result<std::uint16_t> u16(const char* what) {
    ENCLAYER_TRY(ByteView taken, take(2, what));
    return load_le16(taken.data());
  }
  Result<std::uint32_t> u32(const char* what) {
    ENCLAYER_TRY(ByteView taken, take(4, what));
    return load_le32(taken.data());
  }

 private:
  base::ByteReader reader_;
};

Result<QuoteHeader> parse_header(ByteView bytes) {
  QuoteHeader header;
  header.version = load_le16(bytes.data());
  header.att_key_type = load_le16(bytes.data() + 2);
  header.tee_type = load_le32(bytes.data() + 4);
  header.vendor_id = array_at<16>(bytes, 12);
  header.user_data = array_at<20>(bytes, 28);
  if (header.version < 3 || header.version > 5)
    return unsupported_quote("version " + std::to_string(header.version) + " is not known here; 3, 4 and 5 are");
  if (header.att_key_type != QuoteHeader::kEcdsaP256)
    return unsupported_quote("attestation key type " + std::to_string(header.att_key_type) +
                             " is not known here; 2, ECDSA on P-256, is");
  if (header.tee_type != QuoteHeader::kSgx && (header.version == 3 || header.tee_type != QuoteHeader::kTdx))
    return unsupported_quote("TEE type " + std::to_string(header.tee_type) + " is not known in version " +
                             std::to_string(header.version));
  if (header.version == 3) {
    header.qe_svn = load_le16(bytes.data() + 8);
    header.pce_svn = load_le16(bytes.data() + 10);
  }
  return header;
}

// The size that the body has: a matter of TEE in versions 3 and 4, of a descriptor in version 5.
Result<std::size_t> body_size(const QuoteHeader& header, Fields& fields) {
  bool tdx = header.tee_type == QuoteHeader::kTdx;
  if (header.version < 5) return tdx ? TdReportBody::kSize : ReportBody::kSize;
  ENCLAYER_TRY(std::uint16_t type, fields.u16("body type"));
  ENCLAYER_TRY(std::uint32_t size, fields.u32("body size"));
  constexpr std::size_t kSizes[] = {ReportBody::kSize, TdReportBody::kSize, TdReportBody::kSize15,
                                    TdReportBody::kSize15Partitioned};
  if (type < 1 || type > std::size(kSizes))
    return unsupported_quote("body type " + std::to_string(type) + " is not known here; 1 to 4 are");
  std::size_t wanted = kSizes[type - 1];
  if (tdx != (type != 1))
    return bad_quote("body type " + std::to_string(type) + " contradicts TEE type " + std::to_string(header.tee_type));
  if (size != wanted)
    return bad_quote("a body of type " + std::to_string(type) + " has " + std::to_string(wanted) + " bytes, not " +
                     std::to_string(size));
  return wanted;
}

Result<CertificationData> parse_certification(std::uint16_t version, Fields& fields) {
  CertificationData out;
  ENCLAYER_TRY(out.type, fields.u16("certification data type"));
  bool known = (out.type >= CertificationData::kPpidClear && out.type <= CertificationData::kPckChain) ||
               (out.type == CertificationData::kPlatformManifest && version >= 4);
  if (!known)
    return unsupported_quote("certification data type " + std::to_string(out.type) + " is not known in version " +
                             std::to_string(version) + "; 1 to 5 are" + (version >= 4 ? ", and 7" : ""));
  ENCLAYER_TRY(std::uint32_t size, fields.u32("certification data size"));
  if (size > CertificationData::kMaxSize)
    return bad_quote("its certification data has " + std::to_string(size) + " bytes, at most " +
                     std::to_string(CertificationData::kMaxSize) + " are read");
  bool fits = true;  // does the content look like the type that it is labelled with?
  if (out.type == CertificationData::kPpidClear) fits = size == 36 || size == 34;
  if (out.type == CertificationData::kPpidRsa2048) fits = size == 276;
  if (out.type == CertificationData::kPpidRsa3072) fits = size == 404;
  if (!fits)
    return bad_quote("certification data of type " + std::to_string(out.type) + " cannot have " + std::to_string(size) +
                     " bytes");
  ENCLAYER_TRY(ByteView data, fields.take(size, "certification data"));
  out.data.assign(data.begin(), data.end());
  return out;
}

Result<> parse_signature_data(ByteView bytes, Quote& quote) {
  Fields fields(bytes);
  ENCLAYER_TRY(quote.signature, fields.array<64>("signature"));
  ENCLAYER_TRY(quote.attestation_key, fields.array<64>("attestation key"));
  if (quote.header.version >= 4) {
    ENCLAYER_TRY(std::uint16_t type, fields.u16("certification data type"));
    ENCLAYER_TRY(std::uint32_t size, fields.u32("certification data size"));
    if (type != CertificationData::kQeReportCertification)
      return unsupported_quote("version " + std::to_string(quote.header.version) +
                               " has certification data of type 6, not " + std::to_string(type));
    if (size != fields.left())
      return bad_quote("certification data should have " + std::to_string(size) + " bytes, " +
                       std::to_string(fields.left()) + " are left of the signature data");
  }
  ENCLAYER_TRY(quote.qe_report_bytes, fields.array<ReportBody::kSize>("QE report"));
  ENCLAYER_TRY(quote.qe_report_signature, fields.array<64>("QE report signature"));
  ENCLAYER_TRY(std::uint16_t auth_size, fields.u16("QE authentication data size"));
  ENCLAYER_TRY(ByteView auth, fields.take(auth_size, "QE authentication data"));
  quote.qe_auth_data.assign(auth.begin(), auth.end());
  ENCLAYER_TRY(quote.certification, parse_certification(quote.header.version, fields));
  if (fields.left() != 0)
    return bad_quote("its signature data goes on for " + std::to_string(fields.left()) +
                     " bytes after the certification data");
  return {};
}

}  // namespace

std::string_view certification_type_name(std::uint16_t type) {
  switch (type) {
    case CertificationData::kPpidClear: return "PPID";
    case CertificationData::kPpidRsa2048: return "PPID, encrypted with RSA-2048";
    case CertificationData::kPpidRsa3072: return "PPID, encrypted with RSA-3072";
    case CertificationData::kPckLeaf: return "PCK certificate";
    case CertificationData::kPckChain: return "PCK certificate chain (PEM)";
    case CertificationData::kQeReportCertification: return "QE report certification";
    case CertificationData::kPlatformManifest: return "platform manifest";
    default: return "unknown";
  }
}

Result<Quote> parse_quote(ByteView bytes) {
  Quote quote;
  if (bytes.size() >= kOpenEnclaveHeaderSize && load_le32(bytes.data()) == 1 && load_le32(bytes.data() + 4) == 2) {
    std::uint64_t size = load_le64(bytes.data() + 8);
    bytes = bytes.subspan(kOpenEnclaveHeaderSize);
    if (size > bytes.size())
      return bad_quote("its Open Enclave header promises " + std::to_string(size) + " bytes, " +
                       std::to_string(bytes.size()) + " follow");
    bytes = bytes.first(static_cast<std::size_t>(size));
    quote.open_enclave_header = true;
  }
  Fields fields(bytes);
  ENCLAYER_TRY(ByteView header, fields.take(QuoteHeader::kSize, "header"));
  ENCLAYER_TRY(quote.header, parse_header(header));
  ENCLAYER_TRY(std::size_t size, body_size(quote.header, fields));
  ENCLAYER_TRY(ByteView body, fields.take(size, "report body"));
  if (quote.header.tee_type == QuoteHeader::kTdx) {
    ENCLAYER_TRY(quote.body, TdReportBody::from_bytes(body));
  } else {
    quote.body = ReportBody::from_bytes(body.first<ReportBody::kSize>());
  }
  ByteView signed_bytes = bytes.first(bytes.size() - fields.left());
  quote.signed_bytes.assign(signed_bytes.begin(), signed_bytes.end());
  ENCLAYER_TRY(std::uint32_t signature_size, fields.u32("signature data size"));
  ENCLAYER_TRY(ByteView signature_data, fields.take(signature_size, "signature data"));
  ENCLAYER_CHECK(parse_signature_data(signature_data, quote));
  quote.size = bytes.size() - fields.left();
  return quote;
}

}  // namespace enclayer
