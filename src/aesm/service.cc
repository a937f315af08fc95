// SPDX-License-Identifier: Apache-2.0
#include "aesm/service.h"

#include <array>
#include <utility>

#include "aesm/att_key_id.h"
#include "base/bytes.h"
#include "base/error.h"
#include "proto/aesm.pb.h"

namespace enclayer::aesm {
namespace {

namespace message = ::aesm::message;
using base::as_bytes;

constexpr std::size_t kAttKeyIdSize = std::tuple_size_v<AttKeyId>;

// How a request ended: a code for the client, a sentence for the log.
struct Outcome {
  Code code = kSuccess;
  std::string why;

  bool ok() const { return code == kSuccess; }
};

Outcome refused(Code code, std::string why) { return {code, std::move(why)}; }

// A quote source may know the code better than the kind of its error says it.
Outcome refused(const Error& error) {
  std::uint32_t code = error.code() != 0 ? error.code() : base::at_border(error.kind()).aesm_code;
  return {static_cast<Code>(code), error.message()};
}

std::string sizes(std::string_view what, std::uint64_t got, std::uint64_t wanted) {
  return std::string(what) + " is " + std::to_string(got) + ", it has to be " + std::to_string(wanted);
}

void put(std::string& field, ByteView bytes) { field.assign(base::as_text(bytes)); }

// aesmd says UNEXPECTED where a field that the protocol demands is missing.
template <class Request>
Outcome complete(const Request& request) {
  if (request.IsInitialized()) return {};
  return refused(kUnexpected, "a required field is missing");
}

Outcome known_key(const std::string& att_key_id) {
  if (att_key_id.size() < kAttKeyIdSize)
    return refused(kParameter, "att_key_id has " + std::to_string(att_key_id.size()) + " bytes, it has to have 256");
  if (!names_ecdsa_key(as_bytes(att_key_id)))
    return refused(kUnsupportedAttKeyId, "att_key_id names another key than the ECDSA P-256 key of the QE");
  return {};
}

// The answer, or nothing where the quote source has to be asked.
std::optional<Outcome> init_quote_ex(const message::InitQuoteExRequest& request,
                                     message::InitQuoteExResponse& response) {
  auto outcome = [&]() -> std::optional<Outcome> {
    if (auto missing = complete(request); !missing.ok()) return missing;
    if (auto unknown = known_key(request.att_key_id()); !unknown.ok()) return unknown;
    if (!request.b_pub_key_id()) {
      // Only the size is asked for. As aesmd does, the target info is zero: this answer never waits for an enclave.
      response.mutable_target_info()->assign(sgx::TargetInfo::kSize, '\0');
      response.set_pub_key_id_size(kPubKeyIdSize);
      return Outcome{};
    }
    if (request.buf_size() != kPubKeyIdSize)
      return refused(kParameter, sizes("buf_size for the public key id", request.buf_size(), kPubKeyIdSize));
    return std::nullopt;
  }();
  if (outcome && !outcome->ok()) response.set_pub_key_id_size(request.b_pub_key_id() ? request.buf_size() : 0);
  return outcome;
}

std::optional<Outcome> get_quote_size_ex(const message::GetQuoteSizeExRequest& request,
                                         message::GetQuoteSizeExResponse& response) {
  response.set_quote_size(0);
  if (auto unknown = known_key(request.att_key_id()); !unknown.ok()) return unknown;
  return std::nullopt;
}

std::optional<Outcome> get_quote_ex(const message::GetQuoteExRequest& request, Question& question) {
  if (auto missing = complete(request); !missing.ok()) return missing;
  if (auto unknown = known_key(request.att_key_id()); !unknown.ok()) return unknown;
  if (request.report().size() != sgx::Report::kSize)
    return refused(kParameter, sizes("the size of the report", request.report().size(), sgx::Report::kSize));
  question.report.raw = base::array_at<sgx::Report::kSize>(as_bytes(request.report()), 0);
  question.buf_size = request.buf_size();
  if (!request.has_qe_report_info()) return std::nullopt;

  using Info = sgx::QeReportInfo;
  ByteView info = as_bytes(request.qe_report_info());
  if (info.size() != Info::kSize)
    return refused(kParameter, sizes("the size of qe_report_info", info.size(), Info::kSize));
  question.qe_report_info.assign(info.begin(), info.end());
  question.qe_report.emplace();
  question.qe_report->nonce = base::array_at<16>(info, 0);
  question.qe_report->target =
      sgx::TargetInfo::from_bytes(info.subspan<Info::kTargetInfoOffset, sgx::TargetInfo::kSize>());
  return std::nullopt;
}

Outcome tell_target(const Result<quoting::QuoteTarget>& target, message::InitQuoteExResponse& response) {
  response.set_pub_key_id_size(kPubKeyIdSize);
  if (!target) return refused(target.error());
  put(*response.mutable_target_info(), target->qe.to_bytes());
  put(*response.mutable_pub_key_id(), target->pub_key_id);
  return {};
}

Outcome tell_quote_size(const Result<std::uint32_t>& size, message::GetQuoteSizeExResponse& response) {
  response.set_quote_size(size.value_or(0));
  if (!size) return refused(size.error());
  return {};
}

Outcome ask_quote(quoting::QuoteSource& source, const Question& question, message::GetQuoteExResponse& response) {
  // In the order of Intel's QE: the report's MAC first, then the size of the buffer.
  auto reply = source.quote(question.report, question.qe_report);
  if (!reply) {
    // A wrong MAC. Not kInvalidReport: see quoting/dcap_status.h.
    if (reply.error().kind() == ErrorKind::kPermissionDenied && reply.error().code() == 0)
      return refused(kAttKeyNotInitialized, reply.error().message());
    return refused(reply.error());
  }
  if (question.buf_size < reply->quote.size())
    return refused(kParameter, "buf_size is " + std::to_string(question.buf_size) + ", the quote has " +
                                   std::to_string(reply->quote.size()) + " bytes");
  if (question.qe_report && !reply->qe_report) return refused(kUnexpected, "the quote source made no QE report");
  put(*response.mutable_quote(), reply->quote);
  if (question.qe_report) {
    // The client's own nonce and target info come back in front of the QE's report: all 960 bytes, clients slice them.
    std::string& info = *response.mutable_qe_report_info();
    put(info, question.qe_report_info);
    info.replace(sgx::QeReportInfo::kReportOffset, sgx::Report::kSize, base::as_text(reply->qe_report->raw));
  }
  return {};
}

Outcome select_att_key_id(const message::SelectAttKeyIdRequest& request, message::SelectAttKeyIdResponse& response) {
  if (!request.has_att_key_id_list()) {
    put(*response.mutable_selected_att_key_id(), ecdsa_att_key_id());
    return {};
  }
  constexpr std::uint32_t kMostIds = 10;
  base::ByteReader list(as_bytes(request.att_key_id_list()));
  auto id = list.le16();
  auto version = list.le16();
  auto number = list.le32();
  if (!number || *id != 0 || *version != 0 || *number > kMostIds || list.remaining() != *number * kAttKeyIdSize)
    return refused(kParameter, "the list of key ids is not well-formed");
  while (auto entry = list.take(kAttKeyIdSize)) {
    if (!names_ecdsa_key(*entry)) continue;
    put(*response.mutable_selected_att_key_id(), *entry);  // the client's own entry: its SPID is kept
    return {};
  }
  return refused(kUnsupportedAttKeyId, "no key of the list is to be had here");
}

Outcome get_supported_att_key_ids(const message::GetSupportedAttKeyIdsRequest& request,
                                  message::GetSupportedAttKeyIdsResponse& response) {
  if (auto missing = complete(request); !missing.ok()) return missing;
  if (request.buf_size() != kAttKeyIdSize)
    return refused(kParameter, sizes("buf_size for the key ids", request.buf_size(), kAttKeyIdSize));
  put(*response.mutable_att_key_ids(), ecdsa_att_key_id());
  return {};
}

// error_code is written in every case: the clients' protobuf demands it.
template <class Part>
Answer finished(RequestKind kind, message::Response& response, Part* part, Outcome outcome) {
  part->set_error_code(outcome.code);
  Answer answer{kind, outcome.code, std::move(outcome.why), std::nullopt, {}};
  std::size_t size = response.ByteSizeLong();
  answer.reply.reserve(size + 4);  // room for the length that the server puts in front
  answer.reply.resize(size);
  response.SerializePartialToArray(answer.reply.data(), static_cast<int>(answer.reply.size()));
  return answer;
}

// The EPID-era requests: an aesmd without those parts says "service unavailable", and machines with launch control need
// nothing of it.
Outcome no_such_service() { return refused(kServiceUnavailable, "EPID attestation and launch tokens are not served"); }

}  // namespace

std::string_view to_string(RequestKind kind) {
  switch (kind) {
    case RequestKind::kInitQuote: return "init_quote";
    case RequestKind::kGetQuote: return "get_quote";
    case RequestKind::kGetLaunchToken: return "get_launch_token";
    case RequestKind::kReportAttestationError: return "report_attestation_error";
    case RequestKind::kGetWhiteListSize: return "get_white_list_size";
    case RequestKind::kGetWhiteList: return "get_white_list";
    case RequestKind::kGetExtendedEpidGroupId: return "get_extended_epid_group_id";
    case RequestKind::kSwitchExtendedEpidGroup: return "switch_extended_epid_group";
    case RequestKind::kRegister: return "register";
    case RequestKind::kInitQuoteEx: return "init_quote_ex";
    case RequestKind::kGetQuoteSizeEx: return "get_quote_size_ex";
    case RequestKind::kGetQuoteEx: return "get_quote_ex";
    case RequestKind::kCheckUpdateStatus: return "check_update_status";
    case RequestKind::kSelectAttKeyId: return "select_att_key_id";
    case RequestKind::kGetSupportedAttKeyIdNum: return "get_supported_att_key_id_num";
    case RequestKind::kGetSupportedAttKeyIds: return "get_supported_att_key_ids";
  }
  return "unknown";
}

std::variant<std::monostate, Answer, Question> Service::read(ByteView bytes) {
  message::Request request;
  if (bytes.size() > std::size_t{1} << 20 ||
      !request.ParsePartialFromArray(bytes.data(), static_cast<int>(bytes.size())))
    return {};

  message::Response response;
  auto with = [&](RequestKind kind, auto* part, Outcome outcome) {
    return finished(kind, response, part, std::move(outcome));
  };
  using Kind = RequestKind;

  // A request with several fields is taken for the first of them in aesmd's order: 3, 1, 2, 4, 18, 10 to 17, 19,
  // 21, 22. The zeros beside the error codes are aesmd's too.
  if (request.has_get_launch_token())
    return with(Kind::kGetLaunchToken, response.mutable_get_launch_token(), no_such_service());
  if (request.has_init_quote()) return with(Kind::kInitQuote, response.mutable_init_quote(), no_such_service());
  if (request.has_get_quote()) return with(Kind::kGetQuote, response.mutable_get_quote(), no_such_service());
  if (request.has_report_attestation_error())
    return with(Kind::kReportAttestationError, response.mutable_report_attestation_error(), no_such_service());
  if (request.has_check_update_status()) {
    auto* part = response.mutable_check_update_status();
    part->set_status(0);
    return with(Kind::kCheckUpdateStatus, part, no_such_service());
  }
  if (request.has_get_white_list_size()) {
    auto* part = response.mutable_get_white_list_size();
    part->set_white_list_size(0);
    return with(Kind::kGetWhiteListSize, part, no_such_service());
  }
  if (request.has_get_white_list())
    return with(Kind::kGetWhiteList, response.mutable_get_white_list(), no_such_service());
  if (request.has_get_extended_epid_group_id()) {
    auto* part = response.mutable_get_extended_epid_group_id();
    part->set_x_group_id(0);
    return with(Kind::kGetExtendedEpidGroupId, part, no_such_service());
  }
  if (request.has_switch_extended_epid_group())
    return with(Kind::kSwitchExtendedEpidGroup, response.mutable_switch_extended_epid_group(), no_such_service());
  if (request.has_register_()) return with(Kind::kRegister, response.mutable_register_(), no_such_service());

  Question question;
  if (request.has_init_quote_ex()) {
    question.kind = Kind::kInitQuoteEx;
    auto* part = response.mutable_init_quote_ex();
    if (auto known = init_quote_ex(request.init_quote_ex(), *part)) return with(question.kind, part, *known);
    return question;
  }
  if (request.has_get_quote_size_ex()) {
    question.kind = Kind::kGetQuoteSizeEx;
    auto* part = response.mutable_get_quote_size_ex();
    if (auto known = get_quote_size_ex(request.get_quote_size_ex(), *part)) return with(question.kind, part, *known);
    return question;
  }
  if (request.has_get_quote_ex()) {
    question.kind = Kind::kGetQuoteEx;
    auto* part = response.mutable_get_quote_ex();
    if (auto known = get_quote_ex(request.get_quote_ex(), question)) return with(question.kind, part, *known);
    return question;
  }

  if (request.has_select_att_key_id()) {
    auto* part = response.mutable_select_att_key_id();
    return with(Kind::kSelectAttKeyId, part, select_att_key_id(request.select_att_key_id(), *part));
  }
  if (request.has_get_supported_att_key_id_num()) {
    auto* part = response.mutable_get_supported_att_key_id_num();
    part->set_att_key_id_num(1);
    return with(Kind::kGetSupportedAttKeyIdNum, part, {});
  }
  if (request.has_get_supported_att_key_ids()) {
    auto* part = response.mutable_get_supported_att_key_ids();
    return with(Kind::kGetSupportedAttKeyIds, part,
                get_supported_att_key_ids(request.get_supported_att_key_ids(), *part));
  }
  return {};
}

Answer Service::answer(const Question& question, const quoting::QuoteTerms& terms) {
  message::Response response;
  if (question.kind == RequestKind::kInitQuoteEx) {
    auto* part = response.mutable_init_quote_ex();
    return finished(question.kind, response, part, tell_target(terms.target, *part));
  }
  auto* part = response.mutable_get_quote_size_ex();
  return finished(RequestKind::kGetQuoteSizeEx, response, part, tell_quote_size(terms.quote_size, *part));
}

Answer Service::answer(const Question& question) const {
  message::Response response;
  if (question.kind == RequestKind::kInitQuoteEx) {
    auto* part = response.mutable_init_quote_ex();
    return finished(question.kind, response, part, tell_target(source_.target(), *part));
  }
  if (question.kind == RequestKind::kGetQuoteSizeEx) {
    auto* part = response.mutable_get_quote_size_ex();
    return finished(question.kind, response, part, tell_quote_size(source_.quote_size(), *part));
  }
  auto* part = response.mutable_get_quote_ex();
  Answer answer = finished(question.kind, response, part, ask_quote(source_, question, *part));
  if (answer.code == kSuccess) answer.quoted = question.report.body();
  return answer;
}

Answer Service::refuse(const Question& question, Code code, std::string why) {
  message::Response response;
  Outcome outcome = refused(code, std::move(why));
  if (question.kind == RequestKind::kInitQuoteEx) {
    auto* part = response.mutable_init_quote_ex();
    part->set_pub_key_id_size(kPubKeyIdSize);
    return finished(question.kind, response, part, std::move(outcome));
  }
  if (question.kind == RequestKind::kGetQuoteSizeEx) {
    auto* part = response.mutable_get_quote_size_ex();
    part->set_quote_size(0);
    return finished(question.kind, response, part, std::move(outcome));
  }
  return finished(question.kind, response, response.mutable_get_quote_ex(), std::move(outcome));
}

std::optional<Answer> Service::answer(ByteView request) const {
  auto read_as = read(request);
  if (auto* question = std::get_if<Question>(&read_as)) return answer(*question);
  if (auto* known = std::get_if<Answer>(&read_as)) return std::move(*known);
  return std::nullopt;
}

}  // namespace enclayer::aesm
