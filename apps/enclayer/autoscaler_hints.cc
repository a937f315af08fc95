// SPDX-License-Identifier: Apache-2.0
// enclayer autoscaler-hints: what a cluster autoscaler has to be told of a pool that has no node yet.
//
// An autoscaler that has seen a node of a pool copies it in its mind. Of a pool without nodes it knows the machine's
// CPU and memory only, so a pod that asks for EPC looks as if it could never run there. Each cloud has its own place
// to say more; the forms below were read in the sources and pages named beside them, and none was tried on a cloud.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/quantity.h"
#include "base/resource_names.h"
#include "cli_support.h"
#include "commands.h"

namespace enclayer::apps {
namespace {

constexpr std::uint64_t kMib = 1 << 20;
constexpr std::uint64_t kGibInMib = 1024;
// What the device plugin can offer on a node (docs/limits.md).
constexpr std::uint64_t kMostMib = 256 * kGibInMib;

// EPC of Azure's SGX sizes, as Microsoft's pages on DCsv2, DCsv3 and DCdsv3 give it. The step changes at 24 cores.
struct Sku {
  std::string_view name;  // without "Standard_"
  std::uint64_t mib;
};
constexpr Sku kSkus[] = {
    {"DC1s_v2", 28},
    {"DC2s_v2", 56},
    {"DC4s_v2", 112},
    {"DC8_v2", 168},
    {"DC1s_v3", 4 * kGibInMib},
    {"DC2s_v3", 8 * kGibInMib},
    {"DC4s_v3", 16 * kGibInMib},
    {"DC8s_v3", 32 * kGibInMib},
    {"DC16s_v3", 64 * kGibInMib},
    {"DC24s_v3", 128 * kGibInMib},
    {"DC32s_v3", 192 * kGibInMib},
    {"DC48s_v3", 256 * kGibInMib},
    {"DC1ds_v3", 4 * kGibInMib},
    {"DC2ds_v3", 8 * kGibInMib},
    {"DC4ds_v3", 16 * kGibInMib},
    {"DC8ds_v3", 32 * kGibInMib},
    {"DC16ds_v3", 64 * kGibInMib},
    {"DC24ds_v3", 128 * kGibInMib},
    {"DC32ds_v3", 192 * kGibInMib},
    {"DC48ds_v3", 256 * kGibInMib},
};

struct Options {
  std::string epc, sku;
  std::string cloud = "all";
  std::string resource = base::kEpcResource;
  std::string output = "text";
};

using Pairs = std::vector<std::pair<std::string, std::string>>;

// What a node of the pool will look like once it is there.
struct Node {
  std::uint64_t mib = 0;
  std::string resource;
  Pairs labels;  // as `enclayer detect` writes them
};

// What one cloud is told, and where. `entries` is empty where that cloud cannot be told of EPC; `note` says why then.
struct Hints {
  std::string cloud, where;
  Pairs entries;
  bool tells_epc = true;
  std::string note;
};

// "a=1,b=2"
std::string joined_labels(const Node& node) {
  std::string out;
  for (const auto& [key, value] : node.labels) out.append(out.empty() ? "" : ",").append(key).append("=").append(value);
  return out;
}

// Cluster Autoscaler's AWS page, "Auto-discovery setup".
Hints aws(const Node& node) {
  const std::string prefix = "k8s.io/cluster-autoscaler/node-template/";
  Hints out{"aws", "tags of the Auto Scaling group", {}, true, ""};
  out.entries.emplace_back(prefix + "resources/" + node.resource, std::to_string(node.mib));
  for (const auto& [key, value] : node.labels) out.entries.emplace_back(prefix + "label/" + key, value);
  return out;
}

// Cluster Autoscaler, cloudprovider/azure/azure_template.go: names of tags cannot have a slash, so an underscore stands
// for it. In labels "~2" stands for an underscore; in resources it stands for a slash as well, so a resource with an
// underscore in its name has no tag.
Hints azure(const Node& node) {
  auto as_tag = [](const std::string& name) {
    std::string out;
    for (char c : name) out += c == '_' ? std::string("~2") : std::string(1, c == '/' ? '_' : c);
    return out;
  };
  const std::string prefix = "k8s.io_cluster-autoscaler_node-template_";
  Hints out{
      "azure", "tags of the virtual machine scale set (a cluster autoscaler of your own, not AKS's)", {}, true, ""};
  if (node.resource.find('_') == std::string::npos) {
    out.entries.emplace_back(prefix + "resources_" + as_tag(node.resource), std::to_string(node.mib));
  } else {
    out.tells_epc = false;
    out.note = "The autoscaler reads every '_' in a resource's tag as '/', so " + node.resource +
               " cannot be told: keep one node in the pool";
  }
  for (const auto& [key, value] : node.labels) out.entries.emplace_back(prefix + "label_" + as_tag(key), value);
  return out;
}

// Cluster Autoscaler, cloudprovider/gce/templates.go.
Hints gcp(const Node& node) {
  std::string labels = joined_labels(node);
  return {"gcp",
          "AUTOSCALER_ENV_VARS in the kube-env metadata of the instance template, after a ';'",
          {{"extended_resources", node.resource + "=" + std::to_string(node.mib)}, {"node_labels", labels}},
          true,
          ""};
}

// Cluster Autoscaler's Cluster API page, "Scale from zero": "gpu" is whatever resource is named.
Hints cluster_api(const Node& node) {
  const std::string prefix = "capacity.cluster-autoscaler.kubernetes.io/";
  std::string labels = joined_labels(node);
  return {"cluster-api",
          "annotations of the MachineDeployment, beside those for cpu and memory",
          {{prefix + "gpu-type", node.resource},
           {prefix + "gpu-count", std::to_string(node.mib)},
           {prefix + "labels", labels}},
          true,
          "'gpu' is any one resource here; a pool with GPUs as well cannot be told both"};
}

// karpenter.sh, "NodeOverlays" (alpha): spec.capacity takes resources that the cloud does not know of.
Hints karpenter(const Node& node) {
  return {"karpenter",
          "spec.capacity of a NodeOverlay whose requirements select the machine type (feature gate NodeOverlay)",
          {{node.resource, std::to_string(node.mib)}},
          true,
          "Labels belong to the NodePool: spec.template.metadata.labels"};
}

std::vector<Hints> hints(const Options& options, const Node& node) {
  std::vector<Hints> out;
  for (const auto& one : {azure(node), aws(node), gcp(node), cluster_api(node), karpenter(node)})
    if (options.cloud == "all" || options.cloud == one.cloud) out.push_back(one);
  return out;
}

Result<std::uint64_t> epc_in_mib(const Options& options) {
  if (!options.sku.empty()) {
    std::string_view name = options.sku;
    if (name.starts_with("Standard_")) name.remove_prefix(std::string_view("Standard_").size());
    const Sku* found =
        std::find_if(std::begin(kSkus), std::end(kSkus), [&](const Sku& sku) { return sku.name == name; });
    if (found != std::end(kSkus)) return found->mib;
    std::string known;
    for (const Sku& sku : kSkus) known += (known.empty() ? "" : ", ") + std::string(sku.name);
    return Error(ErrorKind::kInvalidArgument, "--sku: '" + options.sku +
                                                  "' is not one of Azure's SGX sizes (Standard_" + known +
                                                  "). For any other machine give its EPC: --epc 32Gi");
  }
  auto bytes = base::parse_quantity(options.epc);
  if (!bytes) return Error(ErrorKind::kInvalidArgument, "--epc: " + bytes.error().message());
  // Rounded down, as the plugin does: EPC is never oversold.
  std::uint64_t mib = *bytes / kMib;
  if (mib == 0) return Error(ErrorKind::kInvalidArgument, "--epc: '" + options.epc + "' is less than 1 MiB");
  if (mib > kMostMib)
    return Error(ErrorKind::kInvalidArgument,
                 "--epc: '" + options.epc + "' is more than the 256Gi that a node can offer (docs/limits.md)");
  return mib;
}

void print_text(const Node& node, const std::vector<Hints>& all) {
  std::printf("A node of this pool will have\n  %s: %llu\n", node.resource.c_str(),
              static_cast<unsigned long long>(node.mib));
  for (const auto& [key, value] : node.labels) std::printf("  %s=%s\n", key.c_str(), value.c_str());
  for (const Hints& one : all) {
    std::printf("\n%s: %s\n", one.cloud.c_str(), one.where.c_str());
    for (const auto& [key, value] : one.entries) std::printf("  %s = %s\n", key.c_str(), value.c_str());
    if (!one.note.empty()) std::printf("  (%s)\n", one.note.c_str());
  }
  std::printf("\nRead in the autoscalers' sources and pages, tried on no cloud. docs/autoscaling.md says more.\n");
}

void print_json(const Node& node, const std::vector<Hints>& all) {
  using Json = nlohmann::ordered_json;
  auto object = [](const Pairs& pairs) {
    Json out = Json::object();
    for (const auto& [key, value] : pairs) out[key] = value;
    return out;
  };
  Json clouds = Json::object();
  for (const Hints& one : all) {
    Json entry = {{"where", one.where}, {"tells_epc", one.tells_epc}, {"entries", object(one.entries)}};
    if (!one.note.empty()) entry["note"] = one.note;
    clouds[one.cloud] = std::move(entry);
  }
  Json out = {{"resource", node.resource}, {"epc_mib", node.mib}, {"labels", object(node.labels)}, {"clouds", clouds}};
  std::printf("%s\n", out.dump(2).c_str());
}

}  // namespace

void add_autoscaler_hints(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      app.add_subcommand("autoscaler-hints", "What to tell a cluster autoscaler of an SGX pool that has no node yet");
  auto* epc = command->add_option("--epc", options->epc, "EPC of a node of the pool, in Ki, Mi, Gi, Ti or bytes")
                  ->option_text("AMOUNT");
  auto* sku = command->add_option("--sku", options->sku, "Or its size on Azure: DCsv2, DCsv3 and DCdsv3 are known")
                  ->option_text("NAME");
  epc->excludes(sku);
  command->add_option("--cloud", options->cloud, "For whom")
      ->check(CLI::IsMember({"all", "azure", "aws", "gcp", "cluster-api", "karpenter"}))
      ->option_text("all|azure|aws|gcp|cluster-api|karpenter [all]");
  command->add_option("--resource", options->resource, "The resource that the device plugin offers as EPC, in MiB")
      ->option_text(std::string("NAME [") + base::kEpcResource + "]");
  add_output_flag(*command, options->output);
  command->footer(
      R"(An autoscaler starts a node for a pod that is Pending when it knows that the pod would fit. Of a pool with nodes
it knows the EPC; of one that is scaled to zero only what tags or annotations say. Nothing is looked up.
Exit codes: 0 printed; 1 misuse.
Examples:
  A pool of Azure's machines:
    enclayer autoscaler-hints --sku Standard_DC8s_v3 --cloud azure
  Machines of your own, through Cluster API:
    enclayer autoscaler-hints --epc 32Gi --cloud cluster-api
  The annotations as JSON:
    enclayer autoscaler-hints --epc 32Gi --output json | jq '.clouds["cluster-api"].entries')");
  command->callback([options, &exit_code] {
    if (options->epc.empty() && options->sku.empty()) {
      exit_code = fail("enclayer autoscaler-hints",
                       Error(ErrorKind::kInvalidArgument,
                             "say how much EPC a node has, --epc 32Gi, or which size it is on Azure, --sku DC8s_v3"));
      return;
    }
    auto mib = epc_in_mib(*options);
    if (!mib) {
      exit_code = fail("enclayer autoscaler-hints", mib.error());
      return;
    }
    Node node{*mib, options->resource, {{"enclayer.io/sgx", "true"}, {"enclayer.io/epc-mib", std::to_string(*mib)}}};
    auto all = hints(*options, node);
    options->output == "json" ? print_json(node, all) : print_text(node, all);
    exit_code = 0;
  });
}

}  // namespace enclayer::apps
