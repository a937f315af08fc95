// SPDX-License-Identifier: Apache-2.0
#include "attest/token_claims.h"

#include <openssl/rand.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/hex.h"
#include "base/log.h"
#include "http/url.h"

namespace enclayer::attest {
namespace {

using nlohmann::ordered_json;

std::string lower_case(std::string text) {
  for (char& c : text) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return text;
}

ordered_json json_of(const ClaimValue& value) {
  return std::visit([](const auto& one) { return ordered_json(one); }, value);
}

}  // namespace

Result<> check(const Instance& instance) {
  auto wrong = [&](const std::string& what) {
    return Error(ErrorKind::kInvalidArgument, "issuer " + instance.issuer + " " + what);
  };
  auto url = http::checked_url(instance.issuer);
  if (!url) return wrong("is no URL: " + url.error().message());
  if (*url != instance.issuer) return wrong("is written " + *url + ": clients compare it letter by letter");
  const auto parts = http::parse_url(*url);
  const bool local = parts && (parts->host == "localhost" || parts->host.starts_with("127.") || parts->host == "::1");
  if (!instance.issuer.starts_with("https://") && !local) return wrong("does not begin with https://");
  const bool says_simulated = lower_case(instance.issuer).find("simulated") != std::string::npos;
  if (instance.simulated && !says_simulated)
    return wrong("does not say so: with --simulated-root its name has to contain \"simulated\", as in " +
                 instance.issuer + "/simulated");
  if (!instance.simulated && says_simulated)
    return wrong("says simulated, and this instance is not (--simulated-root)");
  return {};
}

ordered_json common_claims(const Instance& instance, const Appraisal& appraisal, Time now) {
  auto number = [](Time time) { return static_cast<std::int64_t>(time.time_since_epoch().count()); };
  Time expires = now + instance.token_life;
  for (const Claim& property : appraisal.evaluation.properties)
    if (const auto* minutes = std::get_if<std::int64_t>(&property.value);
        property.type == "report_validity_in_minutes" && minutes != nullptr && *minutes > 0)
      expires = std::min(expires, now + std::chrono::minutes(std::min<std::int64_t>(*minutes, 1 << 20)));
  if (appraisal.verification.earliest_expiry) expires = std::min(expires, *appraisal.verification.earliest_expiry);
  ByteArray<16> id{};
  if (::RAND_bytes(id.data(), static_cast<int>(id.size())) != 1) std::abort();
  ordered_json out = {{"iss", instance.issuer},
                      {"iat", number(now)},
                      {"nbf", number(now - kBackdated)},
                      {"exp", number(expires)},
                      {"jti", base::to_hex(id)}};
  if (instance.simulated || appraisal.verification.simulated) out["x-enclayer-simulated"] = true;
  return out;
}

void add_claims(ordered_json& token, const std::vector<Claim>& claims) {
  ordered_json added = ordered_json::object();
  for (const Claim& claim : claims) {
    if (token.contains(claim.type)) continue;
    if (!added.contains(claim.type)) {
      added[claim.type] = json_of(claim.value);
      continue;
    }
    ordered_json& there = added[claim.type];
    if (!there.is_array()) there = ordered_json::array({there});
    there.push_back(json_of(claim.value));
  }
  for (auto& [type, value] : added.items()) token[type] = value;
}

void log_decision(const char* door, const http::Incoming& request, const Appraisal& appraisal, bool accepted) {
  const bool by_policy = appraisal.verdict.trusted && !appraisal.evaluation.permitted;
  base::log::info("evidence judged", {{"door", door},
                                      {"accepted", accepted},
                                      {"reason", by_policy ? "policy" : to_string(appraisal.verdict.reason)},
                                      {"policy", appraisal.policy_hash},
                                      {"evidence_sha256", appraisal.quote_sha256},
                                      {"peer", request.peer},
                                      {"client", request.client}});
}

}  // namespace enclayer::attest
