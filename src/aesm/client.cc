// SPDX-License-Identifier: Apache-2.0
#include "aesm/client.h"

#include <algorithm>
#include <string>

#include "aesm/att_key_id.h"
#include "aesm/codes.h"
#include "base/bytes.h"
#include "base/malformed.h"
#include "proto/aesm.pb.h"

namespace enclayer::aesm {
namespace {

namespace message = ::aesm::message;
using base::as_bytes;

// What Intel's client writes (15 s); services ignore it.
constexpr std::uint32_t kTimeoutMs = 15'000;
// A v3 quote: header and report body, then a length, then what the length says.
constexpr std::size_t kSignedSize = 432, kQuoteHeadSize = kSignedSize + 4;

std::string text(ByteView bytes) { return std::string(base::as_text(bytes)); }

Bytes serialized(const message::Request& request) {
  Bytes out(request.ByteSizeLong());
  request.SerializeToArray(out.data(), static_cast<int>(out.size()));
  return out;
}

constexpr base::Malformed malformed{"the AESM service's reply is not understood: "};

Result<message::Response> parse(ByteView reply) {
  message::Response response;
  // Partial and then complete: protobuf itself would write to standard error about a field that is missing.
  if (reply.size() > std::size_t{1} << 20 ||
      !response.ParsePartialFromArray(reply.data(), static_cast<int>(reply.size())) || !response.IsInitialized())
    return malformed("not a complete Response message");
  return response;
}

Result<> succeeded(std::string_view asked, std::uint32_t error_code) {
  if (error_code == kSuccess) return {};
  Code code = static_cast<Code>(error_code);
  return Error(kind_of(code), "the AESM service refused " + std::string(asked) + ": " + to_string(code));
}

message::Request init(bool pub_key_id) {
  message::Request request;
  auto* init = request.mutable_init_quote_ex();
  init->set_att_key_id(text(ecdsa_att_key_id()));
  init->set_b_pub_key_id(pub_key_id);
  if (pub_key_id) init->set_buf_size(kPubKeyIdSize);
  init->set_timeout(kTimeoutMs);
  return request;
}

}  // namespace

Bytes init_size_request() { return serialized(init(false)); }
Bytes init_request() { return serialized(init(true)); }

Bytes quote_size_request() {
  message::Request request;
  auto* size = request.mutable_get_quote_size_ex();
  size->set_att_key_id(text(ecdsa_att_key_id()));
  size->set_timeout(kTimeoutMs);
  return serialized(request);
}

Bytes quote_request(const sgx::Report& report, std::uint32_t buf_size,
                    const std::optional<quoting::QeReportRequest>& qe_report) {
  message::Request request;
  auto* quote = request.mutable_get_quote_ex();
  quote->set_report(text(report.raw));
  quote->set_att_key_id(text(ecdsa_att_key_id()));
  if (qe_report) {
    Bytes info(sgx::QeReportInfo::kSize);
    auto target = qe_report->target.to_bytes();
    std::copy(qe_report->nonce.begin(), qe_report->nonce.end(), info.begin());
    std::copy(target.begin(), target.end(), info.begin() + sgx::QeReportInfo::kTargetInfoOffset);
    quote->set_qe_report_info(text(info));
  }
  quote->set_buf_size(buf_size);
  quote->set_timeout(kTimeoutMs);
  return serialized(request);
}

Result<std::uint64_t> read_init_size_reply(ByteView reply) {
  ENCLAYER_TRY(auto response, parse(reply));
  if (!response.has_init_quote_ex()) return malformed("no InitQuoteEx answer in it");
  ENCLAYER_CHECK(succeeded("InitQuoteEx", response.init_quote_ex().error_code()));
  return response.init_quote_ex().pub_key_id_size();
}

Result<quoting::QuoteTarget> read_init_reply(ByteView reply) {
  ENCLAYER_TRY(auto response, parse(reply));
  if (!response.has_init_quote_ex()) return malformed("no InitQuoteEx answer in it");
  const auto& init = response.init_quote_ex();
  ENCLAYER_CHECK(succeeded("InitQuoteEx", init.error_code()));
  if (init.target_info().size() != sgx::TargetInfo::kSize || init.pub_key_id().size() != kPubKeyIdSize)
    return malformed("target info has " + std::to_string(init.target_info().size()) + " bytes and the public key id " +
                     std::to_string(init.pub_key_id().size()) + ", not 512 and 32");
  ByteView target = as_bytes(init.target_info());
  return quoting::QuoteTarget{sgx::TargetInfo::from_bytes(target.first<sgx::TargetInfo::kSize>()),
                              base::array_at<kPubKeyIdSize>(as_bytes(init.pub_key_id()), 0)};
}

Result<std::uint32_t> read_quote_size_reply(ByteView reply) {
  ENCLAYER_TRY(auto response, parse(reply));
  if (!response.has_get_quote_size_ex()) return malformed("no GetQuoteSizeEx answer in it");
  ENCLAYER_CHECK(succeeded("GetQuoteSizeEx", response.get_quote_size_ex().error_code()));
  return response.get_quote_size_ex().quote_size();
}

Result<quoting::QuoteReply> read_quote_reply(ByteView reply, bool with_qe_report) {
  ENCLAYER_TRY(auto response, parse(reply));
  if (!response.has_get_quote_ex()) return malformed("no GetQuoteEx answer in it");
  const auto& answer = response.get_quote_ex();
  ENCLAYER_CHECK(succeeded("GetQuoteEx", answer.error_code()));

  ByteView quote = as_bytes(answer.quote());
  if (quote.size() < kQuoteHeadSize) return malformed("the quote has " + std::to_string(quote.size()) + " bytes");
  std::uint32_t signature_size = base::load_le32(quote.data() + kSignedSize);
  if (signature_size > quote.size() - kQuoteHeadSize)
    return malformed("the quote says that it has " + std::to_string(kQuoteHeadSize + std::uint64_t{signature_size}) +
                     " bytes, it has " + std::to_string(quote.size()));
  quote = quote.first(kQuoteHeadSize + signature_size);

  quoting::QuoteReply out;
  out.quote.assign(quote.begin(), quote.end());
  if (with_qe_report) {
    using Info = sgx::QeReportInfo;
    if (answer.qe_report_info().size() != Info::kSize)
      return malformed("qe_report_info has " + std::to_string(answer.qe_report_info().size()) + " bytes, not 960");
    out.qe_report =
        sgx::Report{base::array_at<sgx::Report::kSize>(as_bytes(answer.qe_report_info()), Info::kReportOffset)};
  }
  return out;
}

}  // namespace enclayer::aesm
