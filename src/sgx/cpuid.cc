// SPDX-License-Identifier: Apache-2.0
#include "sgx/cpuid.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace enclayer::sgx {
namespace {

constexpr std::uint32_t kFeatures = 0x7, kSgx = 0x12;

constexpr bool bit(std::uint32_t value, int number) { return (value >> number & 1) != 0; }

}  // namespace

Cpuid cpuid_of_this_machine() {
  return [](std::uint32_t leaf, std::uint32_t subleaf) {
    CpuidRegs regs;
#if defined(__x86_64__)
    __cpuid_count(leaf, subleaf, regs.eax, regs.ebx, regs.ecx, regs.edx);
#else
    static_cast<void>(leaf + subleaf);
#endif
    return regs;
  };
}

CpuFeatures cpu_features(const Cpuid& cpuid) {
  CpuFeatures features;
  std::uint32_t highest_leaf = cpuid(0, 0).eax;  // beyond it a processor answers with another leaf's values
  if (highest_leaf < kFeatures) return features;
  CpuidRegs seven = cpuid(kFeatures, 0);
  features.sgx = bit(seven.ebx, 2);
  features.launch_control = bit(seven.ecx, 30);
  if (!features.sgx || highest_leaf < kSgx) return features;
  CpuidRegs twelve = cpuid(kSgx, 0);
  features.sgx1 = bit(twelve.eax, 0);
  features.sgx2 = bit(twelve.eax, 1);
  return features;
}

}  // namespace enclayer::sgx
