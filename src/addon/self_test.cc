// SPDX-License-Identifier: Apache-2.0
#include "addon/self_test.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <thread>

#include "addon/names.h"

namespace enclayer::addon {
namespace {

using nlohmann::json;
using std::chrono::steady_clock;

constexpr char kPodName[] = "enclayer-self-test";

Result<json> parsed_daemon_set(std::string_view text) {
  json set = json::parse(text, nullptr, false);
  if (!set.is_object() || !set.contains("/spec/template/spec/containers/0"_json_pointer) ||
      !set.contains("/metadata/namespace"_json_pointer))
    return Error(ErrorKind::kMalformed, "the quote helper's DaemonSet has no containers");
  return set;
}

// A node that has a helper and the most EPC free.
const Node* roomiest(const Cluster& cluster, std::int64_t& most) {
  const Node* best = nullptr;
  for (const Pod& pod : cluster.pods) {
    if (!pod.ours || pod.app != kHelper || pod.node.empty()) continue;
    const Node* node = cluster.node(pod.node);
    if (node == nullptr || !node->ready || node->cordoned) continue;
    if (std::int64_t free = free_on(cluster, *node, kEpcResource); best == nullptr || free > most) {
      best = node;
      most = free;
    }
  }
  return best;
}

}  // namespace

Result<bool> other_pods(std::string_view daemon_set, std::string_view other) {
  ENCLAYER_TRY(json one, parsed_daemon_set(daemon_set));
  ENCLAYER_TRY(json two, parsed_daemon_set(other));
  return one["spec"]["template"] != two["spec"]["template"];
}

Result<std::string> self_test_pod(std::string_view daemon_set, const Node& node) {
  ENCLAYER_TRY(json set, parsed_daemon_set(daemon_set));
  json spec = set["spec"]["template"]["spec"];
  json container = spec["containers"][0];
  for (const char* key : {"livenessProbe", "readinessProbe", "startupProbe", "lifecycle", "ports"})
    container.erase(key);
  if (!container["args"].is_array()) container["args"] = json::array();
  container["args"].push_back("--self-test");
  for (const char* list : {"limits", "requests"}) {
    json& amounts = container["resources"][list];
    amounts[std::string(kEpcResource)] = std::to_string(manifests::kWorkerEpcMib);
    if (amount(node.allocatable, base::kHelperProvisionResource) > 0) continue;
    if (amounts.erase(base::kHelperProvisionResource) > 0 && amount(node.allocatable, kProvisionResource) > 0)
      amounts[kProvisionResource] = "1";
  }
  spec["containers"] = json::array({std::move(container)});
  spec["restartPolicy"] = "Never";
  spec["activeDeadlineSeconds"] = 300;  // should we be killed, nothing holds EPC for ever
  spec["affinity"] = {
      {"nodeAffinity",
       {{"requiredDuringSchedulingIgnoredDuringExecution",
         {{"nodeSelectorTerms",
           {{{"matchFields", {{{"key", "metadata.name"}, {"operator", "In"}, {"values", {node.name}}}}}}}}}}}}};
  json labels = {{"app.kubernetes.io/part-of", kOurs},
                 {kManagedBy, kOurs},
                 {kComponent, "quote-helper"},
                 // Not the helper's: its DaemonSet would take the pod for one of its own.
                 {"app.kubernetes.io/name", kPodName}};
  json pod = {
      {"apiVersion", "v1"},
      {"kind", "Pod"},
      {"metadata", {{"name", kPodName}, {"namespace", set["metadata"]["namespace"]}, {"labels", std::move(labels)}}},
      {"spec", std::move(spec)}};
  return pod.dump();
}

Result<> self_test(const ApiServer& api, const Cluster& cluster, std::string_view daemon_set, const WaitLimits& limits,
                   const Progress& progress) {
  std::int64_t free = 0;
  const Node* node = roomiest(cluster, free);
  if (node == nullptr) {
    progress("no node has a quote helper yet, so there is none to try the new one beside");
    return {};
  }
  if (free < manifests::kWorkerEpcMib)
    return Error(ErrorKind::kUnavailable,
                 "the new quote helper cannot be tried: it needs " + std::to_string(manifests::kWorkerEpcMib) +
                     " MiB of EPC, and the node with most of it (" + node->name + ") has " + std::to_string(free) +
                     " free. Nothing was changed. Free some, or skip the test with --no-self-test");
  ENCLAYER_TRY(std::string pod, self_test_pod(daemon_set, *node));
  const Reference reference{"v1", "Pod", json::parse(pod)["metadata"]["namespace"], kPodName};
  auto delete_pod = [&] { return remove(api, {&reference, 1}, std::chrono::seconds(60), "?gracePeriodSeconds=1"); };
  ENCLAYER_CHECK(delete_pod());  // of a run that was cut off
  progress("trying the new quote helper on " + node->name);
  ENCLAYER_CHECK(api.send({.method = "POST",
                           .path = Reference{"v1", "Pod", reference.name_space}.path(),
                           .doing = "start the self-test",
                           .body = pod}));

  const auto deadline = steady_clock::now() + std::min(limits.timeout, std::chrono::seconds(180));
  std::string failure;
  std::optional<steady_clock::time_point> no_image;
  while (true) {
    const auto now = steady_clock::now();
    auto answer = api.send({.path = reference.path(), .doing = "look at the self-test"});
    if (!answer && answer.error().kind() != ErrorKind::kUnavailable) failure = answer.error().message();
    Pod seen;
    if (answer) {
      ENCLAYER_TRY(auto document, base::JsonDocument::parse(*answer, kObjectLimits));
      seen = read_pod(document.root()).value_or(Pod());
    }
    if (seen.phase == "Succeeded") break;
    if (seen.phase == "Failed") failure = "it failed" + (seen.why_not.empty() ? "" : " (" + seen.why_not + ")");
    const bool image = seen.why_not.find("Image") != std::string::npos;  // ErrImagePull, ImagePullBackOff, ...
    if (image && !no_image) no_image = now;
    if (image && now - *no_image >= limits.settle) failure = "it cannot start: " + seen.why_not;
    if (failure.empty() && now >= deadline)
      failure = "it was not done in time" + (seen.why_not.empty() ? "" : " (" + seen.why_not + ")");
    if (!failure.empty()) break;
    std::this_thread::sleep_for(std::chrono::seconds(1));
  }
  if (!failure.empty())
    if (auto log = api.send({.path = reference.path() + "/log?tailLines=200", .doing = "read what it printed"});
        log && !log->empty())
      progress("the self-test on " + node->name + " printed:\n" + *log);
  auto gone = delete_pod();
  if (!failure.empty())
    return Error(ErrorKind::kUnavailable, "the new quote helper's self-test on " + node->name + " did not pass: " +
                                              failure + ". Nothing was changed; the quote helpers go on as they were");
  ENCLAYER_CHECK(gone);
  progress("the new quote helper works on " + node->name);
  return {};
}

}  // namespace enclayer::addon
