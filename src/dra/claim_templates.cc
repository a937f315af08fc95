// SPDX-License-Identifier: Apache-2.0
#include "dra/claim_templates.h"

#include <charconv>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/dns_name.h"
#include "base/json.h"
#include "base/log.h"
#include "base/resource_names.h"
#include "dra/node_devices.h"

namespace enclayer::dra {
namespace {

using Json = nlohmann::json;
using namespace std::chrono_literals;
namespace log = base::log;

constexpr auto kWho = "enclayer-claim-templates";
constexpr std::chrono::milliseconds kPatience = 30s;  // of a look, with all its requests
// Pods have some 10 KB; 1.5 MiB at most as API servers store them, which is a few MiB of JSON.
constexpr int kObjectsOnPage = 20;
constexpr base::JsonLimits kPage{.size = ApiClient::kMostPage, .depth = 64, .values = 600'000};
constexpr std::size_t kMostDigits = 8;

// Labelled by admission, and on no node yet.
constexpr auto kWaitingPods = "/api/v1/pods?labelSelector=enclayer.io%2Fepc-claims&fieldSelector=spec.nodeName%3D";
constexpr auto kTemplateLabel = "enclayer.io/epc-template";
const std::string kGroup = "/apis/resource.k8s.io/v1/";
const std::string kOurs = "app.kubernetes.io%2Fcomponent%3Dclaim-templates%2Capp.kubernetes.io%2Fmanaged-by%3Denclayer";

std::string templates_of(const std::string& name_space) {
  return kGroup + "namespaces/" + name_space + "/resourceclaimtemplates";
}

Result<base::JsonDocument> parse_page(std::string_view text) { return base::JsonDocument::parse(text, kPage); }

// The pages of a list; one by one, where several together are more than is read.
Result<> read_list(ApiClient& api, const std::string& path, const std::function<Result<>(const std::string&)>& page) {
  auto done = api.pages(path, kObjectsOnPage, page);
  return done || done.error().kind() != ErrorKind::kMalformed ? done : api.pages(path, 1, page);
}

// Whether a claim is there that was made of it.
Result<bool> has_claims(ApiClient& api, const TemplateName& one) {
  ENCLAYER_TRY(const std::string text,
               api.send("GET", kGroup + "namespaces/" + one.name_space + "/resourceclaims?limit=1&labelSelector=" +
                                   "enclayer.io%2Fepc-template%3D" + one.name));
  ENCLAYER_TRY(const auto list, parse_page(text));
  return !list.root()["items"].entries().empty();
}

void warn(const char* what, const TemplateName& one, const Error& error) {
  log::warn(what, {{"namespace", one.name_space}, {"template", one.name}, {"reason", error.message()}});
}

// Over for all of them, not for this one alone.
bool concerns_all(const Error& error) {
  return error.kind() == ErrorKind::kTimedOut || (error.kind() == ErrorKind::kUnavailable && error.code() == 0);
}

}  // namespace

std::optional<std::uint32_t> template_mib(std::string_view name) {
  if (!name.starts_with(base::kEpcTemplates)) return std::nullopt;
  name.remove_prefix(base::kEpcTemplates.size());
  if (name.empty() || name.size() > kMostDigits || name.front() == '0') return std::nullopt;
  std::uint32_t mib = 0;
  const auto [end, failed] = std::from_chars(name.data(), name.data() + name.size(), mib);
  if (failed != std::errc() || end != name.data() + name.size()) return std::nullopt;
  return mib;
}

std::string template_object(const TemplateName& one) {
  const Json request = {
      {"name", "epc"},
      {"exactly",
       {{"deviceClassName", kEpcClass},
        {"capacity", {{"requests", {{"epc", std::to_string(template_mib(one.name).value_or(0)) + "Mi"}}}}}}}};
  return Json{{"apiVersion", "resource.k8s.io/v1"},
              {"kind", "ResourceClaimTemplate"},
              {"metadata",
               {{"name", one.name},
                {"namespace", one.name_space},
                {"labels",
                 {{"app.kubernetes.io/part-of", "enclayer"},
                  {"app.kubernetes.io/managed-by", "enclayer"},
                  {"app.kubernetes.io/component", "claim-templates"}}}}},
              {"spec",
               {{"metadata", {{"labels", {{kTemplateLabel, one.name}}}}},
                {"spec", {{"devices", {{"requests", Json::array({request})}}}}}}}}
      .dump();
}

Result<> read_needed(std::string_view pods, std::set<TemplateName>& needed) {
  ENCLAYER_TRY(const auto list, parse_page(pods));
  for (const auto& [none, pod] : list.root()["items"].entries()) {
    const std::string name_space = pod["metadata"]["namespace"].text();
    if (!base::is_dns_name(name_space)) continue;
    std::set<std::string> made;  // claims that the pod has already
    for (const auto& [no_key, claim] : pod["status"]["resourceClaimStatuses"].entries())
      if (!claim["resourceClaimName"].text().empty()) made.insert(claim["name"].text());
    for (const auto& [no_key, claim] : pod["spec"]["resourceClaims"].entries()) {
      const std::string from = claim["resourceClaimTemplateName"].text();
      if (template_mib(from) && !made.contains(claim["name"].text())) needed.insert({name_space, from});
    }
  }
  return {};
}

Result<> ClaimTemplates::look(Time now) {
  ENCLAYER_TRY(ApiClient api, ApiClient::open(api_, kPatience, kWho));
  std::set<TemplateName> needed;
  std::string version;
  ENCLAYER_CHECK(read_list(api, kWaitingPods, [&](const std::string& text) -> Result<> {
    ENCLAYER_TRY(const auto list, parse_page(text));
    version = list.root()["metadata"]["resourceVersion"].text();
    return read_needed(text, needed);
  }));
  for (const TemplateName& one : needed) {
    auto made = api.send("POST", templates_of(one.name_space), template_object(one));
    if (made)
      log::info("template made", {{"namespace", one.name_space}, {"template", one.name}});
    else if (concerns_all(made.error()))
      return made.error();
    else if (made.error().kind() != ErrorKind::kConflict)  // it is there, and the control plane's turn
      warn("template not made", one, made.error());
  }
  if (!swept_ || now - *swept_ >= kSweep) {
    ENCLAYER_CHECK(sweep(api, needed));
    swept_ = now;
  }
  version_ = version;
  return {};
}

Result<> ClaimTemplates::sweep(ApiClient& api, const std::set<TemplateName>& needed) {
  std::set<TemplateName> unused;
  auto look_at = [&](const std::string& text) -> Result<> {
    ENCLAYER_TRY(const auto list, parse_page(text));
    for (const auto& [none, object] : list.root()["items"].entries()) {
      const TemplateName one{object["metadata"]["namespace"].text(), object["metadata"]["name"].text()};
      if (!base::is_dns_name(one.name_space) || !template_mib(one.name) || needed.contains(one)) continue;
      ENCLAYER_TRY(const bool in_use, has_claims(api, one));
      if (!in_use) unused.insert(one);
    }
    return {};
  };
  ENCLAYER_CHECK(read_list(api, kGroup + "resourceclaimtemplates?labelSelector=" + kOurs, look_at));
  for (auto at = unused.begin(); at != unused.end();) {
    const TemplateName one = *at++;
    if (!unused_.contains(one)) continue;
    auto gone = api.send("DELETE", templates_of(one.name_space) + "/" + one.name);
    if (!gone && concerns_all(gone.error())) return gone.error();
    if (gone || gone.error().kind() == ErrorKind::kNotFound) {
      log::info("unused template removed", {{"namespace", one.name_space}, {"template", one.name}});
      unused.erase(one);
    } else {
      warn("unused template not removed", one, gone.error());
    }
  }
  unused_ = std::move(unused);
  return {};
}

Result<> ClaimTemplates::wait() const { return ApiClient::wait_for_change(api_, kWaitingPods, version_, kSweep, kWho); }

}  // namespace enclayer::dra
