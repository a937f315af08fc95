// SPDX-License-Identifier: Apache-2.0
// enclayer detect: what SGX this node has, for people, and as labels of the node.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "base/error.h"
#include "base/log.h"
#include "base/version.h"
#include "cli_support.h"
#include "commands.h"
#include "detect/events.h"
#include "detect/own_node.h"
#include "detect_flags.h"

namespace enclayer::apps {
namespace {

namespace log = base::log;
using detect::Findings;
using Json = nlohmann::ordered_json;

struct Flags : DetectFlags {
  std::string output = "table";
};

std::string octal(std::uint32_t mode) {
  char text[8];
  std::snprintf(text, sizeof text, "%04o", mode);
  return text;
}

Json to_json(const Findings& found) {
  Json out;
  out["usable"] = found.usable();
  out["why_not"] = found.usable() ? Json() : Json(found.why_not);
  out["platform"] = found.simulated ? "sim" : "hardware";
  out["cpu"] = {{"sgx", found.cpu.sgx},
                {"enabled", found.cpu.sgx1},
                {"launch_control", found.cpu.launch_control},
                {"sgx2", found.cpu.sgx2}};
  Json sections = Json::array();
  for (const auto& section : found.epc.sections) sections.push_back({{"base", section.base}, {"bytes", section.size}});
  out["epc"] = {{"mib", found.epc.mib()}, {"bytes", found.epc.bytes()}, {"sections", sections}};
  out["driver"] = found.driver.empty() ? Json() : Json(found.driver);
  out["devices"] = Json::array();
  for (const auto& [path, node] : found.nodes) {
    Json device = {{"path", path}, {"usable", node.state == sgx::NodeState::kUsable}, {"state", to_text(node.state)}};
    if (node.state != sgx::NodeState::kHidden) device.update({{"mode", octal(node.mode)}, {"group", node.group}});
    out["devices"].push_back(device);
  }
  out["notes"] = found.notes;
  out["labels"] = detect::labels_of(found);
  return out;
}

void row(const char* what, const std::string& is) { std::printf("%-16s %s\n", what, is.c_str()); }

void print_table(const Findings& found) {
  if (!found.simulated) {
    const sgx::CpuFeatures& cpu = found.cpu;
    row("processor", cpu.sgx ? "has SGX" : "no SGX seen");
    row("switched on", cpu.sgx1 ? "yes" : "no");
    row("launch control", cpu.launch_control ? "yes" : "no");
    row("SGX2 (EDMM)", cpu.sgx2 ? "yes" : "no");
  }
  row("EPC", std::to_string(found.epc.mib()) + " MiB" +
                 (found.simulated ? ", SIMULATED" : ", sections: " + std::to_string(found.epc.sections.size())));
  for (const auto& [path, node] : found.nodes)
    row("device", path + ": " + to_text(node.state) +
                      (node.state == sgx::NodeState::kHidden
                           ? ""
                           : ", mode " + octal(node.mode) + ", group " + std::to_string(node.group)));
  if (!found.simulated && found.nodes.empty()) row("device", "none");
  if (!found.driver.empty()) row("driver", found.driver);
  for (const std::string& note : found.notes) row("note", note);
  for (const auto& [key, value] : detect::labels_of(found)) row("label", std::string(key).append("=").append(value));
  row("usable", found.usable() ? "yes" : "no: " + found.why_not);
}

Result<int> show(const Flags& flags) {
  ENCLAYER_TRY(const Findings found, look(flags));
  if (flags.output == "json")
    std::printf("%s\n", to_json(found).dump(2, ' ', false, Json::error_handler_t::replace).c_str());
  else
    print_table(found);
  return found.usable() ? 0 : base::at_border(ErrorKind::kUnavailable).exit_code;
}

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : " ") + word;
  return out;
}

http::Options options_within(const http::Limits& limits) {
  http::Options options;
  options.limits = limits;
  options.user_agent = std::string("enclayer-detect/") + base::kVersion;
  return options;
}

Time now() { return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()); }

// A node that could be used and cannot any more loses its label, and with it our daemons: it is the place to say why.
// The label is there whether this can be said or not.
void tell_of_labels(const http::ApiServer& api, const Flags& flags, const Findings& found,
                    const detect::Labelled& done) {
  auto names_sgx = [](const std::vector<std::string>& keys) {
    return std::find(keys.begin(), keys.end(), detect::kSgxLabel) != keys.end();
  };
  const bool lost = names_sgx(done.removed);
  if (done.taken_out || (!lost && !names_sgx(done.set))) return;
  const std::string says = lost ? "SGX cannot be used here any more, the node's labels are gone: " + found.why_not
                                : "SGX can be used here: " + std::to_string(found.epc.mib()) + " MiB of EPC, driver " +
                                      found.driver + (found.simulated ? ", SIMULATED" : "");
  const auto& [reason, over] = detect::kSgxLost;
  auto event = detect::event_of_node(flags.node, lost ? reason : over, lost, says, now());
  auto told = detect::tell(api, flags.node, {&event, 1}, options_within(detect::event_limits()));
  if (!told) log::warn("no Event says so", {{"reason", told.error().message()}});
}

Result<int> label(const Flags& flags, const PodEnvironment& pod) {
  ENCLAYER_TRY(const Findings found, look(flags));
  ENCLAYER_TRY(auto api, http::api_server_of_pod(pod.service_host, pod.service_port, flags.account_dir));
  ENCLAYER_TRY(auto done,
               detect::label_node(api, flags.node, detect::labels_of(found), options_within(detect::api_limits())));
  if (done.taken_out)
    log::warn("node takes no part in the simulation: it does not carry the label that says so",
              {{"node", flags.node}, {"label", std::string(detect::kSimLabel) + "=true"}});
  bool changed = !done.set.empty() || !done.removed.empty();
  if (!changed)
    log::debug("labels are as they should be", {{"node", flags.node}});
  else
    log::info("labels changed", {{"node", flags.node},
                                 {"set", joined(done.set)},
                                 {"removed", joined(done.removed)},
                                 {"epc_mib", found.epc.mib()},
                                 {"driver", found.driver},
                                 {"simulated", found.simulated}});
  tell_of_labels(api, flags, found, done);
  return 0;
}

// What one writer's file says that cannot be read is no reason to be silent about the other's.
Result<int> tell(const Flags& flags, const PodEnvironment& pod) {
  std::vector<troubles::Trouble> all;
  for (std::string_view writer : troubles::kWriters) {
    const auto folder = flags.troubles_dir / writer;
    auto text = troubles::text_of(folder, now());
    if (text && text->empty()) continue;
    auto read = text ? troubles::parse_troubles(*text) : text.error();
    if (!read) {
      log::warn("what is wrong cannot be read", {{"folder", folder.string()}, {"reason", read.error().message()}});
      continue;
    }
    for (auto& trouble : *read) all.push_back(std::move(trouble));
  }
  const auto events = detect::events_of(all, flags.node);
  if (events.empty()) return 0;
  ENCLAYER_TRY(auto api, http::api_server_of_pod(pod.service_host, pod.service_port, flags.account_dir));
  ENCLAYER_CHECK(detect::tell(api, flags.node, events, options_within(detect::event_limits())));
  for (const auto& event : events)
    log::info("Event told", {{"object", event.kind + " " + event.object},
                             {"event", event.reason},
                             {"says", event.message},
                             {"count", event.count}});
  return 0;
}

}  // namespace

void add_detect(CLI::App& app, const PodEnvironment& pod, int& exit_code) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand("detect", "What SGX this node has, and why it cannot be used");
  add_detect_flags(*command, *flags,
                   "Instead of labels, give the node and its pods Events of what our daemons say there is wrong");
  add_output_flag(*command, flags->output, "table")->excludes("--label-node");
  command->footer(
      R"(With --label-node it prints nothing, gives the node its labels and ends; the daemon enclayer-detect does that
again whenever something has changed. docs/detect.md tells of both, docs/events.md of --troubles-dir.
Exit codes: 0 SGX can be used, or the labels are as they should be; 1 misuse; 2 the API server's answer cannot
be read; 3 a file cannot be read; 4 SGX cannot be used, or the API server does not do what it is asked; 5 the
node's labels do not keep still.
Example: enclayer detect --output json)");
  command->callback([flags, pod, &exit_code] {
    log::setup(flags->log_level, flags->log_format);
    auto done = flags->node.empty()           ? show(*flags)
                : flags->troubles_dir.empty() ? label(*flags, pod)
                                              : tell(*flags, pod);
    exit_code = done ? *done : fail("enclayer detect", done.error());
  });
}

}  // namespace enclayer::apps
