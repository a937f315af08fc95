// SPDX-License-Identifier: Apache-2.0
#include "sgx/devices.h"

#include <sys/sysmacros.h>

#include <array>
#include <cerrno>

#include "base/printable.h"

namespace enclayer::sgx {
namespace {

constexpr std::array<std::string_view, 2> kEnclavePaths = {"/dev/sgx_enclave", "/dev/sgx/enclave"};
constexpr std::array<std::string_view, 2> kProvisionPaths = {"/dev/sgx_provision", "/dev/sgx/provision"};
constexpr std::array<std::string_view, 1> kLegacyPaths = {"/dev/isgx"};

constexpr std::array<Driver, 3> kDrivers = {{
    {"in-kernel", "sgx_enclave", "sgx_provision", true, kEnclavePaths, kProvisionPaths},
    {"DCAP", "sgx/enclave", "sgx/provision", true, kEnclavePaths, kProvisionPaths},
    {"legacy", "isgx", "", false, kLegacyPaths, {}},
}};

constexpr std::size_t kMaxUevent = 4096;  // a page: more is in no file of sysfs

// The name below /dev that the kernel has for the character device with these numbers, "10:126"; empty when no driver
// has it. Numbers are in sysfs once for every device there is, however its driver made it (Linux
// Documentation/ABI/testing/sysfs-dev and sysfs-uevent).
std::string name_in_sysfs(const base::Root& sys, const std::string& numbers) {
  constexpr std::string_view kKey = "\nDEVNAME=";
  auto text = sys.read_text("dev/char/" + numbers + "/uevent", kMaxUevent);
  if (!text) return {};
  const std::string lines = "\n" + *text;
  const std::size_t at = lines.find(kKey);
  if (at == std::string::npos) return {};
  const std::size_t begin = at + kKey.size();
  return lines.substr(begin, lines.find('\n', begin) - begin);
}

}  // namespace

std::span<const Driver> drivers() { return kDrivers; }
const Driver& in_kernel_driver() { return kDrivers[0]; }

const char* to_text(NodeState state) {
  switch (state) {
    case NodeState::kUsable: return "usable";
    case NodeState::kMissing: return "missing";
    case NodeState::kHidden: return "looking at it is not permitted";
    case NodeState::kNotCharacterDevice: return "not a character device";
    case NodeState::kOtherDevice: return "not the SGX driver's device";
    case NodeState::kNobodyMayOpen: return "its mode lets not even its owner open it";
  }
  return "unknown";
}

DeviceNode look_at_node(const base::Root& dev, std::string_view name) {
  struct stat found {};
  if (::stat(dev.path(name).c_str(), &found) != 0)
    return {errno == EACCES ? NodeState::kHidden : NodeState::kMissing, 0, 0, {}};
  DeviceNode node{NodeState::kUsable, found.st_mode & 0777u, found.st_gid, {}};
  if (!S_ISCHR(found.st_mode)) {
    node.state = NodeState::kNotCharacterDevice;
    return node;
  }
  node.device = std::to_string(major(found.st_rdev)) + ":" + std::to_string(minor(found.st_rdev));
  if ((node.mode & 0600) != 0600) node.state = NodeState::kNobodyMayOpen;
  return node;
}

DeviceNode look_at_node(const base::Root& dev, std::string_view name, const base::Root& sys) {
  DeviceNode node = look_at_node(dev, name);
  if (node.device.empty()) return node;
  const std::string is = name_in_sysfs(sys, node.device);
  if (is == name) return node;
  node.state = NodeState::kOtherDevice;
  node.device += " (" + (is.empty() ? "unknown to " + sys.path("").string() : base::printable(is, 64)) + ")";
  return node;
}

std::vector<std::string> nodes_of_unserved_drivers(const base::Root& dev) {
  std::vector<std::string> found;
  for (const char* name : {"sgx", "sgx_prv", "enclave"})
    if (auto what = dev.stat(name); what && S_ISCHR(what->st_mode)) found.emplace_back(name);
  return found;
}

}  // namespace enclayer::sgx
