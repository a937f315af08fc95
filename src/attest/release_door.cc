// SPDX-License-Identifier: Apache-2.0
#include "attest/release_door.h"

#include <nlohmann/json.hpp>

#include "attest/azure_door.h"
#include "attest/rats_door.h"
#include "attest/request_json.h"
#include "attest/token_claims.h"
#include "base/bytes.h"
#include "base/log.h"
#include "base/printable.h"

namespace enclayer::attest {
namespace {

using nlohmann::ordered_json;

// The answer for an error: whose mistake it was.
http::Answer refused(const Error& error) {
  switch (error.kind()) {
    case ErrorKind::kUnavailable: return problem(503, error.message());
    case ErrorKind::kPermissionDenied: return problem(error.code() == 401 ? 401 : 403, error.message());
    case ErrorKind::kInternal: return problem(500, error.message());
    default: return problem(400, error.message());
  }
}

}  // namespace

http::Answer ReleaseDoor::release(std::string_view secret, const http::Incoming& request, Time now) const {
  auto caller = callers_.caller_of(request);
  if (!caller) {
    base::log::warn("secret not released", {{"secret", base::printable(secret, 64)},
                                            {"reason", caller.error().message()},
                                            {"peer", request.peer},
                                            {"client", request.client}});
    http::Answer answer = refused(caller.error());
    if (answer.status == 401) answer.headers.emplace_back("WWW-Authenticate", "Bearer");
    return answer;
  }
  auto document = parse_request(request.body, {"quote", "runtime_data"});
  if (!document) return refused(document.error());
  auto quote = bytes_of(document->root(), "quote", kMaxEvidence);
  if (!quote) return refused(quote.error());
  auto data = bytes_of(document->root(), "runtime_data", kMaxRuntimeData);
  if (!data) return refused(data.error());
  const RuntimeData runtime{std::string(base::as_text(*data)), true};
  if (auto parsed = parse_runtime_json(runtime.bytes); !parsed)
    return refused(parsed.error().with_context("runtime_data"));

  auto appraisal = appraiser_.appraise({.quote = *std::move(quote), .runtime_data = runtime.bytes}, now);
  if (!appraisal) return refused(appraisal.error());
  log_decision("release", request, *appraisal, appraisal->accepted());
  if (!appraisal->accepted()) return problem(403, appraisal->refusal());
  const std::string claims = azure_claims(instance_, *appraisal, &runtime, now).dump();
  auto jwe = release_.release({secret, claims, runtime.bytes, appraisal->quote_sha256});
  if (!jwe) return refused(jwe.error());
  return {200, "application/json", ordered_json({{"value", *jwe}}).dump(), {{"Cache-Control", "no-store"}}};
}

}  // namespace enclayer::attest
