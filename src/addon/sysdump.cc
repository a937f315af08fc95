// SPDX-License-Identifier: Apache-2.0
#include "addon/sysdump.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "addon/names.h"
#include "addon/scraper.h"
#include "base/json.h"
#include "base/metrics_page.h"
#include "base/printable.h"

namespace enclayer::addon {
namespace {

using nlohmann::ordered_json;
using namespace std::chrono_literals;

constexpr std::chrono::seconds kPatience = 10s;  // with one kubelet
constexpr int kLogLines = 1000, kLogBytes = 256 << 10;
constexpr std::size_t kLongestMessage = 1024;

std::string json_text(const ordered_json& json) {
  return json.dump(1, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

ordered_json node_json(const Node& node) {
  return {{"name", node.name},
          {"ready", node.ready},
          {"why_not_ready", node.why_not_ready},
          {"cordoned", node.cordoned},
          {"kubelet", node.kubelet_version},
          {"runtime", node.runtime},
          {"capacity", node.capacity},
          {"allocatable", node.allocatable},
          {"labels", node.labels},
          {"annotations", node.annotations}};
}

ordered_json pod_json(const Pod& pod) {
  return {{"namespace", pod.name_space},
          {"name", pod.name},
          {"ours", pod.ours},
          {"node", pod.node},
          {"phase", pod.phase},
          {"ready", pod.ready},
          {"why_not", pod.why_not},
          {"leaving", pod.leaving},
          {"images", pod.images},
          {"requests", pod.requests},
          {"revision", pod.revision},
          {"annotations", pod.annotations}};
}

ordered_json workload_json(const auto& one) {
  return {{"namespace", one.name_space},
          {"name", one.name},
          {"version", one.version},
          {"images", one.images},
          {"generation", one.generation},
          {"seen_generation", one.seen_generation},
          {"wanted", one.wanted},
          {"updated", one.updated},
          {"ready", one.ready}};
}

}  // namespace

std::vector<const Pod*> pods_to_ask(const Cluster& cluster) {
  std::vector<const Pod*> unwell, well;
  std::map<std::pair<std::string, std::string>, bool> seen;  // program and image
  for (const Pod& pod : cluster.pods) {
    if (!cluster.is_daemon(pod) || pod.node.empty()) continue;
    const std::string image = pod.images.empty() ? "" : pod.images.front();
    if (!pod.ready && unwell.size() < kMostUnwell) unwell.push_back(&pod);
    if (pod.ready && well.size() < kMostWell && !std::exchange(seen[{pod.app, image}], true)) well.push_back(&pod);
  }
  unwell.insert(unwell.end(), well.begin(), well.end());
  return unwell;
}

std::string events_text(std::string_view list) {
  std::vector<std::pair<std::string, std::string>> lines;  // by time
  auto read = read_list(list, [&](base::JsonValue event) {
    std::string time = event["lastTimestamp"].text();
    if (time.empty()) time = event["eventTime"].text();
    const base::JsonValue object = event["involvedObject"];
    const auto times = event.number("count", 1'000'000'000);
    lines.emplace_back(time, time + "  " + event["type"].text() + "  " + event["reason"].text() + "  " +
                                 object["kind"].text() + " " + object["namespace"].text() + "/" +
                                 object["name"].text() + (times ? "  x" + std::to_string(*times) : "") + "  " +
                                 event["message"].text().substr(0, kLongestMessage));
  });
  if (!read) return read.error().message() + "\n";
  std::stable_sort(lines.begin(), lines.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::string out;
  for (auto& [time, line] : lines) {
    std::replace(line.begin(), line.end(), '\n', ' ');
    out += base::for_terminal(line) + "\n";
  }
  return out;
}

void Sysdump::add(std::string name, std::string about, std::string bytes) {
  if (bytes.size() > limits_.bytes - size_)
    return leave_out(name + ": its " + std::to_string(bytes.size()) + " bytes would make it more than " +
                     std::to_string(limits_.bytes));
  size_ += bytes.size();
  files_.push_back({{std::move(name), std::move(bytes)}, std::move(about)});
}

void Sysdump::add_cluster(const Cluster& cluster) {
  ordered_json nodes = ordered_json::array(), pods = ordered_json::array(), workloads = ordered_json::array(),
               foreign = ordered_json::array();
  for (const Node& node : cluster.nodes) nodes.push_back(node_json(node));
  for (const Pod& pod : cluster.pods) pods.push_back(pod_json(pod));
  for (const DaemonSet& set : cluster.daemon_sets)
    if (set.ours) workloads.push_back(workload_json(set));
  for (const Deployment& one : cluster.deployments) workloads.push_back(workload_json(one));
  for (const Foreign& one : foreign_daemon_sets(cluster)) foreign.push_back(one.what);
  add("cluster.json", "nodes, pods that are ours or name SGX, and our workloads",
      json_text({{"version", cluster.version},
                 {"not_seen", cluster.not_seen},
                 {"other_sgx_plugins", foreign},
                 {"workloads", workloads},
                 {"nodes", nodes},
                 {"pods", pods}}));
}

void Sysdump::add_events(const ApiServer& api, const std::string& name_space) {
  for (const auto& [file, about, place, selector] :
       {std::tuple{"events.txt", "what happened in the add-on's namespace", name_space, ""},
        std::tuple{"node-events.txt", "what happened to nodes", std::string("default"),
                   "&fieldSelector=involvedObject.kind%3DNode"}}) {
    auto events = api.send(
        {.path = "/api/v1/namespaces/" + place + "/events?limit=" + std::to_string(ApiServer::kPage) + selector,
         .doing = "list events in namespace " + place,
         .timeout = kPatience});
    if (events)
      add(file, about, events_text(*events));
    else
      leave_out(std::string(file) + ": " + events.error().message());
  }
}

void Sysdump::ask(const std::vector<Asked>& asked) {
  const auto end = std::chrono::steady_clock::now() + limits_.time;
  std::vector<Result<std::string>> answers(asked.size());
  at_once(asked.size(), [&](std::size_t i) {
    answers[i] = std::chrono::steady_clock::now() < end
                     ? asked[i].ask()
                     : Error(ErrorKind::kTimedOut, "the " + std::to_string(limits_.time.count()) + " s were over");
  });
  for (std::size_t i = 0; i < asked.size(); ++i) {
    if (answers[i])
      add(asked[i].name, asked[i].about, base::for_terminal(*answers[i]));
    else if (!asked[i].may_be_missing || answers[i].error().code() / 100 != 4)
      leave_out(asked[i].name + ": " + answers[i].error().message());
  }
}

void Sysdump::add_logs(const ApiServer& api, const Cluster& cluster) {
  std::vector<Asked> asked;
  for (const Pod* pod : pods_to_ask(cluster)) {
    std::vector<std::string> containers = {pod->container()};
    if (pod->app == kHelper) containers.emplace_back(kStandby);
    for (const std::string& container : containers)
      for (const bool previous : {false, true}) {
        if (previous && pod->ready) continue;
        ApiRequest request;
        request.path = "/api/v1/namespaces/" + pod->name_space + "/pods/" + pod->name + "/log?container=" + container +
                       "&tailLines=" + std::to_string(kLogLines) + "&limitBytes=" + std::to_string(kLogBytes) +
                       (previous ? "&previous=true" : "");
        request.doing = "read the log of " + pod->name + "'s container " + container;
        request.timeout = kPatience;
        // Not every helper has a standby, and not every container has run before.
        asked.push_back({"logs/" + pod->name + "." + container + (previous ? ".previous" : "") + ".log",
                         "the last lines, at most " + std::to_string(kLogLines),
                         [&api, request = std::move(request)] { return api.send(request); },
                         previous || container == kStandby});
      }
  }
  ask(asked);
}

void Sysdump::add_metrics(const ApiServer& api, const Cluster& cluster, const manifests::Settings& settings) {
  std::vector<Asked> asked;
  for (const Pod* pod : pods_to_ask(cluster)) {
    const auto daemon = daemon_of(*pod, cluster, settings);
    if (!daemon) continue;
    Call call = probe(*daemon, 0, "/metrics");
    call.doing = "read the metrics of " + pod->name;
    call.max_output = base::kMostPage;
    call.timeout = kPatience;
    asked.push_back({"metrics/" + pod->name + ".txt", "its metrics", [&api, call]() -> Result<std::string> {
                       ENCLAYER_TRY(const Answer said, api.kubectl().run(call));
                       return said.out;
                     }});
  }
  ask(asked);
}

std::string Sysdump::contents() const {
  std::string out =
      "What is in this archive, by file. Not in it, by construction: Secrets, files that settings name, tokens, "
      "environments, quotes and report data, and pods that are neither the add-on's nor name SGX.\n\n";
  std::size_t width = 0;
  for (const File& one : files_) width = std::max(width, one.file.name.size());
  for (const File& one : files_)
    out += one.file.name + std::string(width - one.file.name.size() + 2, ' ') + std::to_string(one.file.bytes.size()) +
           " bytes  " + one.about + "\n";
  if (!left_out_.empty()) out += "\nLeft out:\n";
  for (const std::string& one : left_out_) out += base::for_terminal(one) + "\n";
  return out;
}

Result<std::string> Sysdump::packed(const std::string& folder, Time time) const {
  std::vector<ArchiveFile> files = {{"contents.txt", contents()}};
  for (const File& one : files_) files.push_back(one.file);
  return tar_gz(folder, files, time);
}

}  // namespace enclayer::addon
