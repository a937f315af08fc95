// SPDX-License-Identifier: Apache-2.0
#include "attest/azure_door.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "attest/base64url.h"
#include "attest/request_json.h"
#include "attest/token_claims.h"
#include "base/bytes.h"
#include "base/digest.h"
#include "base/hex.h"

namespace enclayer::attest {
namespace {

using nlohmann::ordered_json;

constexpr std::size_t kMaxNonce = 256;  // bytes

struct Kind {
  const char* key;      // of the evidence in the request
  const char* version;  // of the API
};
constexpr Kind kKinds[] = {{"quote", "2020-10-01"}, {"report", "2020-10-01"}, {"quote", "2025-06-01"}};

Result<RuntimeData> runtime_data_of(base::JsonValue request) {
  ENCLAYER_TRY(const auto object, request.object("runtimeData"));
  for (const auto& [key, value] : object.entries())
    if (key != "data" && key != "dataType")
      return Error(ErrorKind::kMalformed, "runtimeData has an unknown key; \"data\" and \"dataType\" are known");
  ENCLAYER_TRY(const Bytes bytes, bytes_of(object, "data", kMaxRuntimeData));
  ENCLAYER_TRY(const std::string type, object.text("dataType"));
  if (type != "Binary" && type != "JSON")
    return Error(ErrorKind::kMalformed, "runtimeData.dataType is neither \"Binary\" nor \"JSON\"");
  RuntimeData out{std::string(base::as_text(bytes)), type == "JSON"};
  if (out.json)
    if (auto parsed = parse_runtime_json(out.bytes); !parsed)
      return parsed.error().with_context("runtimeData, as JSON");
  return out;
}

std::string hex_sha256(ByteView bytes) { return base::to_hex(base::sha256(bytes)); }

// What the verdict was made of (Azure: "x-ms-sgx-collateral").
ordered_json collateral_hashes(const Appraisal& appraisal) {
  const Collateral& parts = *appraisal.collateral;
  auto text = [](const std::string& of) { return hex_sha256(base::as_bytes(of)); };
  return {{"qeidcertshash", text(parts.qe_identity_issuer_chain)},
          {"qeidcrlhash", hex_sha256(parts.root_ca_crl)},
          {"qeidhash", text(parts.qe_identity)},
          {"quotehash", appraisal.quote_sha256},
          {"tcbinfocertshash", text(parts.tcb_info_issuer_chain)},
          {"tcbinfocrlhash", hex_sha256(parts.root_ca_crl)},
          {"tcbinfohash", text(parts.tcb_info)}};
}

// The service's claims that Azure's tokens have too; ours come out where a policy issues them.
bool in_every_token(const Claim& claim) {
  return !claim.type.starts_with("x-enclayer-") && claim.type != "x-ms-sgx-report-data";
}

void add_legacy(ordered_json& token) {
  const std::pair<const char*, const char*> kNames[] = {
      {"ver", "x-ms-ver"},
      {"tee", "x-ms-attestation-type"},
      {"is-debuggable", "x-ms-sgx-is-debuggable"},
      {"product-id", "x-ms-sgx-product-id"},
      {"sgx-mrenclave", "x-ms-sgx-mrenclave"},
      {"sgx-mrsigner", "x-ms-sgx-mrsigner"},
      {"svn", "x-ms-sgx-svn"},
      {"ehd", "x-ms-sgx-ehd"},
      {"aas-ehd", "x-ms-sgx-ehd"},
      {"maa-ehd", "x-ms-sgx-ehd"},
      {"maa-attestationcollateral", "x-ms-sgx-collateral"},
      {"policy_hash", "x-ms-policy-hash"},
      {"rp_data", "nonce"},
  };
  for (const auto& [old, name] : kNames)
    if (token.contains(name) && !token.contains(old)) token[old] = token[name];
}

int status_of(const Error& error) { return error.kind() == ErrorKind::kUnavailable ? 503 : 400; }

}  // namespace

ordered_json azure_claims(const Instance& instance, const Appraisal& appraisal, const RuntimeData* runtime, Time now) {
  ordered_json token = common_claims(instance, appraisal, now);
  token["x-ms-ver"] = "1.0";
  token["x-ms-policy-hash"] = appraisal.policy_hash;
  const bool sgx = appraisal.verification.quote->sgx();
  if (runtime != nullptr && runtime->json) {
    token["x-ms-runtime"] = ordered_json::parse(runtime->bytes, nullptr, false);
  } else if (runtime != nullptr && sgx) {
    token["x-ms-sgx-ehd"] = to_base64url(base::as_bytes(runtime->bytes));
  }
  if (sgx && appraisal.collateral) token["x-ms-sgx-collateral"] = collateral_hashes(appraisal);
  std::vector<Claim> found;
  std::copy_if(appraisal.claims.begin(), appraisal.claims.end(), std::back_inserter(found), in_every_token);
  add_claims(token, found);
  add_claims(token, appraisal.evaluation.issued);
  return token;
}

http::Answer azure_error(int status, std::string_view code, std::string_view message) {
  const ordered_json body = {{"error", {{"code", code}, {"message", message}}}};
  http::Answer out{status, "application/json; charset=utf-8",
                   body.dump(-1, ' ', false, ordered_json::error_handler_t::replace)};
  if (status == 503) out.headers.emplace_back("Retry-After", kRetryAfter);
  return out;
}

http::Answer AzureDoor::attest(AzureEvidence kind, const http::Incoming& request, Time now) const {
  const Kind& of = kKinds[static_cast<int>(kind)];
  auto refused = [](const Error& error) {
    return azure_error(status_of(error),
                       error.kind() == ErrorKind::kUnsupported   ? "NotSupported"
                       : error.kind() == ErrorKind::kUnavailable ? "CollateralUnavailable"
                                                                 : "InvalidParameter",
                       error.message());
  };
  if (const std::string version = request.parameter("api-version"); version != of.version)
    return azure_error(400, version.empty() ? "MissingApiVersionParameter" : "UnsupportedApiVersion",
                       "api-version=" + std::string(of.version) + " is served at " + request.path);

  auto document = parse_request(request.body, {of.key, "runtimeData", "nonce"},
                                {"initTimeData", "draftPolicyForAttestation", "policyForAttestation"});
  if (!document) return refused(document.error());
  const auto root = document->root();
  auto evidence = bytes_of(root, of.key, kMaxEvidence);
  if (!evidence) return refused(evidence.error());
  std::optional<RuntimeData> runtime;
  if (root.has("runtimeData")) {
    auto read = runtime_data_of(root);
    if (!read) return refused(read.error());
    runtime = *std::move(read);
  }
  std::string nonce;
  if (root.has("nonce")) {
    auto text = root.text("nonce");
    if (!text) return refused(text.error());
    if (text->size() > kMaxNonce) return azure_error(400, "InvalidParameter", "\"nonce\" is longer than 256 bytes");
    nonce = *std::move(text);
  }

  Submission submission{.quote = *std::move(evidence)};
  if (runtime) submission.runtime_data = runtime->bytes;
  auto appraisal = appraiser_.appraise(submission, now);
  if (!appraisal) return refused(appraisal.error());
  const auto& quote = appraisal->verification.quote;
  std::string other_door;  // where this evidence belongs
  if (quote && quote->sgx() == (kind == AzureEvidence::kTdxVm))
    other_door = quote->sgx() ? "/attest/SgxEnclave" : "/attest/TdxVm";
  else if (quote && quote->open_enclave_header != (kind == AzureEvidence::kOpenEnclave))
    other_door = quote->open_enclave_header ? "/attest/OpenEnclave" : "/attest/SgxEnclave";
  const bool accepted = appraisal->accepted() && other_door.empty();
  log_decision("azure", request, *appraisal, accepted);
  if (!other_door.empty())
    return azure_error(400, "InvalidParameter", "this evidence is for POST " + other_door + ", not " + request.path);
  if (!accepted)
    return azure_error(400, appraisal->verdict.trusted ? "PolicyEvaluationError" : "AttestationFailed",
                       appraisal->refusal());

  ordered_json token = azure_claims(instance_, *appraisal, runtime ? &*runtime : nullptr, now);
  if (!nonce.empty()) token["nonce"] = nonce;
  if (instance_.legacy_claims) add_legacy(token);
  auto jwt =
      keys_.signing(Algorithm::kRs256, now)
          ->sign(token.dump(-1, ' ', false, ordered_json::error_handler_t::replace), instance_.issuer + "/certs");
  if (!jwt) return azure_error(500, "InternalError", jwt.error().message());
  return {200, "application/json; charset=utf-8", ordered_json({{"token", *jwt}}).dump()};
}

}  // namespace enclayer::attest
