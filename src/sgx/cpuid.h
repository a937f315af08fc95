// SPDX-License-Identifier: Apache-2.0
// What the processor says of SGX. Whoever wants to know takes a Cpuid, so that a test can be any processor.
// Leaves: Intel SDM vol. 2A CPUID, vol. 3D 36.7.2.
#pragma once

#include <cstdint>
#include <functional>

namespace enclayer::sgx {

struct CpuidRegs {
  std::uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
};

using Cpuid = std::function<CpuidRegs(std::uint32_t leaf, std::uint32_t subleaf)>;

// The processor that the calling thread runs on. All zero where there is no CPUID instruction.
Cpuid cpuid_of_this_machine();

struct CpuFeatures {
  bool sgx = false;             // leaf 7: the processor has SGX (and a virtual machine is shown it)
  bool launch_control = false;  // leaf 7, SGX_LC: the kernel may start enclaves of any signer; Linux needs it
  bool sgx1 = false;            // leaf 12H: SGX is switched on, by the BIOS
  bool sgx2 = false;            // leaf 12H: an enclave's memory can change while it runs (EDMM)
};

CpuFeatures cpu_features(const Cpuid& cpuid);

}  // namespace enclayer::sgx
