// SPDX-License-Identifier: Apache-2.0
// Whether this machine is an SGX node, and where the chain from processor to device node breaks when it is not.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "enclayer/error.h"
#include "sgx/cpuid.h"
#include "sgx/devices.h"
#include "sgx/epc.h"

namespace enclayer::sgx {

struct Platform {
  Epc epc;
  bool sgx2 = false;
  Driver driver;
  DeviceNode enclave;
  DeviceNode provision;
  std::vector<std::string> notes;  // what works, but is worth a line in the log
};

// Every link has to hold, in this order: the processor's flag, switched on by the BIOS, launch control (not for the
// legacy driver), an EPC section, a driver's node, the node's type, its mode. kUnavailable names the first one that is
// missing, what was seen, and the remedy. Of several drivers' nodes the first usable one counts. `dev` and `sys` stand
// for /dev and /sys. Nothing is opened below `dev`.
Result<Platform> find_platform(const Cpuid& cpuid, const std::filesystem::path& dev, const std::filesystem::path& sys);

// EPC bytes of each NUMA node, by node number (devices/system/node/nodeN/x86/sgx_total_bytes, Linux 5.17 and later).
// kUnavailable where the kernel does not tell, kMalformed where it tells nonsense; both name the file.
Result<std::vector<std::uint64_t>> epc_of_numa_nodes(const std::filesystem::path& sys);

}  // namespace enclayer::sgx
