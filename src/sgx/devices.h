// The device nodes of the kernel's SGX driver (Linux 5.11 and later), and how they look under a movable /dev.
// They are never opened, only looked at: an open descriptor of sgx_enclave keeps the kernel from raising the CPUSVN
// (EUPDATESVN).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/file.h"

namespace enclayer::sgx {

// Names below /dev. Containers get the enclave device under its older name too, which the PSW and older images look
// for.
inline constexpr auto kEnclaveNode = "sgx_enclave";
inline constexpr auto kProvisionNode = "sgx_provision";
inline constexpr auto kVepcNode = "sgx_vepc";  // for KVM guests; can be there without the others

// Paths on the host and in a container.
inline constexpr auto kEnclavePath = "/dev/sgx_enclave";
inline constexpr auto kEnclavePathOld = "/dev/sgx/enclave";

enum class NodeState {
  kUsable,
  kMissing,
  kHidden,              // looking at it is not permitted
  kNotCharacterDevice,  // a folder (an older driver's /dev/sgx), a file
  kNobodyMayOpen,       // a mode that does not even let its owner read and write
};

struct DeviceNode {
  NodeState state = NodeState::kMissing;
  std::uint32_t mode = 0;   // permission bits, 0660
  std::uint32_t group = 0;  // a container that does not run as root needs this group, unless the mode lets everybody in
  bool everybody() const { return (mode & 0006) == 0006; }
};

// `name` is a name below the root, as kEnclaveNode. Symbolic links are followed.
DeviceNode look_at_node(const base::Root& dev, std::string_view name);

// Nodes of drivers that came before the kernel's own and that enclayer does not serve: "isgx", "sgx/enclave", ...
std::vector<std::string> nodes_of_old_drivers(const base::Root& dev);

}  // namespace enclayer::sgx
