// SPDX-License-Identifier: Apache-2.0
#include "sgx/platform.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <optional>

namespace enclayer::sgx {
namespace {

constexpr std::size_t kMaxSysfsFile = 4096;

std::string octal(std::uint32_t mode) {
  char text[8];
  std::snprintf(text, sizeof text, "%04o", mode);
  return text;
}

Error missing(const std::string& link, const std::string& remedy) {
  return {ErrorKind::kUnavailable, "this machine is not an SGX node: " + link + ". " + remedy};
}

// "10:126" of the driver's entry in sysfs, empty when there is none.
std::string driver_number(const base::Root& sys, const std::string& node) {
  auto text = sys.read_text("class/misc/" + node + "/dev", kMaxSysfsFile);
  if (!text) return {};
  std::string number = text->substr(0, text->find('\n'));
  bool clean = !number.empty() &&
               std::all_of(number.begin(), number.end(), [](char c) { return (c >= '0' && c <= '9') || c == ':'; });
  return clean ? number : "unknown";
}

// Linux shows this file on every NUMA node once it has set up the EPC.
bool kernel_uses_epc(const base::Root& sys) {
  for (const std::string& name : sys.list("devices/system/node"))
    if (name.starts_with("node") && sys.stat("devices/system/node/" + name + "/x86/sgx_total_bytes")) return true;
  return false;
}

Error why_no_node(const base::Root& dev, const base::Root& sys) {
  const Driver& driver = in_kernel_driver();
  const std::string name(driver.enclave), path = "/dev/" + name, node = dev.path(name).string();
  if (std::string number = driver_number(sys, name); !number.empty())
    return missing(
        "the device node " + node + " is missing, though the kernel's SGX driver is there (device " + number + ")",
        "Let this program see the host's /dev (--dev-root names where it looks); if the host itself has no node, "
        "see to udev, or make it: mknod " +
            path + " c " + number.substr(0, number.find(':')) + " " + number.substr(number.find(':') + 1));
  if (auto old = nodes_of_unserved_drivers(dev); !old.empty())
    return missing(
        "no SGX driver that can be served is there; " + dev.path(old.front()).string() + " belongs to one that cannot",
        "Remove that driver and use Linux 5.11 or later with CONFIG_X86_SGX=y");
  if (look_at_node(dev, kVepcNode).state == NodeState::kUsable || kernel_uses_epc(sys))
    return missing(
        "the kernel uses the EPC but offers no " + node + ": the launch control registers are locked",
        "Switch launch control on in the BIOS (SGX Launch Control: Unlocked or Flexible), or in the hypervisor");
  return missing(
      "the kernel's SGX driver is missing: no " + node + ", no class/misc/" + name + " in sysfs",
      "Use Linux 5.11 or later with CONFIG_X86_SGX=y and without 'nosgx' on its command line; 'dmesg | grep sgx' "
      "says more");
}

// The first driver with a usable node; if there is none, the first with any; nullopt when nothing is there.
struct FoundNode {
  Driver driver;
  DeviceNode node;
};
std::optional<FoundNode> find_enclave_node(const base::Root& dev, const base::Root& sys) {
  std::optional<FoundNode> found;
  for (const Driver& driver : drivers()) {
    DeviceNode node = look_at_node(dev, driver.enclave, sys);
    if (node.state == NodeState::kUsable) return FoundNode{driver, node};
    if (node.state != NodeState::kMissing && !found) found = {driver, node};
  }
  return found;
}

}  // namespace

Result<Platform> find_platform(const Cpuid& cpuid, const std::filesystem::path& dev_root,
                               const std::filesystem::path& sys_root) {
  const base::Root dev(dev_root), sys(sys_root);
  Platform platform;

  CpuFeatures cpu = cpu_features(cpuid);
  if (!cpu.sgx)
    return missing("the processor does not have SGX, or the hypervisor does not show it (CPUID leaf 7, EBX bit 2 is 0)",
                   "Use a machine with SGX (on Azure a DCsv3 or DCdsv3 size); for a try without one: --platform sim");
  if (!cpu.sgx1) return missing("SGX is switched off (CPUID leaf 12H, EAX bit 0 is 0)", "Enable SGX in the BIOS");
  auto found = find_enclave_node(dev, sys);
  bool legacy = found && found->node.state == NodeState::kUsable && !found->driver.needs_launch_control;
  if (!cpu.launch_control && !legacy)
    return missing(
        "the processor has no flexible launch control, SGX_LC (CPUID leaf 7, ECX bit 30 is 0), and Linux does not "
        "drive SGX without it",
        "Switch launch control on in the BIOS (SGX Launch Control: Unlocked or Flexible); processors before about "
        "2018 do not have it");
  platform.epc = epc_sections(cpuid);
  platform.notes = platform.epc.notes;
  if (platform.epc.mib() == 0)
    return missing("there is no EPC: CPUID leaf 12H lists " + std::to_string(platform.epc.sections.size()) +
                       " sections with " + std::to_string(platform.epc.bytes()) + " bytes",
                   "Give SGX memory in the BIOS (PRMRR size), or in the hypervisor");
  platform.sgx2 = cpu.sgx2;

  if (!found) return why_no_node(dev, sys);
  const std::string node = dev.path(found->driver.enclave).string();
  platform.driver = found->driver;
  platform.enclave = found->node;
  switch (platform.enclave.state) {
    case NodeState::kUsable: break;
    case NodeState::kMissing: return why_no_node(dev, sys);
    case NodeState::kHidden:
      return missing("looking at the device node " + node + " is not permitted",
                     "Run as a user that may search " + dev_root.string() + ", or mount the host's /dev there");
    case NodeState::kNotCharacterDevice:
      return missing(
          node + " is not a character device",
          "A hostPath that was not there becomes a folder: remove it on the host, and mount /dev rather than the node");
    case NodeState::kOtherDevice:
      return missing(node + " is device " + platform.enclave.device + ", which is not the SGX driver's " +
                         std::string(found->driver.enclave),
                     "Remove the node or link on the host and let udev make it anew (udevadm trigger "
                     "--subsystem-match=misc); let this program see the host's /sys (--sysfs-root)");
    case NodeState::kNobodyMayOpen:
      return missing(
          "the device node " + node + " has mode " + octal(platform.enclave.mode) + ": not even its owner may open it",
          "Set the mode by a udev rule, 0660 or 0666");
  }
  if (!platform.driver.provision.empty()) platform.provision = look_at_node(dev, platform.driver.provision, sys);
  if (!platform.enclave.everybody())
    platform.notes.push_back(node + " has mode " + octal(platform.enclave.mode) +
                             ": containers that do not run as root need group " +
                             std::to_string(platform.enclave.group) + " (supplementalGroups)");
  return platform;
}

Result<std::vector<std::uint64_t>> epc_of_numa_nodes(const std::filesystem::path& sys_root) {
  constexpr std::size_t kMaxNodes = 128;
  const base::Root sys(sys_root);
  const std::string folder = "devices/system/node";
  std::vector<std::uint64_t> bytes;
  for (const std::string& name : sys.list(folder)) {
    if (!name.starts_with("node")) continue;
    std::size_t node = 0;
    auto [end, failed] = std::from_chars(name.data() + 4, name.data() + name.size(), node);
    if (failed != std::errc() || end != name.data() + name.size()) continue;
    const std::string file = folder + "/" + name + "/x86/sgx_total_bytes", path = sys.path(file).string();
    if (node >= kMaxNodes)
      return Error(ErrorKind::kMalformed, path + ": more than " + std::to_string(kMaxNodes) + " NUMA nodes");
    auto text = sys.read_text(file, kMaxSysfsFile);
    if (!text)
      return Error(
          ErrorKind::kUnavailable,
          "the kernel does not tell the EPC of NUMA nodes (Linux 5.17 and later do): " + text.error().message());
    if (bytes.size() <= node) bytes.resize(node + 1);
    auto [after, bad] = std::from_chars(text->data(), text->data() + text->size(), bytes[node]);
    if (bad != std::errc() || (after != text->data() + text->size() && *after != '\n'))
      return Error(ErrorKind::kMalformed, path + " does not hold a number of bytes");
  }
  if (bytes.empty())
    return Error(ErrorKind::kUnavailable, "the kernel shows no NUMA nodes in " + sys.path(folder).string());
  return bytes;
}

}  // namespace enclayer::sgx
