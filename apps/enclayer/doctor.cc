// SPDX-License-Identifier: Apache-2.0
// enclayer doctor: the way of a quote through the cluster, link by link, and where it breaks first.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "addon/doctor.h"
#include "base/version.h"
#include "cli_support.h"
#include "commands.h"
#include "look.h"

namespace enclayer::apps {
namespace {

using namespace addon;
using nlohmann::ordered_json;

constexpr int kSomethingIsWrong = 2;

struct DoctorFlags {
  ClusterFlags cluster;
  std::string output = "text";
};

bool any_is_wrong(const std::vector<Link>& links) {
  return std::any_of(links.begin(), links.end(), [](const Link& one) { return one.standing == Standing::kWrong; });
}

std::string line(const Link& link, std::size_t width) {
  std::string line = std::string(to_string(link.standing));
  line.resize(9, ' ');
  line += link.name + std::string(width - link.name.size() + 2, ' ') + link.why + "\n";
  if (!link.next.empty() && link.standing != Standing::kOk)
    line += std::string(9 + width + 2, ' ') + "next: " + link.next + "\n";
  return line;
}

Result<int> doctor(const DoctorFlags& flags, const Surroundings& around) {
  ENCLAYER_TRY(const Looked all, look(flags.cluster, around));
  const auto links = examine(all);
  std::string text = flags.output == "json" ? in_json(links) : in_text(links);
  text.pop_back();
  print(stdout, text);
  return any_is_wrong(links) ? kSomethingIsWrong : 0;
}

}  // namespace

std::vector<Link> examine(const Looked& all) {
  const Clocks clocks = all.state.on ? read_clocks(*all.api) : Clocks();
  Examined examined{.cluster = all.cluster,
                    .before = all.remembered_settings(),
                    .no_settings = all.no_settings,
                    .state = all.state,
                    .protection = all.protection,
                    .clocks = clocks,
                    .not_asked = all.not_asked,
                    .helper_warnings = all.helper_warnings,
                    .helpers_asked = all.helpers.size(),
                    .coming = bad_soon(all.platforms),
                    .not_foreseen = not_foreseen(all.platforms),
                    .version = base::kVersion};
  if (all.state.on && all.not_asked.empty())
    examined.said =
        ask_what_is_wrong(all.api->kubectl(), all.cluster, all.before ? all.before->settings : manifests::Settings());
  return examine(examined);
}

std::string in_json(const std::vector<Link>& links) {
  ordered_json list = ordered_json::array();
  for (const Link& link : links)
    list.push_back(
        {{"link", link.name}, {"standing", to_string(link.standing)}, {"why", link.why}, {"next", link.next}});
  return ordered_json{{"links", std::move(list)}}.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

// What is wrong comes first, in the order of the way; what will be; then all of it.
std::string in_text(const std::vector<Link>& links) {
  std::size_t width = 0;
  for (const Link& link : links) width = std::max(width, link.name.size());
  std::string wrong, soon, rest;
  for (const Link& link : links)
    (link.standing == Standing::kWrong ? wrong : link.standing == Standing::kSoon ? soon : rest) += line(link, width);
  const std::string first = wrong + soon;
  return first.empty() ? rest : first + "\nThe rest of the way:\n" + rest;
}

void add_doctor(CLI::App& app, const Surroundings& around, int& exit_code) {
  auto flags = std::make_shared<DoctorFlags>();
  CLI::App* command =
      app.add_subcommand("doctor", "What is wrong? The way of a quote through the cluster, link by link");
  add_output_flag(*command, flags->output, "text");
  add_cluster_flags(*command, flags->cluster);
  command->footer(
      "Begin with the first line: what comes after it may be wrong because of it. Changes nothing; a pod is tried in\n"
      "a dry run, and pods of the add-on are asked by kubectl exec where you may.\n"
      "Exit codes: 0 nothing is wrong, as far as is known; 1 misuse, no such context; 2 something is wrong; 3 a right\n"
      "  is missing, no kubectl; 4 the API server does not answer.\n"
      "Examples:\n"
      "    enclayer doctor\n"
      "    enclayer doctor --output json | jq -r '.links[] | select(.standing == \"wrong\") | .why'");
  command->callback([flags, &around, &exit_code] {
    auto done = doctor(*flags, around);
    exit_code = done ? *done : fail(around.program + " doctor", done.error());
  });
}

}  // namespace enclayer::apps
