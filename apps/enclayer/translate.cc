// SPDX-License-Identifier: Apache-2.0
// enclayer translate: what the admission policies do to pods, done to manifests on the client.
#include "translate/translate.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/printable.h"
#include "cli_support.h"
#include "commands.h"

namespace enclayer::apps {
namespace {

struct Options {
  std::vector<std::string> files;
  translate::Cluster cluster;
  bool check = false;
  std::string to;
};

constexpr std::size_t kMaxSentence = 2000;  // bytes

Result<std::string> text_of(const std::string& file) {
  if (file != "-") return base::read_text(file, translate::kMaxText);
  std::string out;
  char buffer[64 << 10];
  for (std::size_t got; (got = std::fread(buffer, 1, sizeof buffer, stdin)) > 0;) {
    out.append(buffer, got);
    if (out.size() > translate::kMaxText) break;  // translate() says how much is too much
  }
  if (std::ferror(stdin) != 0) return Error(ErrorKind::kIo, "reading standard input failed");
  return out;
}

// Whether all is well. Sentences go to standard error, manifests to standard output.
Result<bool> translate_command(const Options& options) {
  std::string out;
  bool well = true;
  for (const std::string& file : options.files.empty() ? std::vector<std::string>{"-"} : options.files) {
    const std::string shown = file == "-" ? "standard input" : file;
    ENCLAYER_TRY(const std::string text, text_of(file));
    auto done = options.to == "dra" ? translate::translate_to_claims(text, options.cluster)
                                    : translate::translate(text, options.cluster);
    if (!done) return done.error().with_context(shown);
    for (const translate::Finding& finding : done->findings) {
      using Kind = translate::Finding::Kind;
      if (finding.kind == Kind::kChanged && !options.check) continue;
      if (finding.kind != Kind::kWarned) well = false;
      std::fprintf(stderr, "%s:%zu: %s%s\n", base::printable(shown, kMaxSentence).c_str(), finding.line,
                   finding.kind == Kind::kWarned    ? "warning: "
                   : finding.kind == Kind::kRefused ? "refused: "
                                                    : "would change: ",
                   base::printable(finding.text, kMaxSentence).c_str());
    }
    if (!out.empty() && !out.ends_with('\n')) out += '\n';
    if (!out.empty()) out += "---\n";
    out += done->text;
  }
  if (well && !options.check &&
      (std::fwrite(out.data(), 1, out.size(), stdout) != out.size() || std::fflush(stdout) != 0))
    return Error(ErrorKind::kIo, "writing the manifests to standard output failed");
  return well;
}

}  // namespace

void add_translate(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand(
      "translate", "Manifests as the admission policies would change them, for clusters where those cannot be");
  command->add_option("-f,--filename", options->files, "Manifests to read, YAML or JSON; may be given again")
      ->option_text("FILE [standard input]");
  command->add_flag("--check", options->check,
                    "Write no manifests: say with file and line what would change or be refused, and exit with 1 then");
  command->add_option("--to", options->to, "EPC becomes ResourceClaims (enable --dra-epc), their templates included")
      ->check(CLI::IsMember({"dra"}))
      ->option_text("dra");
  command->add_flag("--quote-helper", options->cluster.quote_helper,
                    "The cluster has quote helpers (enable --enable-sgxquotehelper): mounts of /var/run/aesmd become "
                    "enclayer.io/quote");
  command->add_flag("--provision-with-epc", options->cluster.provision_with_epc,
                    "The cluster was set up with that flag: who attests in-process asks for no device");
  command->footer(
      R"(Other vendors' names for EPC become kubernetes.azure.com/sgx_epc_mem_in_MiB, annotations become resources, pods tolerate
the taints of SGX nodes; mistakes are refused with a sentence, and nothing is written then. Pods are found in
Deployments, Jobs, Lists and the like. What does not change stays as it was written, comments too. Asks no cluster: what
only a cluster knows (labels of namespaces, LimitRanges, webhooks) is left to it. docs/admission.md has the rules.
Exit codes: 0 written; 1 something is refused, or would change with --check, or misuse; 2 no YAML; 3 a file cannot be
read.
Examples:
  enclayer translate -f app.yaml | kubectl apply -f -
  With EPC by claims, whatever its amount:
    enclayer translate --to dra -f app.yaml | kubectl apply -f -
  In CI, with the file and line of each pod that would be changed or refused:
    enclayer translate --check -f app.yaml
  As Helm's post-renderer, and as kustomize's transformer (docs/admission.md has their files):
    helm install app ./chart --post-renderer enclayer-translate
    kustomize build --enable-alpha-plugins --enable-exec . | kubectl apply -f -)");
  command->callback([options, &exit_code] {
    auto well = translate_command(*options);
    exit_code = !well ? fail("enclayer translate", well.error()) : *well ? 0 : 1;
  });
}

}  // namespace enclayer::apps
