// SPDX-License-Identifier: Apache-2.0
#include "device_plugin/node.h"

#include <algorithm>
#include <charconv>
#include <cstdio>

#include "base/log.h"
#include "base/printable.h"
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

namespace {

Result<std::uint64_t> driver_part(const std::string& text, std::uint64_t all_mib, std::uint64_t kept_mib) {
  const std::string written = "--dra-epc '" + base::printable(text, 64) + "' ";
  const std::uint64_t most = all_mib > kept_mib ? all_mib - kept_mib : 0;
  if (text.ends_with('%')) {
    unsigned percent = 0;
    const char* sign = text.data() + text.size() - 1;
    auto [end, error] = std::from_chars(text.data(), sign, percent);
    if (error != std::errc() || end != sign || percent > 100)
      return Error(ErrorKind::kInvalidArgument,
                   written + "is no part of the EPC: write 0% to 100%, or an amount as 64Gi");
    return most / 100 * percent + most % 100 * percent / 100;
  }
  auto bytes = base::parse_quantity(text);
  if (!bytes) return bytes.error().with_context("--dra-epc");
  const std::uint64_t mib = *bytes / sgx::kMiB;
  if (mib > 0 && mib > most)
    return Error(ErrorKind::kInvalidArgument, written + "is too much: pods may have " + std::to_string(all_mib) +
                                                  " MiB of EPC on this node, and the device plugin keeps " +
                                                  std::to_string(kept_mib) + " MiB of them" +
                                                  (kept_mib > 1 ? " for the quote helper" : "") + ": give " +
                                                  std::to_string(most) + "Mi at most, or 100%");
  return mib;
}

}  // namespace

Result<EpcParts> epc_parts(std::uint64_t epc_bytes, const EpcShare& share) {
  if (share.reserve_bytes > epc_bytes || epc_bytes - share.reserve_bytes < sgx::kMiB)
    return Error(ErrorKind::kInvalidArgument, "--reserve-epc keeps back " + std::to_string(share.reserve_bytes) +
                                                  " bytes, and this node has " + std::to_string(epc_bytes) +
                                                  " bytes of EPC: less than 1 MiB would be left to offer");
  if (share.max_bytes && *share.max_bytes < sgx::kMiB)
    return Error(ErrorKind::kInvalidArgument, "--max-epc " + std::to_string(*share.max_bytes) +
                                                  " bytes is less than 1Mi, the least that can be offered");
  const std::uint64_t all = std::min(epc_bytes - share.reserve_bytes, share.max_bytes.value_or(epc_bytes)) / sgx::kMiB;
  ENCLAYER_TRY(const std::uint64_t driver, driver_part(share.dra, all, std::max<std::uint64_t>(share.helper_mib, 1)));
  if (const std::uint64_t left = epc_bytes / sgx::kMiB - all; left > 0)
    log::warn("part of this node's EPC is kept back", {{"offered_mib", all}, {"kept_mib", left}});
  return EpcParts{all - driver, driver};
}

Result<kubelet::DeviceList> epc_devices(std::uint64_t mib, const EpcParts& parts, bool numa,
                                        const fs::path& sysfs_root) {
  auto list = kubelet::DeviceList::of(mib);
  if (list && numa) {
    auto per_node = sgx::epc_of_numa_nodes(sysfs_root);
    if (!per_node) return per_node.error().with_context("--numa");
    if (std::all_of(per_node->begin(), per_node->end(), [](std::uint64_t here) { return here == 0; }))
      return Error(ErrorKind::kUnavailable, "--numa: no NUMA node has EPC, says " + sysfs_root.string());
    auto [left, driver] = numa_parts(parts, *per_node);
    for (std::size_t i = 0; i < left.size(); ++i) left[i] -= driver[i];
    list = kubelet::DeviceList::of_numa(spread(mib, left));
  }
  if (!list)
    return Error(list.error().kind(),
                 "cannot offer " + std::to_string(mib) + " MiB of EPC: " + list.error().message() +
                     (numa ? ". Offer less with --max-epc 180Gi, or do without --numa"
                           : ". Offer less on purpose with --max-epc 256Gi, or split the node into virtual machines"));
  return list;
}

std::vector<std::uint64_t> spread(std::uint64_t mib, const std::vector<std::uint64_t>& weights) {
  __extension__ using Wide = unsigned __int128;
  Wide total = 0, up_to_here = 0;
  for (std::uint64_t here : weights) total += here;
  std::vector<std::uint64_t> shares;
  std::uint64_t given = 0;
  for (std::uint64_t here : weights) {
    up_to_here += here;
    // mib < 2^44 and the weights < 2^64 each: nothing overflows.
    const auto due = static_cast<std::uint64_t>(mib * up_to_here / total);
    shares.push_back(due - given);
    given = due;
  }
  return shares;
}

NumaParts numa_parts(const EpcParts& parts, const std::vector<std::uint64_t>& numa_bytes) {
  NumaParts out{spread(parts.all_mib(), numa_bytes), {}};
  out.driver_mib = spread(parts.driver_mib, out.all_mib);
  return out;
}

}  // namespace enclayer::device_plugin
