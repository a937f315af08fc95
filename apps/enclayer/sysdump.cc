// SPDX-License-Identifier: Apache-2.0
// enclayer sysdump: one archive for a support case.
#include "addon/sysdump.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/digest.h"
#include "base/file.h"
#include "cli_support.h"
#include "commands.h"
#include "look.h"
#include "manifests/settings.h"

namespace enclayer::apps {
namespace {

using namespace addon;
using nlohmann::ordered_json;

struct SysdumpFlags {
  ClusterFlags cluster;
  DumpLimits limits;
  std::string out, output = "text";
};

// "enclayer-sysdump-20260131T235959Z"
std::string name_for(Time now) {
  std::string time = format_time(now);
  std::erase_if(time, [](char c) { return c == '-' || c == ':'; });
  return "enclayer-sysdump-" + time;
}

// Settings that this enclayer knows. What files say may have passwords of a PCCS in it, so that their digest stands there.
ordered_json without_files(const ordered_json& settings) {
  ordered_json out = ordered_json::object();
  for (const manifests::Setting& one : manifests::setting_table()) {
    const std::string name(one.name);
    if (!settings.contains(name)) continue;
    out[name] = settings[name];
    if (one.shown != "FILE" || !out[name].is_string() || out[name].get_ref<const std::string&>().empty()) continue;
    const std::string text = out[name];
    out[name] = "(" + std::to_string(text.size()) + " bytes, SHA-256 " + base::sha256_hex(text) + ")";
  }
  return out;
}

Result<> sysdump(const SysdumpFlags& flags, const Surroundings& around, Time now) {
  const std::string folder = name_for(now);
  const std::filesystem::path path = flags.out.empty() ? folder + ".tar.gz" : flags.out;
  std::error_code ignored;
  if (std::filesystem::exists(std::filesystem::symlink_status(path, ignored)))
    return Error(ErrorKind::kConflict, path.string() + " is there already; give another name with --out FILE");

  auto progress = [](const std::string& what) { print(stderr, what + " ..."); };
  progress("looking at the cluster");
  ENCLAYER_TRY(const Looked all, look(flags.cluster, around));
  Sysdump dump(flags.limits);
  const auto links = examine(all);
  dump.add("doctor.txt", "what `enclayer doctor` says", in_text(links));
  dump.add("doctor.json", "the same, for programs", in_json(links));
  ordered_json shown = in_json(all, with_warnings(all));
  if (shown["settings"].is_object()) shown["settings"] = without_files(shown["settings"]);
  dump.add("show.json", "what `enclayer show --output json` says; of files the digest",
           shown.dump(1, ' ', false, ordered_json::error_handler_t::replace) + "\n");
  dump.add_cluster(all.cluster);
  if (const std::string place = all.cluster.name_space(); !place.empty()) {
    progress("reading events, logs and metrics in namespace " + place);
    dump.add_events(*all.api, place);
    dump.add_logs(*all.api, all.cluster);
    if (all.not_asked.empty())
      dump.add_metrics(*all.api, all.cluster, all.before ? all.before->settings : manifests::Settings());
    else
      dump.leave_out("metrics: " + all.not_asked);
  } else {
    dump.leave_out("events, logs and metrics: the add-on is not switched on here");
  }

  ENCLAYER_TRY(const std::string archive, dump.packed(folder, now));
  ENCLAYER_CHECK(base::write_new_file(path, base::as_bytes(archive), 0600));
  if (flags.output == "json")
    print(stdout, ordered_json{{"file", path.string()}, {"bytes", archive.size()}}.dump(
                      2, ' ', false, ordered_json::error_handler_t::replace));
  else
    print(stdout, dump.contents() + "\n" + path.string() + ": " + std::to_string(archive.size()) + " bytes");
  return {};
}

}  // namespace

void add_sysdump(CLI::App& app, const Surroundings& around, Time now, int& exit_code) {
  auto flags = std::make_shared<SysdumpFlags>();
  CLI::App* command = app.add_subcommand("sysdump", "One archive for a support case, without secrets");
  command->add_option("--out", flags->out, "The archive to write, .tar.gz")
      ->option_text("FILE [enclayer-sysdump-TIME.tar.gz]");
  command
      ->add_option_function<int>(
          "--timeout", [flags](int seconds) { flags->limits.time = std::chrono::seconds(seconds); },
          "How long to read logs, and how long metrics, in seconds")
      ->check(CLI::Range(1, 3600))
      ->option_text("SECONDS [" + std::to_string(flags->limits.time.count()) + "]");
  add_output_flag(*command, flags->output, "text");
  add_cluster_flags(*command, flags->cluster);
  command->footer(
      "In it: what show and doctor say, nodes, pods that are the add-on's or name SGX, events, metrics and the end of\n"
      "the logs of the add-on's pods: of at most 24 that are not ready, and of one for each program and image.\n"
      "Never in it: Secrets, files that settings name, tokens, environments, quotes and report data.\n"
      "At most 32 MiB before it is compressed. The first file, contents.txt, says what is there, and what could not\n"
      "be read and why; look through it before you send it.\n"
      "Exit codes: 0 written; 1 misuse, no such context; 3 a right is missing, no kubectl, the file cannot be\n"
      "  written; 4 the API server does not answer; 5 the file is there already.\n"
      "Examples:\n"
      "    enclayer sysdump\n"
      "    tar -xzOf enclayer-sysdump-*.tar.gz --wildcards '*/doctor.txt'");
  command->callback([flags, &around, now, &exit_code] {
    auto done = sysdump(*flags, around, now);
    exit_code = done ? 0 : fail(around.program + " sysdump", done.error());
  });
}

}  // namespace enclayer::apps
