// SPDX-License-Identifier: Apache-2.0
#include "device_plugin/node.h"

#include <algorithm>
#include <cstdio>

#include "base/log.h"
#include "base/quantity.h"
#include "sgx/platform.h"

namespace enclayer::device_plugin {

namespace fs = std::filesystem;
namespace log = base::log;

namespace {

std::vector<std::string> strings(std::span<const std::string_view> views) { return {views.begin(), views.end()}; }

Device device_of_driver(const char* name, std::string_view node, std::span<const std::string_view> paths,
                        const fs::path& dev_root, const fs::path& sysfs_root) {
  return {name, "/dev/" + std::string(node), dev_root / node, strings(paths), sysfs_root};
}

Result<Device> stand_in(const char* name, const char* flag, const std::string& host_path,
                        std::span<const std::string_view> paths, const fs::path& dev_root) {
  auto refused = [&](const std::string& why) {
    return Error(ErrorKind::kInvalidArgument, std::string(flag) + " " + host_path + " " + why +
                                                  "; name a character device of the host, as /dev/null");
  };
  if (!host_path.starts_with('/')) return refused("is not an absolute path");
  bool below_dev = host_path.starts_with("/dev/");
  Device device{name, host_path, below_dev ? dev_root / host_path.substr(5) : fs::path(host_path), strings(paths), {}};
  switch (device.look().state) {
    case sgx::NodeState::kUsable:
    case sgx::NodeState::kNobodyMayOpen: return device;
    case sgx::NodeState::kMissing: return refused("is not there");
    case sgx::NodeState::kHidden: return refused("cannot be looked at: permission denied");
    case sgx::NodeState::kNotCharacterDevice:
    case sgx::NodeState::kOtherDevice: return refused("is not a character device");
  }
  return device;
}

}  // namespace

sgx::DeviceNode Device::look() const {
  if (sys.empty()) return sgx::look_at_node(base::Root(seen_at.parent_path()), seen_at.filename().native());
  const std::string name_below_dev = host_path.substr(std::string_view("/dev/").size());
  const std::string dev = seen_at.native().substr(0, seen_at.native().size() - name_below_dev.size());
  return sgx::look_at_node(base::Root(dev), name_below_dev, base::Root(sys));
}

std::string Device::why_not() const {
  sgx::DeviceNode node = look();
  if (node.state == sgx::NodeState::kUsable) return {};
  std::string why = "the device " + seen_at.string() + " cannot be given: " + sgx::to_text(node.state);
  char mode[8];
  std::snprintf(mode, sizeof mode, "%04o", node.mode);
  if (node.state == sgx::NodeState::kNobodyMayOpen) why += std::string(" (") + mode + ")";
  if (node.state == sgx::NodeState::kOtherDevice)
    why += " but " + node.device + "; remove it on the host, and let udev make it anew";
  return why;
}

Result<Node> node_of_hardware(const fs::path& dev_root, const fs::path& sysfs_root) {
  ENCLAYER_TRY(sgx::Platform platform, sgx::find_platform(sgx::cpuid_of_this_machine(), dev_root, sysfs_root));
  for (const std::string& note : platform.notes) log::warn("about this node", {{"note", note}});
  const sgx::Driver& driver = platform.driver;
  log::info("SGX found", {{"epc_mib", platform.epc.mib()},
                          {"epc_sections", platform.epc.sections.size()},
                          {"sgx2", platform.sgx2},
                          {"driver", driver.name},
                          {"provision_device", platform.provision.state == sgx::NodeState::kUsable}});
  Node node;
  node.epc_bytes = platform.epc.bytes();
  node.sections = platform.epc.sections;
  node.enclave = device_of_driver("enclave", driver.enclave, driver.enclave_paths, dev_root, sysfs_root);
  if (!driver.provision.empty())
    node.provision = device_of_driver("provision", driver.provision, driver.provision_paths, dev_root, sysfs_root);
  return node;
}

Result<Node> node_of_simulation(const std::string& epc, const std::string& enclave_device,
                                const std::string& provision_device, const fs::path& dev_root) {
  auto bytes = base::parse_quantity(epc);
  if (!bytes) return bytes.error().with_context("--sim-epc");
  if (*bytes < sgx::kMiB)
    return Error(ErrorKind::kInvalidArgument, "--sim-epc " + epc + " is less than 1Mi, the least that can be offered");
  const sgx::Driver& driver = sgx::in_kernel_driver();
  Node node{true, *bytes, {}, {}, {}};
  ENCLAYER_TRY(node.enclave, stand_in("enclave", "--sim-device", enclave_device, driver.enclave_paths, dev_root));
  ENCLAYER_TRY(node.provision,
               stand_in("provision", "--sim-provision-device", provision_device, driver.provision_paths, dev_root));
  log::warn("SIMULATED SGX: this node pretends to have EPC, nothing that runs here is protected",
            {{"epc_mib", *bytes / sgx::kMiB}, {"device", enclave_device}});
  return node;
}

Result<kubelet::DeviceList> epc_devices(const Node& node, const EpcShare& share, const fs::path& sysfs_root) {
  if (share.reserve_bytes > node.epc_bytes || node.epc_bytes - share.reserve_bytes < sgx::kMiB)
    return Error(ErrorKind::kInvalidArgument, "--reserve-epc keeps back " + std::to_string(share.reserve_bytes) +
                                                  " bytes, and this node has " + std::to_string(node.epc_bytes) +
                                                  " bytes of EPC: less than 1 MiB would be left to offer");
  if (share.max_bytes && *share.max_bytes < sgx::kMiB)
    return Error(ErrorKind::kInvalidArgument, "--max-epc " + std::to_string(*share.max_bytes) +
                                                  " bytes is less than 1Mi, the least that can be offered");
  std::uint64_t bytes = std::min(node.epc_bytes - share.reserve_bytes, share.max_bytes.value_or(node.epc_bytes));
  std::size_t mib = bytes / sgx::kMiB;

  auto list = kubelet::DeviceList::of(mib);
  if (list && share.numa) {
    auto per_node = sgx::epc_of_numa_nodes(sysfs_root);
    if (!per_node) return per_node.error().with_context("--numa");
    if (std::all_of(per_node->begin(), per_node->end(), [](std::uint64_t here) { return here == 0; }))
      return Error(ErrorKind::kUnavailable, "--numa: no NUMA node has EPC, says " + sysfs_root.string());
    list = kubelet::DeviceList::of_numa(spread(mib, *per_node));
  }
  if (!list)
    return Error(
        list.error().kind(),
        "cannot offer " + std::to_string(mib) + " MiB of EPC: " + list.error().message() +
            (share.numa ? ". Offer less with --max-epc 180Gi, or do without --numa"
                        : ". Offer less on purpose with --max-epc 256Gi, or split the node into virtual machines"));
  if (std::uint64_t left = node.epc_bytes / sgx::kMiB - mib; left > 0)
    log::warn("part of this node's EPC is kept back", {{"offered_mib", mib}, {"kept_mib", left}});
  return list;
}

std::vector<std::size_t> spread(std::size_t mib, const std::vector<std::uint64_t>& bytes) {
  double total = 0, up_to_here = 0;
  for (std::uint64_t here : bytes) total += static_cast<double>(here);
  std::vector<std::size_t> shares;
  std::size_t given = 0;
  for (std::uint64_t here : bytes) {
    up_to_here += static_cast<double>(here);
    auto due = static_cast<std::size_t>(static_cast<double>(mib) * (up_to_here / total));
    shares.push_back(due - given);
    given = due;
  }
  return shares;
}

}  // namespace enclayer::device_plugin
