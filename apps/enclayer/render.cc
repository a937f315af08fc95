// SPDX-License-Identifier: Apache-2.0
// enclayer render: the add-on's manifests with the user's settings, for GitOps. Needs no cluster.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <regex>
#include <string>
#include <system_error>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "base/file.h"
#include "base/printable.h"
#include "cli_support.h"
#include "commands.h"
#include "manifests/chart.h"
#include "manifests/manifests.h"
#include "settings_flags.h"

namespace enclayer::apps {
namespace {

namespace fs = std::filesystem;

struct Options {
  SettingsFlags settings;
  fs::path output_dir, chart;
  std::string kubernetes;  // empty: the newest
};

Result<> write(const fs::path& path, const std::string& text) {
  std::error_code failed;
  fs::create_directories(path.parent_path(), failed);
  if (failed) return base::errno_error(failed.value(), "making folder " + path.parent_path().string());
  return base::write_file_atomic(path, base::as_bytes(text), 0644);
}

// A file for each of deploy/manifests, without its folder, and the list of them that `kubectl apply -k` wants.
Result<> write_folder(const fs::path& folder, const std::vector<manifests::Document>& documents) {
  std::vector<std::string> order;  // of the first object in each
  std::map<std::string, std::string> files;
  for (const manifests::Document& document : documents) {
    const std::string name = fs::path(document.file).filename();
    if (!files.contains(name)) order.push_back(name);
    std::string& text = files[name];
    text += (text.empty() ? "" : "---\n") + document.text;
  }
  std::string list = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n";
  for (const std::string& name : order) list += "  - " + name + "\n";
  for (const auto& [name, text] : files) ENCLAYER_CHECK(write(folder / name, text));
  return write(folder / "kustomization.yaml", list);
}

// 36 of "1.36", "v1.36.3" or "1.36.3-eks-1".
Result<unsigned> minor_of(std::string version) {
  static const std::regex kVersion("v?1\\.([0-9]{1,3})([.+-].{0,60})?");
  std::smatch found;
  if (version.empty()) return manifests::kNewestKubernetes;
  if (version.size() > 80 || !std::regex_match(version, found, kVersion))
    return Error(ErrorKind::kInvalidArgument,
                 "--kubernetes " + base::printable(version, 80) + " is no version of Kubernetes: write it as in 1.36");
  return static_cast<unsigned>(std::stoul(found[1]));
}

Result<> render_command(const Options& options) {
  ENCLAYER_TRY(const manifests::Settings settings, changed({}, options.settings));
  if (!options.chart.empty()) {
    ENCLAYER_TRY(const auto files, manifests::chart());
    for (const manifests::ChartFile& file : files) ENCLAYER_CHECK(write(options.chart / file.path, file.text));
    return {};
  }
  ENCLAYER_TRY(const unsigned kubernetes, minor_of(options.kubernetes));
  ENCLAYER_TRY(const auto documents, manifests::render(settings, kubernetes));
  if (!options.output_dir.empty()) {
    ENCLAYER_CHECK(write_folder(options.output_dir, documents));
    return {};
  }
  const std::string yaml = manifests::to_yaml(documents);
  if (std::fwrite(yaml.data(), 1, yaml.size(), stdout) != yaml.size() || std::fflush(stdout) != 0)
    return Error(ErrorKind::kIo, "writing the manifests to standard output failed");
  return {};
}

}  // namespace

void add_render(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      app.add_subcommand("render", "The add-on's manifests, for GitOps: what `enable` would apply. Asks no cluster");
  add_settings_flags(*command, options->settings);
  CLI::Option* folder =
      command->add_option("--output-dir", options->output_dir, "Write a file for each part, and a kustomization.yaml")
          ->option_text("DIR [standard output]");
  command->add_option("--chart", options->chart, "Write the Helm chart instead; settings are its values")
      ->option_text("DIR")
      ->excludes(folder);
  command
      ->add_option("--kubernetes", options->kubernetes,
                   "The cluster's version: what it does not know is left out. Before 1.36 no MutatingAdmissionPolicy\n"
                   "and no claims of amounts, so that --dra-epc does nothing,\n"
                   "before 1.30 no policy at all and no detector, whose right to label nodes only a policy bounds")
      ->option_text("VERSION [newest]");
  command->footer(R"(The same settings always give the same text, objects in the order in which they have to be applied.
Exit codes: 0 written; 1 misuse, or a setting that makes no sense; 3 a file cannot be read or written.
Examples:
  enclayer render --enable-sgxquotehelper --image registry.example/enclayer:0.2.0 > enclayer.yaml
  enclayer render --kubernetes 1.34 --toleration dedicated=sgx:NoSchedule --pod-label team=platform
  enclayer render --platform sim --output-dir enclayer && kubectl apply -k enclayer)");
  command->callback([options, &exit_code] {
    auto done = render_command(*options);
    exit_code = done ? 0 : fail("enclayer render", done.error());
  });
}

}  // namespace enclayer::apps
