// SPDX-License-Identifier: Apache-2.0
// enclayer show and enclayer list: how the add-on stands, and what there is to switch on.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "addon/helper_facts.h"
#include "addon/protection.h"
#include "addon/removal.h"
#include "addon/state.h"
#include "addon/usage.h"
#include "addon_commands.h"
#include "base/version.h"
#include "cli_support.h"
#include "commands.h"
#include "look.h"

namespace enclayer::apps {
namespace {

using namespace addon;
using nlohmann::ordered_json;

struct ShowFlags {
  ClusterFlags cluster;
  std::string output = "table";
  bool problems = false;
  std::size_t helpers = 32;
};

std::string text_of(const ordered_json& json) {
  return json.dump(2, ' ', false, ordered_json::error_handler_t::replace);
}
void print(const std::string& text) { apps::print(stdout, text); }

// Columns as wide as their longest cell; the last one is not padded.
void print_table(const std::vector<std::vector<std::string>>& rows, const std::vector<bool>& right) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      std::string gap(widths[i] - row[i].size(), ' ');
      line += (i > 0 ? "  " : "") + (right[i] ? gap + row[i] : row[i] + gap);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    print(line);
  }
}

std::string dash(const std::string& text) { return text.empty() ? "-" : text; }

ordered_json settings_json(const manifests::Settings& settings) {
  ordered_json out = ordered_json::parse(to_json(settings, manifests::Scope::kAll));
  out["quoteHelperImage"] = helper_image(settings);
  return out;
}

ordered_json parts_json(const std::vector<PartState>& parts) {
  ordered_json out = ordered_json::array();
  for (const PartState& part : parts)
    out.push_back({{"name", part.name},
                   {"on", part.on},
                   {"image", part.image},
                   {"version", part.version},
                   {"ready", part.ready},
                   {"wanted", part.wanted}});
  return out;
}

ordered_json helpers_json(const std::vector<HelperFacts>& helpers) {
  ordered_json out = ordered_json::array();
  auto number = [](std::optional<int> svn) { return svn ? ordered_json(*svn) : ordered_json(); };
  auto text = [](const std::string& some) { return some.empty() ? ordered_json() : ordered_json(some); };
  for (const HelperFacts& one : helpers)
    if (one.first_of_image)
      out.push_back({{"image", one.image},
                     {"node", one.node},
                     {"version", text(one.version)},
                     {"dcap_version", text(one.libraries)},
                     {"qe_isvsvn", number(one.qe_svn)},
                     {"pce_isvsvn", number(one.pce_svn)},
                     {"fmspc", text(one.fmspc)},
                     {"tcb_status", text(one.tcb_status)},
                     {"tcb_unknown", text(one.tcb_unknown)}});
  return out;
}

ordered_json open_epc_json(const Looked& all) {
  ordered_json out = ordered_json::array();
  for (const NodeUse& node : usage(all.cluster, all.plugins).nodes) {
    if (!all.platforms.lacks_something(node.name)) continue;
    const OpenEpc& open = node.open;
    const std::size_t listed = std::min(open.pods.size(), kMostPods);
    out.push_back({{"node", node.name},
                   {"seen", open.seen},
                   {"pods", std::vector(open.pods.begin(), open.pods.begin() + static_cast<std::ptrdiff_t>(listed))},
                   {"more_pods", open.pods.size() - listed + open.unnamed},
                   {"host_processes", open.seen ? ordered_json(open.host_processes) : ordered_json()},
                   {"unread_processes", open.seen ? ordered_json(open.unread_processes) : ordered_json()}});
  }
  return out;
}

ordered_json protection_json(const Protection& protection) {
  ordered_json flaws = ordered_json::array();
  for (const Flaw& flaw : protection.flaws)
    flaws.push_back({{"kind", flaw.kind}, {"name", flaw.name}, {"what", flaw.what}});
  return {{"translation_works", protection.translation.works == Translation::kYes  ? ordered_json(true)
                                : protection.translation.works == Translation::kNo ? ordered_json(false)
                                                                                   : ordered_json()},
          {"why_not", protection.translation.why},
          {"flaws", std::move(flaws)}};
}

}  // namespace

ordered_json in_json(const Looked& all, const State& state) {
  const Remembered* before = all.remembered_settings();
  ordered_json policies = ordered_json::array(), nodes = ordered_json::array(), claims = ordered_json::array();
  for (const Claim& claim : state.claims)
    claims.push_back({{"namespace", claim.name_space},
                      {"name", claim.name},
                      {"node", claim.node},
                      {"epc_mib", claim.mib},
                      {"pods", claim.pods}});
  for (const addon::Policy& policy : state.policies)
    policies.push_back({{"kind", policy.kind}, {"name", policy.name}, {"version", policy.version}});
  for (const NodeState& node : state.nodes)
    nodes.push_back({{"name", node.name},
                     {"platform", node.platform},
                     {"driver", node.driver},
                     {"epc_mib",
                      {{"total", node.epc_total},
                       {"allocatable", node.epc_allocatable},
                       {"requested", node.epc_requested},
                       {"free", node.epc_free()}}},
                     {"dra_epc_mib", {{"total", node.dra_total}, {"claimed", node.dra_claimed}}},
                     {"plugin", node.plugin},
                     {"dra_driver", node.driver_pod},
                     {"quote_helper", node.helper},
                     {"quotes", node.quotes},
                     {"reason", node.reason}});
  return {{"on", state.on},
          {"namespace", state.name_space},
          {"kept_by", state.kept_by},
          {"versions", {{"cli", base::kVersion}, {"addon", state.addon_version}, {"cluster", state.cluster_version}}},
          {"settings", before != nullptr ? settings_json(before->settings) : ordered_json()},
          {"parts", parts_json(state.parts)},
          {"policies", policies},
          {"protection", state.on ? protection_json(all.protection) : ordered_json()},
          {"quote_helpers", helpers_json(all.helpers)},
          {"platforms", to_json(all.platforms)},
          {"open_epc", open_epc_json(all)},
          {"advisories", to_json(advisories_of(all.platforms, all.cluster))},
          {"nodes", nodes},
          {"claims", claims},
          {"nodes_without_sgx", state.other_nodes},
          {"warnings", state.warnings}};
}

namespace {

void print_parts(const std::vector<PartState>& parts) {
  std::vector<std::vector<std::string>> rows = {{"PART", "STATE", "NODES", "IMAGE"}};
  for (const PartState& part : parts)
    rows.push_back({part.name, part.on ? "on" : "off",
                    part.image.empty() ? "-" : std::to_string(part.ready) + "/" + std::to_string(part.wanted),
                    dash(part.image)});
  print_table(rows, {false, false, false, false});
}

void print_helpers(const std::vector<HelperFacts>& helpers) {
  std::vector<std::vector<std::string>> rows = {{"QUOTES BY", "ASKED ON", "DCAP", "QE", "PCE", "FMSPC", "TCB"}};
  auto number = [](std::optional<int> svn) { return svn ? std::to_string(*svn) : "-"; };
  for (const HelperFacts& one : helpers)
    if (one.first_of_image)
      rows.push_back({one.image, one.node, dash(one.libraries), number(one.qe_svn), number(one.pce_svn),
                      dash(one.fmspc), one.tcb_status.empty() ? "unknown" : one.tcb_status});
  print_table(rows, {false, false, false, true, true, false, false});
  print("");
}

std::string status_of(const TcbStanding& standing) {
  if (!standing.unknown.empty()) return "unknown";
  return standing.status +
         (standing.evaluation_number == 0 ? "" : " (" + std::to_string(standing.evaluation_number) + ")");
}

// Who has to go before the kernel can raise CPUSVN, on nodes whose platform lacks something: that may be microcode.
void print_open_epc(const Looked& all) {
  std::vector<std::vector<std::string>> rows = {{"MICROCODE UPDATE WAITS FOR", "NODE", "KNOWN BY"}};
  for (const NodeUse& node : usage(all.cluster, all.plugins).nodes)
    if (all.platforms.lacks_something(node.name))
      rows.push_back(
          {in_words(node.open), node.name,
           node.open.seen ? "open descriptors" : "SGX that pods hold: at most these, and processes of the host"});
  if (rows.size() == 1) return;
  print_table(rows, {false, false, false});
  print("");
}

// What the nodes' platforms are worth, today and soon, and whom that concerns.
void print_platforms(const Platforms& platforms, const std::vector<Advisory>& advisories) {
  if (!platforms.known.empty()) {
    std::vector<std::vector<std::string>> rows = {{"PLATFORM", "TCB", "QE", "TODAY", "EARLY", "UNTIL", "NODES"}};
    for (const PlatformOutlook& one : platforms.known)
      rows.push_back({one.fmspc, one.tcb, std::to_string(one.qe_svn), status_of(one.standard), status_of(one.early),
                      one.standard.next_update ? format_time(*one.standard.next_update).substr(0, 10) : "-",
                      in_words(one.nodes)});
    print_table(rows, {false, false, true, false, false, false, false});
    for (const PlatformOutlook& one : platforms.known) {
      if (!one.standard.unknown.empty()) print("today unknown: " + one.standard.unknown);
      if (!one.early.unknown.empty()) print("early unknown: " + one.early.unknown);
    }
  }
  for (const Platforms::Unknown& one : platforms.unknown)
    print("platform unknown, " + in_words(one.nodes) + ": " + one.why);
  if (!platforms.known.empty() || !platforms.unknown.empty()) print("");
  if (advisories.empty()) return;
  std::vector<std::vector<std::string>> rows = {{"ADVISORY", "SAID BY", "NODES", "PODS THAT HOLD SGX THERE"}};
  for (const Advisory& one : advisories)
    rows.push_back(
        {one.id, one.early ? "early TCB Info" : "today's TCB Info", in_words(one.nodes), dash(in_words(one.pods))});
  print_table(rows, {false, false, false, false});
  print("");
}

// The other door: what the DRA driver offers, and who has it. Nothing where it is not on.
void print_claims(const State& state) {
  std::vector<std::vector<std::string>> rows = {{"NODE", "EPC MiB BY CLAIMS", "CLAIMED", "FREE", "DRA DRIVER"}};
  for (const NodeState& node : state.nodes)
    if (node.driver_pod != "off" || node.dra_total > 0 || node.dra_claimed > 0)
      rows.push_back({node.name, grouped(node.dra_total), grouped(node.dra_claimed),
                      grouped(std::max<std::int64_t>(node.dra_total - node.dra_claimed, 0)), node.driver_pod});
  if (rows.size() == 1) return;
  print("");
  print_table(rows, {false, true, true, true, false});
  if (state.claims.empty()) return;
  rows = {{"CLAIM", "NODE", "EPC MiB", "PODS"}};
  for (const Claim& claim : state.claims)
    rows.push_back({claim.full_name(), claim.node, grouped(claim.mib), dash(in_words(claim.pods))});
  print("");
  print_table(rows, {false, false, true, false});
}

// What is wrong only: nodes with a reason, and the warnings.
void print_problems(const State& state) {
  for (const NodeState& node : state.nodes)
    if (!node.reason.empty()) print(node.name + ": " + node.reason);
  for (const std::string& warning : state.warnings) print("warning: " + warning);
}

void print_text(const State& state, const Looked& all, const std::string& program) {
  const Remembered* before = all.remembered_settings();
  const Protection& protection = all.protection;
  if (!state.on) {
    print("enclayer is not switched on here (cluster " + state.cluster_version + "). `" + program +
          " enable` does that.");
  } else {
    print("enclayer is on: namespace " + state.name_space +
          (before != nullptr ? ", platform " + std::string(to_string(before->settings.platform)) : "") +
          (state.kept_by.empty() ? "" : ", kept by " + state.kept_by));
    print("versions: enclayer " + std::string(base::kVersion) + ", add-on " + dash(state.addon_version) + ", cluster " +
          dash(state.cluster_version) + "\n");
    print_parts(state.parts);
    print("");
    if (!state.policies.empty()) {
      std::vector<std::vector<std::string>> rows = {{"POLICY", "KIND", "VERSION"}};
      for (const addon::Policy& policy : state.policies)
        rows.push_back({policy.name, policy.kind, dash(policy.version)});
      print_table(rows, {false, false, false});
      print("translation works here: " + protection.translation.text());
      print("");
    }
  }
  if (!all.helpers.empty()) print_helpers(all.helpers);
  print_platforms(all.platforms, advisories_of(all.platforms, all.cluster));
  print_open_epc(all);
  if (!state.nodes.empty()) {
    std::vector<std::vector<std::string>> rows = {
        {"NODE", "PLATFORM", "DRIVER", "EPC MiB", "REQUESTED", "FREE", "PLUGIN", "QUOTE HELPER", "QUOTES", "REASON"}};
    for (const NodeState& node : state.nodes)
      rows.push_back({node.name, dash(node.platform), dash(node.driver), grouped(node.epc_allocatable),
                      grouped(node.epc_requested), grouped(node.epc_free()), node.plugin, node.helper,
                      node.quotes ? "yes" : "no", node.reason});
    print_table(rows, {false, false, false, true, true, true, false, false, false, false});
    print_claims(state);
  }
  if (state.other_nodes > 0)
    print((state.nodes.empty() ? "" : "and ") + std::to_string(state.other_nodes) +
          (state.other_nodes == 1 ? " node" : " nodes") + " without SGX" + (state.on ? ", left alone" : ""));
  for (const std::string& warning : state.warnings) print("\nwarning: " + warning);
}

// What is wrong with admission, and what is left where nothing is on, goes among the warnings.
void warn_of_protection(const Looked& all, State& now) {
  auto warn = [&](std::string text) {
    if (!text.empty()) now.warnings.push_back(std::move(text));
  };
  if (!now.on) {
    auto objects = leftovers(*all.api, all.cluster, {});
    return warn(objects ? left_behind(*objects, detected_keys(all.cluster))
                        : "not everything is known: " + objects.error().message());
  }
  const Protection& protection = all.protection;
  if (!protection.flaws.empty())
    warn(in_words(protection.flaws) + "; " +
         (now.kept_by.empty() ? "`enclayer update` repairs that, with --adopt what somebody changed"
                              : now.kept_by + " is where to repair that"));
  if (!protection.not_known.empty())
    warn("whether the policies are as they should be is not known: " + protection.not_known);
  if (protection.translation.works == Translation::kNo && all.cluster.has_mutating)
    warn("other vendors' names are not translated, because " + protection.translation.why);
}

}  // namespace

State with_warnings(const Looked& all) {
  State now = all.state;
  if (!all.no_settings.empty()) now.warnings.insert(now.warnings.begin(), all.no_settings);
  warn_of_protection(all, now);
  if (!all.not_asked.empty())
    now.warnings.push_back("quote helpers were not asked what they quote with: " + all.not_asked);
  now.warnings.insert(now.warnings.end(), all.helper_warnings.begin(), all.helper_warnings.end());
  for (std::string& warning : bad_soon(all.platforms)) now.warnings.push_back(std::move(warning));
  return now;
}

namespace {

Result<> show(const ShowFlags& flags, const Surroundings& around) {
  ENCLAYER_TRY(const Looked all, look(flags.cluster, around, flags.helpers));
  State now = with_warnings(all);
  if (flags.problems) std::erase_if(now.nodes, [](const NodeState& node) { return node.reason.empty(); });
  if (flags.problems && flags.output != "json")
    print_problems(now);
  else
    flags.output == "json" ? print(text_of(in_json(all, now))) : print_text(now, all, around.program);
  return {};
}

Result<> list(const ShowFlags& flags, const Surroundings& around) {
  ENCLAYER_TRY(const Looked all, look_at_cluster(flags.cluster, around));
  auto there = parts(all.cluster, all.remembered_settings());
  if (flags.output == "json") {
    ordered_json out = ordered_json::array();
    for (const PartState& part : there)
      out.push_back({{"name", part.name}, {"on", part.on}, {"meaning", part.meaning}});
    print(text_of(out));
    return {};
  }
  std::vector<std::vector<std::string>> rows = {{"PART", "STATE", "WHAT IT DOES"}};
  for (const PartState& part : there) rows.push_back({part.name, part.on ? "on" : "off", part.meaning});
  print_table(rows, {false, false, false});
  return {};
}

}  // namespace

void add_show(CLI::App& app, const Surroundings& around, int& exit_code) {
  auto flags = std::make_shared<ShowFlags>();
  CLI::App* command = app.add_subcommand("show", "How does the add-on stand? What is on, which versions, node by node");
  add_output_flag(*command, flags->output, "table");
  command->add_flag("--problems", flags->problems, "Only what is wrong: nodes with a reason, and warnings");
  command
      ->add_option(
          "--helpers", flags->helpers,
          "Ask so many quote helpers at most for their platform: one of each image, then those on whose nodes most "
          "pods hold SGX")
      ->check(CLI::Range(1, 10'000))
      ->option_text("NUMBER [32]");
  add_cluster_flags(*command, flags->cluster);
  command->footer(
      "Nodes with something wrong come first, with the reason. EPC is in MiB: what pods can have on a node, what they\n"
      "have asked for, and what is left. QUOTES: whether pods can have enclayer.io/quote there. EPC that claims can\n"
      "have (--dra-epc) stands in a table of its own, with the claims that hold it.\n"
      "Exit codes: 0 shown, on or off; 1 misuse, no such context; 3 a right is missing, no kubectl; 4 the API server\n"
      "  does not answer.\n"
      "Examples:\n"
      "  For people:\n"
      "    enclayer show\n"
      "  Which nodes are not as they should be?\n"
      "    enclayer show --problems\n"
      "  How much EPC is free in the whole cluster?\n"
      "    enclayer show --output json | jq '[.nodes[].epc_mib.free] | add'");
  command->callback([flags, &around, &exit_code] {
    auto done = show(*flags, around);
    exit_code = done ? 0 : fail(around.program + " show", done.error());
  });
}

void add_list(CLI::App& app, const Surroundings& around, int& exit_code) {
  auto flags = std::make_shared<ShowFlags>();
  CLI::App* command = app.add_subcommand("list", "The parts of the add-on, and which are on");
  add_output_flag(*command, flags->output, "table");
  add_cluster_flags(*command, flags->cluster);
  command->footer(
      R"(Exit codes: 0 listed; 1 misuse, no such context; 3 a right is missing, no kubectl; 4 the API server does not
  answer.
Examples:
    enclayer list
    enclayer list --output json | jq -r '.[] | select(.on) | .name')");
  command->callback([flags, &around, &exit_code] {
    auto done = list(*flags, around);
    exit_code = done ? 0 : fail(around.program + " list", done.error());
  });
}

}  // namespace enclayer::apps
