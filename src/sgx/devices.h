// SPDX-License-Identifier: Apache-2.0
// The device nodes of SGX drivers, and how they look under a movable /dev.
// They are never opened, only looked at: an open descriptor of sgx_enclave keeps the kernel from raising the CPUSVN
// (EUPDATESVN).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/file.h"

namespace enclayer::sgx {

// Three generations of drivers (spec platform-and-peers, section 5.3). A driver's nodes have names below /dev; empty
// where it has none.
struct Driver {
  std::string_view name;
  std::string_view enclave;
  std::string_view provision;
  bool needs_launch_control = false;  // SGX_LC: whoever drives SGX by it lets any signer in

  // Where programs in a container look for the device. The PSW tries /dev/sgx/enclave, then /dev/sgx_enclave, then
  // /dev/isgx, and takes the name for the driver's interface: so the first two generations, whose interfaces programs
  // tell apart by themselves, are given under both names, and the legacy driver under its own alone.
  std::span<const std::string_view> enclave_paths;
  std::span<const std::string_view> provision_paths;
};

// Newest first: in the kernel since 5.11; Intel's DCAP driver up to 1.36 (later ones use the kernel's names); Intel's
// legacy SGX1 driver without launch control, whose EPID platforms have no provisioning device.
std::span<const Driver> drivers();
const Driver& in_kernel_driver();

inline constexpr auto kVepcNode = "sgx_vepc";  // for KVM guests; can be there without the others

enum class NodeState {
  kUsable,
  kMissing,
  kHidden,              // looking at it is not permitted
  kNotCharacterDevice,  // a folder (an older driver's /dev/sgx), a file
  kOtherDevice,         // another driver's: numbers that are not the SGX driver's, a link astray
  kNobodyMayOpen,       // a mode that does not even let its owner read and write
};

// "usable", "missing", "hidden: ...": for the log.
const char* to_text(NodeState state);

struct DeviceNode {
  NodeState state = NodeState::kMissing;
  std::uint32_t mode = 0;   // permission bits, 0660
  std::uint32_t group = 0;  // a container that does not run as root needs this group, unless the mode lets everybody in
  std::string device;       // "10:126": the numbers; of kOtherDevice also what the kernel calls it, "1:1 (mem)"
  bool everybody() const { return (mode & 0006) == 0006; }
  bool operator==(const DeviceNode&) const = default;
};

// `name` is a name below the root, as "sgx_enclave". Symbolic links are followed, as container runtimes do.
DeviceNode look_at_node(const base::Root& dev, std::string_view name);

// The same, and kOtherDevice unless the kernel calls the device that is found there `name`: whatever a container is
// given by that name, it is never /dev/mem. `sys` stands for /sys.
DeviceNode look_at_node(const base::Root& dev, std::string_view name, const base::Root& sys);

// Nodes of drivers that enclayer does not serve: "sgx" (a character device), "sgx_prv", "enclave".
std::vector<std::string> nodes_of_unserved_drivers(const base::Root& dev);

}  // namespace enclayer::sgx
