// SPDX-License-Identifier: Apache-2.0
// The AESM service without its socket: the bytes of one request in, the bytes of the reply out.
//
// The answers are those of Intel's aesmd (docs/formats/aesm.md), odd input included, with its faults left out: nothing
// is allocated by a number that a client sent, buf_size is only ever compared, and every reply is smaller than 20 KiB.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "aesm/codes.h"
#include "enclayer/bytes.h"
#include "enclayer/report.h"
#include "quoting/quote_source.h"

namespace enclayer::aesm {

// The kinds of requests; the value is the field's number in Request.
enum class RequestKind {
  kInitQuote = 1,
  kGetQuote = 2,
  kGetLaunchToken = 3,
  kReportAttestationError = 4,
  kGetWhiteListSize = 10,
  kGetWhiteList = 11,
  kGetExtendedEpidGroupId = 12,
  kSwitchExtendedEpidGroup = 13,
  kRegister = 14,
  kInitQuoteEx = 15,
  kGetQuoteSizeEx = 16,
  kGetQuoteEx = 17,
  kCheckUpdateStatus = 18,
  kSelectAttKeyId = 19,
  kGetSupportedAttKeyIdNum = 21,
  kGetSupportedAttKeyIds = 22,
};

// A word for logs and metrics: "get_quote_ex".
std::string_view to_string(RequestKind kind);

struct Answer {
  RequestKind kind{};
  Code code = kSuccess;
  std::string why;                   // what the log says where code is not kSuccess
  std::optional<ReportBody> quoted;  // whom a quote was made for; proven by the report's MAC
  Bytes reply;                       // one Response, without a length in front
};

// A request that only the quote source can answer. All that can be checked without it has been checked.
struct Question {
  RequestKind kind{};  // kInitQuoteEx (with b_pub_key_id), kGetQuoteSizeEx or kGetQuoteEx
  // Of kGetQuoteEx.
  sgx::Report report;
  std::optional<quoting::QeReportRequest> qe_report;
  Bytes qe_report_info;  // as the client sent it: 960 bytes or none
  std::uint32_t buf_size = 0;
};

class Service {
 public:
  explicit Service(quoting::QuoteSource& source) : source_(source) {}

  // Never waits: either the answer is known or it is a question to the quote source. Neither: no reply exists for this
  // (not a protobuf message, no field that we know); close the connection, as aesmd does.
  static std::variant<std::monostate, Answer, Question> read(ByteView request);

  // Asks the quote source, which may take its time. From several threads as far as the source allows it.
  Answer answer(const Question& question) const;

  // The answer to kInitQuoteEx and kGetQuoteSizeEx where it is known.
  static Answer answer(const Question& question, const quoting::QuoteTerms& terms);

  // The answer to a question that the quote source is not asked.
  static Answer refuse(const Question& question, Code code, std::string why);

  // read() and answer() in one.
  std::optional<Answer> answer(ByteView request) const;

 private:
  quoting::QuoteSource& source_;
};

}  // namespace enclayer::aesm
