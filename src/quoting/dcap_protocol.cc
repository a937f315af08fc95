// SPDX-License-Identifier: Apache-2.0
#include "quoting/dcap_protocol.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/printable.h"

namespace enclayer::quoting {
namespace {

using base::append;
using base::ByteReader;

constexpr std::size_t kNonceSize = 16, kPubKeyIdSize = 32;
constexpr std::size_t kSignatureLengthAt = 432, kSignatureAt = 436, kSmallestQuote = 1052;

void append_le32(Bytes& out, std::uint32_t number) {
  std::uint8_t bytes[4];
  base::store_le32(bytes, number);
  append(out, bytes);
}

void append_le16(Bytes& out, std::uint16_t number) {
  std::uint8_t bytes[2];
  base::store_le16(bytes, number);
  append(out, bytes);
}

void append_text(Bytes& out, std::string_view text) { append(out, base::as_bytes(text.substr(0, kMostDcapText))); }

Error malformed(const char* message, std::size_t size) {
  return {ErrorKind::kMalformed, "a " + std::string(message) + " of " + std::to_string(size) +
                                     " bytes between quote worker and front end is not well-formed"};
}

std::optional<std::string> text_of(ByteView bytes) {
  if (bytes.size() > kMostDcapText) return std::nullopt;
  return base::printable(base::as_text(bytes), kMostDcapText);
}

// 0 or 1, before something that may be there.
std::optional<bool> take_flag(ByteReader& rest) {
  auto byte = rest.take(1);
  if (!byte || (*byte)[0] > 1) return std::nullopt;
  return (*byte)[0] == 1;
}

template <std::size_t N>
std::optional<ByteArray<N>> take_array(ByteReader& rest) {
  auto bytes = rest.take(N);
  return bytes ? std::optional(base::array_at<N>(*bytes, 0)) : std::nullopt;
}

void append_file(Bytes& out, const DcapFile& file) {
  auto path = std::string_view(file.path).substr(0, DcapFile::kMostPath);
  append_le16(out, static_cast<std::uint16_t>(path.size()));
  append(out, base::as_bytes(path));
  auto sigstructs = std::min(file.sigstructs.size(), DcapFile::kMostSigstructs);
  out.push_back(static_cast<std::uint8_t>(sigstructs));
  for (std::size_t i = 0; i < sigstructs; ++i) {
    append(out, file.sigstructs[i].mr_enclave);
    append_le16(out, file.sigstructs[i].isv_prod_id);
    append_le16(out, file.sigstructs[i].isv_svn);
  }
}

std::optional<DcapFile> take_file(ByteReader& rest) {
  auto size = rest.le16();
  if (!size || *size > DcapFile::kMostPath) return std::nullopt;
  auto path = rest.take(*size);
  auto sigstructs = rest.take(1);
  if (!path || !sigstructs || (*sigstructs)[0] > DcapFile::kMostSigstructs) return std::nullopt;
  DcapFile file{base::printable(base::as_text(*path), DcapFile::kMostPath), {}};
  for (std::size_t i = 0; i < (*sigstructs)[0]; ++i) {
    auto mr_enclave = take_array<32>(rest);
    auto isv_prod_id = rest.le16(), isv_svn = rest.le16();
    if (!mr_enclave || !isv_prod_id || !isv_svn) return std::nullopt;
    file.sigstructs.push_back({*mr_enclave, *isv_prod_id, *isv_svn});
  }
  return file;
}

}  // namespace

Bytes encode(const DcapHello& hello) {
  Bytes out{static_cast<std::uint8_t>(hello.loaded)};
  append_text(out, hello.text);
  return out;
}

Bytes encode(const DcapRequest& request) {
  Bytes out{static_cast<std::uint8_t>(request.call)};
  if (request.call != DcapCall::kQuote) return out;
  append(out, request.report.raw);
  out.push_back(request.qe_report ? 1 : 0);
  if (request.qe_report) {
    append(out, request.qe_report->nonce);
    append(out, request.qe_report->target.to_bytes());
  }
  return out;
}

Bytes encode(const DcapReply& reply, DcapCall call) {
  Bytes out;
  append_le32(out, reply.status);
  if (reply.status != kDcapSuccess) {
    append_text(out, reply.text);
    return out;
  }
  switch (call) {
    case DcapCall::kInit:
      append(out, reply.target.qe.to_bytes());
      append(out, reply.target.pub_key_id);
      break;
    case DcapCall::kSize: append_le32(out, reply.size); break;
    case DcapCall::kQuote:
      out.push_back(reply.quote.qe_report ? 1 : 0);
      if (reply.quote.qe_report) append(out, reply.quote.qe_report->raw);
      append(out, reply.quote.quote);
      break;
    case DcapCall::kFiles:
      out.push_back(static_cast<std::uint8_t>(std::min(reply.files.size(), kMostDcapFiles)));
      for (std::size_t i = 0; i < std::min(reply.files.size(), kMostDcapFiles); ++i) append_file(out, reply.files[i]);
      break;
  }
  return out;
}

Result<DcapHello> decode_dcap_hello(ByteView message) {
  ByteReader rest(message);
  auto loaded = take_flag(rest);
  auto text = text_of(rest.rest());
  if (!loaded || !text) return malformed("hello", message.size());
  return DcapHello{*loaded, *std::move(text)};
}

Result<DcapRequest> decode_dcap_request(ByteView message) {
  ByteReader rest(message);
  auto call = rest.take(1);
  if (!call || (*call)[0] < 1 || (*call)[0] > 4) return malformed("request", message.size());
  DcapRequest request;
  request.call = static_cast<DcapCall>((*call)[0]);
  if (request.call == DcapCall::kQuote) {
    auto report = take_array<sgx::Report::kSize>(rest);
    auto with_qe_report = take_flag(rest);
    if (!report || !with_qe_report) return malformed("request", message.size());
    request.report.raw = *report;
    if (*with_qe_report) {
      auto nonce = take_array<kNonceSize>(rest);
      auto target = take_array<sgx::TargetInfo::kSize>(rest);
      if (!nonce || !target) return malformed("request", message.size());
      request.qe_report = QeReportRequest{*nonce, sgx::TargetInfo::from_bytes(*target)};
    }
  }
  if (rest.remaining() != 0) return malformed("request", message.size());
  return request;
}

Result<DcapReply> decode_dcap_reply(ByteView message, DcapCall call) {
  ByteReader rest(message);
  auto status = rest.le32();
  if (!status) return malformed("reply", message.size());
  DcapReply reply;
  reply.status = *status;
  if (reply.status != kDcapSuccess) {
    auto text = text_of(rest.rest());
    if (!text) return malformed("reply", message.size());
    reply.text = *std::move(text);
    return reply;
  }
  switch (call) {
    case DcapCall::kInit: {
      auto target = take_array<sgx::TargetInfo::kSize>(rest);
      auto pub_key_id = take_array<kPubKeyIdSize>(rest);
      if (!target || !pub_key_id) return malformed("reply", message.size());
      reply.target = {sgx::TargetInfo::from_bytes(*target), *pub_key_id};
      break;
    }
    case DcapCall::kSize: {
      auto size = rest.le32();
      if (!size || *size < kSmallestQuote || *size > kMostQuote) return malformed("reply", message.size());
      reply.size = *size;
      break;
    }
    case DcapCall::kQuote: {
      auto with_qe_report = take_flag(rest);
      if (!with_qe_report) return malformed("reply", message.size());
      if (*with_qe_report) {
        auto report = take_array<sgx::Report::kSize>(rest);
        if (!report) return malformed("reply", message.size());
        reply.quote.qe_report = sgx::Report{*report};
      }
      ByteView quote = rest.rest();
      auto length = length_of_quote(quote);
      if (!length || *length != quote.size()) return malformed("reply", message.size());
      reply.quote.quote.assign(quote.begin(), quote.end());
      rest = ByteReader({});
      break;
    }
    case DcapCall::kFiles: {
      auto count = rest.take(1);
      if (!count || (*count)[0] > kMostDcapFiles) return malformed("reply", message.size());
      for (std::size_t i = 0; i < (*count)[0]; ++i) {
        auto file = take_file(rest);
        if (!file) return malformed("reply", message.size());
        reply.files.push_back(*std::move(file));
      }
      break;
    }
  }
  if (rest.remaining() != 0) return malformed("reply", message.size());
  return reply;
}

Result<std::size_t> length_of_quote(ByteView buffer) {
  auto refuse = [](const std::string& why) { return Error(ErrorKind::kMalformed, "the quote " + why); };
  if (buffer.size() < kSmallestQuote) return refuse("has only " + std::to_string(buffer.size()) + " bytes");
  if (base::load_le16(buffer.data()) != 3 || base::load_le16(buffer.data() + 2) != 2)
    return refuse("is not of version 3 with an ECDSA P-256 signature");
  std::size_t length = kSignatureAt + std::size_t{base::load_le32(buffer.data() + kSignatureLengthAt)};
  if (length < kSmallestQuote || length > std::min(buffer.size(), kMostQuote))
    return refuse("says that it has " + std::to_string(length) + " bytes");
  return length;
}

}  // namespace enclayer::quoting
