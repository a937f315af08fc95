// SPDX-License-Identifier: Apache-2.0
#include "addon/protection.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <thread>

#include "addon/names.h"
#include "base/json.h"
#include "base/version.h"

namespace enclayer::addon {
namespace {

using manifests::Document;
using nlohmann::json;
using std::chrono::steady_clock;

constexpr std::string_view kForeign = base::kForeignEpc[0];  // sgx.intel.com/epc, in bytes

bool is_admission(std::string_view kind) { return kind.find("AdmissionPolicy") != std::string_view::npos; }

// What the strictest pod security level, a quota and a LimitRange want to see is in it.
std::string trial_pod() {
  const json amounts = {{"cpu", "100m"}, {"memory", "64Mi"}, {kForeign, "1Mi"}};
  const json container = {
      {"name", "trial"},
      {"image", "localhost/never-pulled:1"},
      {"resources", {{"limits", amounts}, {"requests", amounts}}},
      {"securityContext", {{"allowPrivilegeEscalation", false}, {"capabilities", {{"drop", {"ALL"}}}}}}};
  return json{{"apiVersion", "v1"},
              {"kind", "Pod"},
              {"metadata", {{"name", "enclayer-trial"}, {"namespace", "default"}}},
              {"spec",
               {{"containers", {container}},
                {"automountServiceAccountToken", false},
                {"restartPolicy", "Never"},
                {"securityContext",
                 {{"runAsNonRoot", true}, {"runAsUser", 65532}, {"seccompProfile", {{"type", "RuntimeDefault"}}}}}}}}
      .dump();
}

Translation try_once(const ApiServer& api) {
  auto answer = api.send({.method = "POST",
                          .path = Reference{"v1", "Pod", "default"}.path() + "?dryRun=All",
                          .doing = "try a pod in namespace default (dry run)",
                          .body = trial_pod()});
  if (!answer) {
    // Who refuses a pod is told by the name of the policy. Other refusals (a right, a webhook, a quota) say nothing of us.
    const bool by_us = answer.error().message().find("'enclayer-") != std::string::npos;
    return {by_us ? Translation::kNo : Translation::kNotKnown, answer.error().message()};
  }
  auto pod = base::JsonDocument::parse(*answer, kObjectLimits);
  if (!pod) return {Translation::kNotKnown, pod.error().message()};
  for (const auto& [at, container] : pod->root()["spec"]["containers"].entries())
    if (const base::JsonValue limits = container["resources"]["limits"];
        !limits.has(kForeign) && limits[kEpcResource].text() == "1")
      return {Translation::kYes};
  return {Translation::kNo,
          "a pod in namespace default keeps " + std::string(kForeign) +
              " (unless that namespace is labelled enclayer.io/admission=ignore, somebody or something "
              "has switched the policy off)"};
}

}  // namespace

std::string Translation::text() const {
  return works == kYes ? "yes" : (works == kNo ? "no, because " : "not known, because ") + why;
}

Translation try_translation(const ApiServer& api, const Cluster& cluster, std::chrono::seconds patience) {
  if (!cluster.has_mutating) return {Translation::kNo, "this cluster has no MutatingAdmissionPolicy (Kubernetes 1.36)"};
  const auto deadline = steady_clock::now() + patience;
  while (true) {
    Translation seen = try_once(api);
    if (seen.works != Translation::kNo || steady_clock::now() >= deadline) return seen;
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
  }
}

std::vector<Flaw> missing(const Cluster& cluster, std::span<const Document> expected) {
  std::vector<Flaw> out;
  auto is_there = [&](const std::string& kind, const std::string& name) {
    return std::any_of(cluster.policies.begin(), cluster.policies.end(),
                       [&](const Policy& one) { return one.kind == kind && one.name == name; });
  };
  for (const Document& document : expected)
    if (is_admission(document.kind) && !is_there(document.kind, document.name))
      out.push_back({document.kind, document.name, "is missing"});
  for (const Policy& policy : cluster.policies)
    if (!policy.is_binding() && !is_there(policy.kind + "Binding", policy.name))
      out.push_back({policy.kind, policy.name, "does nothing: it has no binding"});
  return out;
}

std::string written_by(const Cluster& cluster, const Remembered* before) {
  if (before != nullptr) return before->version;
  for (const Policy& policy : cluster.policies)
    if (!policy.version.empty()) return policy.version;
  return "";
}

Protection look_at_protection(const ApiServer& api, const Cluster& cluster, const Remembered* before) {
  Protection out;
  std::vector<Document> expected;
  if (written_by(cluster, before) == base::kVersion) {
    manifests::Settings settings = before != nullptr ? before->settings : manifests::Settings();
    if (before == nullptr) {
      settings.name_space = cluster.name_space();
      settings.quote_helper = cluster.ours(kHelper) != nullptr;
    }
    if (auto planned = plan(cluster, settings, std::nullopt)) expected = std::move(planned->documents);
    // kustomize leaves the detector out unless it is named; what holds it goes with it.
    const bool detects = before != nullptr || cluster.ours(kDetect) != nullptr;
    std::erase_if(expected, [&](const Document& document) {
      return !is_admission(document.kind) || (document.component == "detect" && !detects);
    });
  }
  out.flaws = missing(cluster, expected);
  if (before != nullptr && !expected.empty()) {
    auto there = live(api, expected);
    auto should_be =
        there ? apply(api, expected, {.force = true, .dry = true}) : Result<std::vector<Object>>(there.error());
    if (!should_be) out.not_known = should_be.error().message().substr(0, should_be.error().message().find('\n'));
    if (should_be)
      for (const Object& object : *should_be)
        for (const Object& now : *there)
          if (now.path() == object.path() && now.content != object.content)
            out.flaws.push_back({now.kind, now.name, "was changed"});
  }
  out.translation = try_translation(api, cluster);
  return out;
}

std::string in_words(const std::vector<Flaw>& flaws) {
  std::string out;
  for (const Flaw& flaw : flaws) out += (out.empty() ? "" : ", ") + flaw.kind + " " + flaw.name + " " + flaw.what;
  return out.empty() ? "" : "admission does not do all that it should: " + out;
}

}  // namespace enclayer::addon
