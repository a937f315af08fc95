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
  std::string dra = "0";                   // --dra-epc
  std::uint64_t helper_mib = 0;            // --helper-epc
};

// A node's EPC has two doors, enclayer-device-plugin and enclayer-dra-driver. Both compute their parts here, from the
// same flags, so that the parts add up to what pods may have.
struct EpcParts {
  std::uint64_t plugin_mib = 0, driver_mib = 0;

  std::uint64_t all_mib() const { return plugin_mib + driver_mib; }
};

// What pods may have is what is there less the reserve, at most the maximum, in whole MiB rounded down so that it is
// never oversold. Of that the driver's part is an amount ("64Gi", in whole MiB), or a percentage, rounded down, of what
// the plugin does not keep: the quote helper's, which asks the plugin for it, and 1 MiB at least, since a kubelet takes
// an empty list for a plugin that lost its devices. kInvalidArgument, with the values and the way out, when nothing is
// left to offer, the driver's part is none, or it leaves less than the plugin keeps.
Result<EpcParts> epc_parts(std::uint64_t epc_bytes, const EpcShare& share);

// `mib` devices of the plugin's part; with `numa` spread over the NUMA nodes in proportion to what the driver leaves of
// each. kExhausted, with the way out, when they are more than a kubelet takes.
Result<kubelet::DeviceList> epc_devices(std::uint64_t mib, const EpcParts& parts, bool numa,
                                        const std::filesystem::path& sysfs_root);

// `mib` in proportion to `weights`, of which some are more than 0. The shares add up to `mib`, and where the weights are
// MiB and add up to that much or more, no share exceeds its weight.
std::vector<std::uint64_t> spread(std::uint64_t mib, const std::vector<std::uint64_t>& weights);

// What pods may have of each NUMA node, in MiB, and the driver's part of it.
struct NumaParts {
  std::vector<std::uint64_t> all_mib, driver_mib;
};
NumaParts numa_parts(const EpcParts& parts, const std::vector<std::uint64_t>& numa_bytes);

}  // namespace enclayer::device_plugin
