// SPDX-License-Identifier: Apache-2.0
#include "attest/service.h"

#include <nlohmann/json.hpp>

#include "attest/collateral_door.h"
#include "base/file.h"
#include "base/log.h"
#include "base/metric_names.h"
#include "base/metrics.h"
#include "http/url.h"

namespace enclayer::attest {
namespace {

using nlohmann::ordered_json;
namespace metric = base::metric;

constexpr auto kJwksMaxAge = "public, max-age=3600";  // far below SigningKeys::kPublishedFirst

Result<PolicyText> read_policy(const std::filesystem::path& file) {
  ENCLAYER_TRY(const std::string text, base::read_text(file, PolicyText::kMaxSize));
  auto policy = PolicyText::parse(text);
  if (!policy) return policy.error().with_context(file.string());
  return policy;
}

http::Answer keys_answer(std::string jwks) {
  return {200, "application/json", std::move(jwks), {{"Cache-Control", kJwksMaxAge}}};
}

}  // namespace

Service::Service(Parts parts, PolicyText policy, base::Metrics& metrics)
    : parts_(std::move(parts)),
      metrics_(metrics),
      outlook_(parts_.early_collateral.get(), parts_.root),
      appraiser_(parts_.root, parts_.floor, *parts_.collateral, std::move(policy), outlook_),
      azure_(parts_.instance, appraiser_, parts_.keys->signing()),
      rats_(parts_.instance, appraiser_, parts_.keys->signing()) {
  if (const auto url = http::parse_url(parts_.instance.issuer); url && url->target != "/") prefix_ = url->target;
  if (parts_.callers.anybody() && parts_.key_release)
    release_.emplace(parts_.instance, appraiser_, parts_.callers, *parts_.key_release);
  metrics_.gauge(metric::kAttestPolicyBroken).set(0);
  metrics_.gauge(metric::kAttestKeysBroken).set(0);
}

Result<std::unique_ptr<Service>> Service::open(Parts parts, base::Metrics& metrics) {
  ENCLAYER_CHECK(check(parts.instance));
  ENCLAYER_TRY(PolicyText policy, read_policy(parts.policy));
  std::unique_ptr<Service> service(new Service(std::move(parts), policy, metrics));
  service->warn_of(policy);
  return service;
}

void Service::warn_of(const PolicyText& policy) const {
  base::log::info("policy in force", {{"file", parts_.policy.string()}, {"hash", policy.hash()}});
  for (const PolicyWarning& warning : policy.warnings())
    base::log::warn("policy", {{"line", warning.line}, {"warning", warning.text}});
}

void Service::refresh() {
  auto policy = read_policy(parts_.policy);
  if (policy && policy->hash() != appraiser_.policy().hash()) {
    warn_of(*policy);
    appraiser_.set_policy(*policy);
  }
  const auto keys = parts_.keys->renew(parts_.now());
  const std::string bad_policy = policy ? "" : policy.error().message(), bad_keys = keys ? "" : keys.error().message();
  metrics_.gauge(metric::kAttestPolicyBroken).set(policy ? 0 : 1);
  metrics_.gauge(metric::kAttestKeysBroken).set(keys ? 0 : 1);
  const std::lock_guard lock(mutex_);
  if (!policy && bad_policy != broken_policy_)
    base::log::error("policy broken, the old one stays", {{"reason", bad_policy}});
  if (!keys && bad_keys != broken_keys_)
    base::log::error("signing keys broken, the old ones stay", {{"reason", bad_keys}});
  broken_policy_ = bad_policy;
  broken_keys_ = bad_keys;
}

void Service::before_metrics() { outlook_.show(metrics_, parts_.now()); }

std::string Service::remark() const {
  const std::lock_guard lock(mutex_);
  return broken_policy_ + (broken_policy_.empty() || broken_keys_.empty() ? "" : "; ") + broken_keys_;
}

http::Answer Service::configuration() const {
  const std::string& issuer = parts_.instance.issuer;
  const ordered_json body = {{"issuer", issuer},
                             {"jwks_uri", issuer + "/jwks"},
                             {"response_types_supported", {"token", "none"}},
                             {"subject_types_supported", {"public"}},
                             {"id_token_signing_alg_values_supported", {"RS256", "ES256"}},
                             {"claims_supported",
                              {"iss",
                               "iat",
                               "nbf",
                               "exp",
                               "jti",
                               "nonce",
                               "sub",
                               "aud",
                               "cnf",
                               "eat_nonce",
                               "eat_profile",
                               "submods",
                               "x-ms-ver",
                               "x-ms-attestation-type",
                               "x-ms-policy-hash",
                               "x-ms-runtime",
                               "x-ms-sgx-is-debuggable",
                               "x-ms-sgx-mrenclave",
                               "x-ms-sgx-mrsigner",
                               "x-ms-sgx-product-id",
                               "x-ms-sgx-svn",
                               "x-ms-sgx-ehd",
                               "x-ms-sgx-collateral",
                               "x-enclayer-simulated"}}};
  return {200, "application/json", body.dump()};
}

http::Answer Service::route(const http::Incoming& request, const char*& door) {
  const Time now = parts_.now();
  // A proxy before us may have taken the issuer's path away.
  const bool whole = request.path.starts_with(prefix_ + "/");
  const std::string path = whole ? request.path.substr(prefix_.size()) : request.path;
  auto only = [&](const char* method) { return request.method == method; };
  auto wrong_method = [&](const char* method) {
    http::Answer out = problem(405, path + " takes " + method);
    out.headers.emplace_back("Allow", method);
    return out;
  };
  door = "keys";
  if (path == "/certs" || path == "/jwks" || path == "/.well-known/openid-configuration") {
    if (!only("GET")) return wrong_method("GET");
    if (path == "/certs") return keys_answer(parts_.keys->signing().jwks(Algorithm::kRs256, now));
    return path == "/jwks" ? keys_answer(parts_.keys->signing().jwks(now)) : configuration();
  }
  door = "azure";
  const std::pair<const char*, AzureEvidence> kAzure[] = {{"/attest/SgxEnclave", AzureEvidence::kSgxEnclave},
                                                          {"/attest/OpenEnclave", AzureEvidence::kOpenEnclave},
                                                          {"/attest/TdxVm", AzureEvidence::kTdxVm}};
  for (const auto& [where, kind] : kAzure)
    if (path == where) return only("POST") ? azure_.attest(kind, request, now) : wrong_method("POST");
  if (path.starts_with("/policies/"))
    return azure_error(400, "NotSupported",
                       "policies are files of the service (--policy), and no request changes them");
  if (path.starts_with("/attest/"))
    return azure_error(400, "NotSupported", "this service does not attest " + path.substr(8));
  door = "rats";
  if (!parts_.instance.audiences.empty()) {
    if (path == "/nonce") return only("GET") ? rats_.nonce(now) : wrong_method("GET");
    if (path == "/ear") return only("POST") ? rats_.attest(request, now) : wrong_method("POST");
  }
  door = "release";
  constexpr std::string_view kRelease = "/release/";
  if (release_ && path.starts_with(kRelease))
    return only("POST") ? release_->release(std::string_view(path).substr(kRelease.size()), request, now)
                        : wrong_method("POST");
  door = "collateral";
  if (parts_.collateral_door)
    if (auto answer = collateral_answer(*parts_.collateral, path, request)) return *std::move(answer);
  door = "none";
  return problem(404, "nothing is served there");
}

http::Answer Service::answer(const http::Incoming& request) {
  const char* door = "none";
  http::Answer out = route(request, door);
  const char* result = out.status == 200 ? "ok" : out.status < 500 ? "refused" : "unavailable";
  metrics_.counter(metric::kAttestRequests, {{"door", door}, {"result", result}}).add();
  return out;
}

}  // namespace enclayer::attest
