// SPDX-License-Identifier: Apache-2.0
// What SGX a node has, piece by piece, and the labels that say so. A processor with SGX is not enough: a node is
// labelled while its device can be used, and no longer.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sgx/cpuid.h"
#include "sgx/devices.h"
#include "sgx/epc.h"

namespace enclayer::detect {

struct SeenNode {
  std::string path;  // where it was looked at
  sgx::DeviceNode node;
};

struct Findings {
  bool simulated = false;
  sgx::CpuFeatures cpu;            // all false on a simulated node
  sgx::Epc epc;                    // on a simulated node one section at address 0
  std::vector<SeenNode> nodes;     // of every driver's device nodes those that are there, usable or not
  std::string driver;              // "in-kernel", "dcap", "legacy", "sim"; empty while no node can be used
  std::vector<std::string> notes;  // what works, but is worth a line
  std::string why_not;             // the first link that is missing, and the remedy; empty: SGX can be used here

  bool usable() const { return why_not.empty(); }
};

// This machine's own, as sgx::find_platform() judges it. `dev` and `sys` stand for /dev and /sys.
Findings find(const sgx::Cpuid& cpuid, const std::filesystem::path& dev, const std::filesystem::path& sys);

// What somebody wants to pretend; at least 1 MiB.
Findings pretend(std::uint64_t epc_bytes);

using Labels = std::map<std::string, std::string>;

// The keys that are ours to write and to remove, and the one that is the user's: it says that this node may take part
// in a simulation.
inline constexpr std::string_view kSgxLabel = "enclayer.io/sgx";            // "true"
inline constexpr std::string_view kEpcLabel = "enclayer.io/epc-mib";        // the processor's, in whole MiB: "8192"
inline constexpr std::string_view kDriverLabel = "enclayer.io/sgx-driver";  // Findings::driver
inline constexpr std::string_view kPlatformLabel = "enclayer.io/platform";  // "hardware", "sim"
inline constexpr std::string_view kCdiLabel = "enclayer.io/cdi";            // "false", or not there
inline constexpr std::string_view kSimLabel = "enclayer.io/sim";
std::span<const std::string_view> own_labels();

// The first four, or none where SGX cannot be used. kCdiLabel is about the node's container runtime (own_node.h).
Labels labels_of(const Findings& findings);

}  // namespace enclayer::detect
