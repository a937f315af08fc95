// SPDX-License-Identifier: Apache-2.0
// The sgx_epc controller of the misc cgroup, which limits EPC by cgroup: a patched kernel has it, mainline does not
// (spec platform-and-peers, section 5.9). Only looked at: writing a limit where there is none keeps containers from
// starting.
#pragma once

#include <cstdint>
#include <optional>

#include "base/file.h"

namespace enclayer::sgx {

// What the controller has to give, in bytes; nullopt when the kernel does not have it, or does not show it: the file is
// in the root cgroup only, which a container sees where the host's /sys is mounted. `sys` stands for /sys.
std::optional<std::uint64_t> misc_epc_capacity(const base::Root& sys);

}  // namespace enclayer::sgx
