// SPDX-License-Identifier: Apache-2.0
// How much of enclaves processes have mapped, by pod: what /proc/PID/maps says of mappings of the SGX device. And which
// processes have EPC open at all, by a mapping or by a descriptor (/proc/PID/fd).
//
// It is an upper bound of the EPC in use, not the use: the mappings of enclaves have no resident set size (PFNMAP), so
// what counts is the address space, whether its pages were ever added, and whether the kernel has swapped them out. A
// process counts once, however many threads it has; processes that share an enclave's mapping (fork) count each. A file
// that only has the device's name counts too, and misleads about nobody but the pod that maps it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/file.h"

namespace enclayer::sgx {

// Whether the last column of a line of maps is an enclave's device node: the name that any driver gives it
// (sgx/devices.h), below any folder: "/dev/sgx_enclave", "/host/dev/sgx/enclave", "/dev/isgx (deleted)".
bool is_enclave_mapping(std::string_view path);
// That, or the node for the EPC of guests, kVepcNode. The provisioning device is neither.
bool is_epc_file(std::string_view path);

struct MappedEpc {
  std::map<std::string, std::uint64_t> pods;  // pod UID (base/pod_cgroup.h) -> bytes; only pods that map enclaves
  std::uint64_t host = 0;                     // bytes of processes that belong to no pod
  std::size_t processes = 0;                  // that were read
  std::size_t unread = 0;                     // that may not be read, or not to the end of the limits below

  // Processes that have EPC open, by pod UID and of no pod. As long as there is one on the machine, the kernel cannot raise
  // CPUSVN after a microcode update (Linux, sgx_inc_usage_count() in arch/x86/kernel/cpu/sgx/main.c).
  std::map<std::string, std::size_t> open_by_pod;
  std::size_t open_by_host = 0;

  std::uint64_t bytes() const;
};

inline constexpr std::size_t kMaxProcesses = 131'072;                // of a node
inline constexpr std::size_t kMaxMapsBytes = std::size_t{64} << 20;  // of a process: some 650,000 mappings
inline constexpr std::size_t kMaxDescriptors = 65'536;               // of a process

// Reads the processes that `proc`, a /proc, lists, in pieces. What ended meanwhile is no error and not counted.
MappedEpc mapped_epc(const base::Root& proc);

// nullopt when mapped_epc(proc) can see all processes of the node. Otherwise what is missing and how to give it, in a
// sentence:
// * CAP_SYS_PTRACE, without which the maps of other users' processes cannot be read (and which AppArmor or SELinux may
//   make worthless all the same: MappedEpc::unread tells).
// * The host's PID namespace. It is the host's when it is the kernel's first one. On a node that is a container itself
//   (kind) none is: there, process 1 is taken for the node's when its cgroup is neither a pod's nor our own container's
//   nor beside that. So a container on such a node whose runtime gives it neither a pod's cgroup nor a cgroup namespace
//   is not told apart.
std::optional<std::string> why_not_accountable(const base::Root& proc);

}  // namespace enclayer::sgx
