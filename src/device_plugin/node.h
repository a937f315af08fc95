// SPDX-License-Identifier: Apache-2.0
// What this node has to offer: EPC, and the devices by which programs reach it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "enclayer/error.h"
#include "kubelet/device_list.h"
#include "sgx/devices.h"
#include "sgx/epc.h"

namespace enclayer::device_plugin {

// A character device of the host that containers are given.
struct Device {
  std::string name;       // "enclave", "provision": for log, metrics and CDI
  std::string host_path;  // as the kubelet and the container runtime see it, wherever we look
  std::filesystem::path seen_at;
  std::vector<std::string> container_paths;
  std::filesystem::path sys;  // where the kernel says whether it is the driver's; empty for a stand-in of a simulation

  // As it is now. Looks, never opens.
  sgx::DeviceNode look() const;

  // Empty when containers can be given it now; otherwise one sentence that names it.
  std::string why_not() const;
};

struct Node {
  bool simulated = false;
  std::uint64_t epc_bytes = 0;
  std::vector<sgx::EpcSection> sections;  // none on a simulated node
  Device enclave;
  std::optional<Device> provision;  // a legacy driver has none
};

// The machine's own. kUnavailable says which link is missing.
Result<Node> node_of_hardware(const std::filesystem::path& dev_root, const std::filesystem::path& sysfs_root);

// What somebody wants to pretend: `epc` as Kubernetes writes amounts, at least 1Mi; the devices absolute paths of
// character devices, looked for under `dev_root` when they are below /dev. Everything else is kInvalidArgument.
Result<Node> node_of_simulation(const std::string& epc, const std::string& enclave_device,
                                const std::string& provision_device, const std::filesystem::path& dev_root);

struct EpcShare {
  std::optional<std::uint64_t> max_bytes;  // --max-epc
  std::uint64_t reserve_bytes = 0;         // --reserve-epc
  bool numa = false;                       // --numa
};

// The EPC that pods may have: what is there less the reserve, at most the maximum, in whole MiB rounded down so that it
// is never oversold; with --numa spread over the NUMA nodes in proportion to what the kernel says each of them has.
// kExhausted, with the way out, when that is more than a kubelet takes; kInvalidArgument when nothing is left.
Result<kubelet::DeviceList> epc_devices(const Node& node, const EpcShare& share,
                                        const std::filesystem::path& sysfs_root);

// `mib` in proportion to `bytes`, of which some are more than 0; the shares add up to `mib`.
std::vector<std::size_t> spread(std::size_t mib, const std::vector<std::uint64_t>& bytes);

}  // namespace enclayer::device_plugin
