// SPDX-License-Identifier: Apache-2.0
#include "detect/findings.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "sgx/platform.h"

namespace enclayer::detect {
namespace {

constexpr std::array<std::string_view, 5> kOwnLabels = {kSgxLabel, kEpcLabel, kDriverLabel, kPlatformLabel, kCdiLabel};

std::string lower_case(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](unsigned char c) { return std::tolower(c); });
  return out;
}

}  // namespace

Findings find(const sgx::Cpuid& cpuid, const std::filesystem::path& dev_root, const std::filesystem::path& sys) {
  Findings found;
  found.cpu = sgx::cpu_features(cpuid);
  if (found.cpu.sgx1) found.epc = sgx::epc_sections(cpuid);
  const base::Root dev(dev_root);
  for (const sgx::Driver& driver : sgx::drivers())
    for (std::string_view name : {driver.enclave, driver.provision}) {
      if (name.empty()) continue;
      sgx::DeviceNode node = sgx::look_at_node(dev, name, base::Root(sys));
      if (node.state != sgx::NodeState::kMissing) found.nodes.push_back({dev.path(name).string(), node});
    }
  auto platform = sgx::find_platform(cpuid, dev_root, sys);
  if (!platform) {
    found.why_not = platform.error().message();
    found.notes = found.epc.notes;
    return found;
  }
  found.driver = lower_case(platform->driver.name);
  found.notes = platform->notes;
  return found;
}

Findings pretend(std::uint64_t epc_bytes) {
  Findings found;
  found.simulated = true;
  found.epc.sections = {{0, epc_bytes}};
  found.driver = "sim";
  found.notes = {"SIMULATED SGX: this node pretends to have EPC, nothing that runs here is protected"};
  return found;
}

std::span<const std::string_view> own_labels() { return kOwnLabels; }

Labels labels_of(const Findings& findings) {
  if (!findings.usable()) return {};
  return {{std::string(kSgxLabel), "true"},
          {std::string(kEpcLabel), std::to_string(findings.epc.mib())},
          {std::string(kDriverLabel), findings.driver},
          {std::string(kPlatformLabel), findings.simulated ? "sim" : "hardware"}};
}

}  // namespace enclayer::detect
