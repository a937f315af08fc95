// SPDX-License-Identifier: Apache-2.0
#include "attest/rats_door.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "attest/jwk.h"
#include "attest/request_json.h"
#include "attest/token_claims.h"
#include "attestation/pem.h"
#include "base/bytes.h"
#include "base/hex.h"
#include "base/printable.h"
#include "base/version.h"

namespace enclayer::attest {
namespace {

using nlohmann::ordered_json;

constexpr auto kProfile = "tag:github.com,2023:veraison/ear";
constexpr std::size_t kLeastNonce = 8, kMostNonce = 88;  // bytes of eat_nonce (RFC 9711, section 4.1)
constexpr int kAffirming = 2, kWarning = 32, kUnrecognized = 33, kContraindicated = 96, kUnknownHardware = 97;

Result<Submission> submission_of(base::JsonValue request) {
  Submission out;
  if (request.has("quote") == request.has("certificate"))
    return Error(ErrorKind::kMalformed, "the request has to have either \"quote\" or \"certificate\"");
  if (request.has("certificate")) {
    if (request.has("runtime_data"))
      return Error(ErrorKind::kMalformed, "\"runtime_data\" goes with a quote: a certificate binds its own key");
    if (const std::string text = request["certificate"].text(); text.starts_with("-----BEGIN")) {
      auto certificates = attestation::certificates_in_pem(text);
      if (!certificates || certificates->size() != 1)
        return Error(ErrorKind::kMalformed, "\"certificate\" is not one certificate in PEM");
      out.certificate = std::move(certificates->front());
    } else {
      ENCLAYER_TRY(out.certificate, bytes_of(request, "certificate", kMaxEvidence));
    }
    return out;
  }
  ENCLAYER_TRY(out.quote, bytes_of(request, "quote", kMaxEvidence));
  if (request.has("runtime_data")) {
    ENCLAYER_TRY(const Bytes bytes, bytes_of(request, "runtime_data", kMaxRuntimeData));
    out.runtime_data = std::string(base::as_text(bytes));
  }
  return out;
}

// What the evidence itself says beside its measurements. It is the evidence's word only when that was accepted.
struct Said {
  std::string nonce;
  ordered_json key;  // null: none
};
Result<Said> said_by(const Submission& submission, const Verification& verification) {
  Said out;
  if (verification.attested_key && verification.attested_key->nonce)
    out.nonce = std::string(base::as_text(*verification.attested_key->nonce));
  if (verification.attested_key && verification.verified()) {
    ENCLAYER_TRY(const RaTlsCertificate certificate, parse_ra_tls(submission.certificate));
    ENCLAYER_TRY(const std::string jwk, public_jwk(certificate.public_key));
    out.key = ordered_json::parse(jwk);
  }
  if (!submission.runtime_data || !submission.runtime_data->starts_with("{")) return out;
  ENCLAYER_TRY(const auto document, parse_runtime_json(*submission.runtime_data));
  out.nonce = document.root()["nonce"].text();
  const ordered_json data = ordered_json::parse(*submission.runtime_data, nullptr, false);
  if (const auto keys = data.find("keys"); keys != data.end() && keys->is_array() && !keys->empty())
    out.key = keys->front();
  if (!out.key.is_null() && (!out.key.is_object() || !out.key.contains("kty")))
    return Error(ErrorKind::kMalformed, "the first of \"keys\" in runtime_data is no JWK");
  for (const char* secret : kPrivateMembers)
    if (out.key.contains(secret))
      return Error(ErrorKind::kMalformed, "the key in runtime_data is a private one: it is not secret any more");
  return out;
}

std::string subject_of(const Instance& instance, const Quote& quote) {
  if (!quote.sgx()) return "tdx:mrtd:" + base::to_hex(quote.td_report().mr_td);
  const ReportBody& report = quote.report();
  if (instance.subject_is_mrenclave) return "sgx:mrenclave:" + base::to_hex(report.mr_enclave);
  return "sgx:mrsigner:" + base::to_hex(report.mr_signer) + ":" + std::to_string(report.isv_prod_id);
}

int hardware(const Verification& v) {
  if (v.simulated) return kUnknownHardware;
  switch (*v.tcb_status) {
    case TcbStatus::kUpToDate: return kAffirming;
    case TcbStatus::kSwHardeningNeeded:
    case TcbStatus::kConfigurationNeeded:
    case TcbStatus::kConfigurationAndSwHardeningNeeded:
    case TcbStatus::kTdRelaunchAdvised:
    case TcbStatus::kTdRelaunchAdvisedConfigurationNeeded: return kWarning;
    default: return kContraindicated;
  }
}

int executables(const Quote& quote, const PolicyText& policy, const Policy& floor) {
  std::vector<std::string> measured;
  bool named = false;
  if (quote.sgx()) {
    measured = {base::to_hex(quote.report().mr_enclave), base::to_hex(quote.report().mr_signer)};
    named = !floor.mr_enclave.empty() || !floor.mr_signer.empty();  // and it was accepted
  } else {
    measured = {base::to_hex(quote.td_report().mr_td)};
    named = !floor.mr_td.empty();
  }
  for (const std::string& one : measured) named = named || policy.text().find(one) != std::string::npos;
  return named ? kAffirming : kUnrecognized;
}

const char* tier(int value) {
  return value >= kContraindicated ? "contraindicated" : value >= kWarning ? "warning" : "affirming";
}

}  // namespace

http::Answer problem(int status, std::string_view detail) {
  const char* title = status == 400   ? "Bad Request"
                      : status == 401 ? "Unauthorized"
                      : status == 403 ? "Forbidden"
                      : status == 404 ? "Not Found"
                      : status == 405 ? "Method Not Allowed"
                      : status == 503 ? "Service Unavailable"
                                      : "Internal Server Error";
  const ordered_json body = {{"title", title}, {"status", status}, {"detail", detail}};
  http::Answer out{status, "application/problem+json",
                   body.dump(-1, ' ', false, ordered_json::error_handler_t::replace)};
  if (status == 503) out.headers.emplace_back("Retry-After", kRetryAfter);
  return out;
}

http::Answer RatsDoor::nonce(Time now) const {
  http::Answer out{
      200, "application/json",
      ordered_json({{"nonce", Nonces(keys_.nonce_key()).make(now)}, {"expires_in", Nonces::kLife.count()}}).dump()};
  out.headers.emplace_back("Cache-Control", "no-store");
  return out;
}

http::Answer RatsDoor::attest(const http::Incoming& request, Time now) const {
  auto refused = [](const Error& error) {
    return problem(error.kind() == ErrorKind::kUnavailable ? 503 : 400, error.message());
  };
  auto document = parse_request(request.body, {"audience", "quote", "certificate", "runtime_data"});
  if (!document) return refused(document.error());
  auto audience = document->root().text("audience");
  if (!audience) return refused(audience.error());
  if (std::find(instance_.audiences.begin(), instance_.audiences.end(), *audience) == instance_.audiences.end())
    return problem(403, "this service makes no tokens for the audience \"" + base::printable(*audience, 128) + "\"");
  auto submission = submission_of(document->root());
  if (!submission) return refused(submission.error());

  const PolicyText policy = appraiser_.policy();  // for what it names; which one judged is in the appraisal
  auto appraisal = appraiser_.appraise(*submission, now);
  if (!appraisal) return refused(appraisal.error());
  const Verification& v = appraisal->verification;
  auto said = said_by(*submission, v);
  std::string also;  // beside the verdict
  if (!said) {
    also = said.error().message();
  } else if (auto ours = Nonces(keys_.nonce_key()).check(said->nonce, now);
             !ours && (instance_.demand_nonce || ours.error().kind() == ErrorKind::kTimedOut)) {
    also = said->nonce.empty() ? "there is no nonce in the evidence; GET /nonce gives one" : ours.error().message();
  }
  const bool accepted = appraisal->accepted() && also.empty();
  log_decision("rats", request, *appraisal, accepted);
  if (!appraisal->accepted()) return problem(403, appraisal->refusal());
  if (!also.empty()) return problem(403, also);

  ordered_json token = common_claims(instance_, *appraisal, now);
  token["eat_profile"] = kProfile;
  token["sub"] = subject_of(instance_, *v.quote);
  token["aud"] = *audience;
  if (said->nonce.size() >= kLeastNonce && said->nonce.size() <= kMostNonce) token["eat_nonce"] = said->nonce;
  if (!said->key.is_null()) token["cnf"] = {{"jwk", said->key}};
  token["ear.verifier-id"] = {{"developer", "enclayer"}, {"build", "enclayer-attest " + std::string(base::kVersion)}};
  const bool debug = v.quote->sgx() ? v.quote->report().attributes.debug() : v.quote->td_report().debug();
  const ordered_json vector = {{"hardware", hardware(v)},
                               {"executables", executables(*v.quote, policy, appraiser_.floor())},
                               {"configuration", debug ? kContraindicated : kAffirming}};
  int worst = 0;
  for (const auto& [name, value] : vector.items()) worst = std::max(worst, value.get<int>());
  ordered_json appraised = {{"ear.status", tier(worst)},
                            {"ear.trustworthiness-vector", vector},
                            {"ear.appraisal-policy-id", appraisal->policy_hash}};
  token["submods"] = {{v.quote->sgx() ? "sgx" : "tdx", appraised}};
  add_claims(token, appraisal->claims);
  add_claims(token, appraisal->evaluation.issued);
  auto jwt =
      keys_.signing(Algorithm::kEs256, now)->sign(token.dump(-1, ' ', false, ordered_json::error_handler_t::replace));
  if (!jwt) return problem(500, jwt.error().message());
  return {200, "application/json", ordered_json({{"token", *jwt}}).dump()};
}

}  // namespace enclayer::attest
