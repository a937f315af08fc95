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

Result<> delete_pod(const Kubectl& kubectl, const std::string& name_space) {
  ENCLAYER_CHECK(kubectl.run({.arguments = {"delete", "pod", kPodName, "-n", name_space, "--ignore-not-found",
                                            "--grace-period=1", "--timeout=60s"},
                              .doing = "remove the pod of the self-test",
                              .timeout = std::chrono::seconds(90)}));
  return {};
}

}  // namespace

Result<bool> other_pods(std::string_view daemon_set, std::string_view other) {
  ENCLAYER_TRY(json one, parsed_daemon_set(daemon_set));
  ENCLAYER_TRY(json two, parsed_daemon_set(other));
  return one["spec"]["template"] != two["spec"]["template"];
}

Result<std::string> self_test_pod(std::string_view daemon_set, const std::string& node) {
  ENCLAYER_TRY(json set, parsed_daemon_set(daemon_set));
  json spec = set["spec"]["template"]["spec"];
  json container = spec["containers"][0];
  for (const char* key : {"livenessProbe", "readinessProbe", "startupProbe", "lifecycle", "ports"})
    container.erase(key);
  if (!container["args"].is_array()) container["args"] = json::array();
  container["args"].push_back("--self-test");
  for (const char* list : {"limits", "requests"})
    container["resources"][list][std::string(kEpcResource)] = std::to_string(manifests::kWorkerEpcMib);
  spec["containers"] = json::array({std::move(container)});
  spec["restartPolicy"] = "Never";
  spec["activeDeadlineSeconds"] = 300;  // should we be killed, nothing holds EPC for ever
  spec["affinity"] = {
      {"nodeAffinity",
       {{"requiredDuringSchedulingIgnoredDuringExecution",
         {{"nodeSelectorTerms",
           {{{"matchFields", {{{"key", "metadata.name"}, {"operator", "In"}, {"values", {node}}}}}}}}}}}}};
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

Result<> self_test(const Kubectl& kubectl, const Cluster& cluster, std::string_view daemon_set,
                   const Patience& patience, const Say& say) {
  std::int64_t free = 0;
  const Node* node = roomiest(cluster, free);
  if (node == nullptr) {
    say("no node has a quote helper yet, so there is none to try the new one beside");
    return {};
  }
  if (free < manifests::kWorkerEpcMib)
    return Error(ErrorKind::kUnavailable,
                 "the new quote helper cannot be tried: it needs " + std::to_string(manifests::kWorkerEpcMib) +
                     " MiB of EPC, and the node with most of it (" + node->name + ") has " + std::to_string(free) +
                     " free. Nothing was changed. Free some, or skip the test with --no-self-test");
  ENCLAYER_TRY(std::string pod, self_test_pod(daemon_set, node->name));
  std::string name_space = json::parse(pod)["metadata"]["namespace"];
  ENCLAYER_CHECK(delete_pod(kubectl, name_space));  // of a run that was cut off
  say("trying the new quote helper on " + node->name);
  ENCLAYER_CHECK(kubectl.run({.arguments = {"create", "-f", "-"}, .doing = "start the self-test", .input = pod}));

  auto deadline = steady_clock::now() + std::min(patience.timeout, std::chrono::seconds(180));
  std::string failure;
  std::optional<steady_clock::time_point> no_image;
  while (true) {
    auto now = steady_clock::now();
    auto answer = kubectl.run({.arguments = {"get", "--raw", "/api/v1/namespaces/" + name_space + "/pods/" + kPodName},
                               .doing = "look at the self-test"});
    Cluster seen;
    if (answer) {
      auto read = read_pods(R"({"items":[)" + answer->out + "]}", seen);
      if (!read) failure = read.error().message();
    } else if (answer.error().kind() != ErrorKind::kUnavailable) {
      failure = answer.error().message();
    }
    if (!seen.pods.empty()) {
      const Pod& found = seen.pods.front();
      if (found.phase == "Succeeded") break;
      if (found.phase == "Failed") failure = "it failed" + (found.why_not.empty() ? "" : " (" + found.why_not + ")");
      bool image = found.why_not.find("Image") != std::string::npos;
      if (image && !no_image) no_image = now;
      if (image && now - *no_image >= patience.settle) failure = "it cannot start: " + found.why_not;
      if (now >= deadline)
        failure = "it was not done in time" + (found.why_not.empty() ? ", and still runs" : " (" + found.why_not + ")");
    } else if (now >= deadline) {
      failure = "it was not done in time";
    }
    if (!failure.empty()) break;
    std::this_thread::sleep_for(patience.look_every);
  }
  if (!failure.empty()) {
    auto logs =
        kubectl.run({.arguments = {"logs", kPodName, "-n", name_space, "--tail=200"}, .doing = "read what it printed"});
    if (logs && !logs->out.empty()) say("the self-test on " + node->name + " printed:\n" + logs->out);
  }
  auto gone = delete_pod(kubectl, name_space);
  if (!failure.empty())
    return Error(ErrorKind::kUnavailable, "the new quote helper's self-test on " + node->name + " did not pass: " +
                                              failure + ". Nothing was changed; the quote helpers go on as they were");
  ENCLAYER_CHECK(gone);
  say("the new quote helper works on " + node->name);
  return {};
}

}  // namespace enclayer::addon
