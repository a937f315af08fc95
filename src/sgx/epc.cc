// SPDX-License-Identifier: Apache-2.0
#include "sgx/epc.h"

namespace enclayer::sgx {
namespace {

constexpr std::uint32_t kSgxLeaf = 0x12, kFirstSection = 2, kMaxSections = 8;
constexpr std::uint32_t kNoSection = 0, kEpcSection = 1;

// Bits 12-31 of `low` are bits 12-31, bits 0-19 of `high` are bits 32-51.
std::uint64_t join(std::uint32_t low, std::uint32_t high) {
  return (low & 0xfffff000u) | std::uint64_t{high & 0x000fffffu} << 32;
}

}  // namespace

std::uint64_t Epc::bytes() const {
  std::uint64_t sum = 0;
  for (const EpcSection& section : sections) sum += section.size;  // 8 times 2^52 at most
  return sum;
}

Epc epc_sections(const Cpuid& cpuid) {
  Epc epc;
  for (std::uint32_t i = 0; i <= kMaxSections; ++i) {
    CpuidRegs regs = cpuid(kSgxLeaf, kFirstSection + i);
    std::uint32_t type = regs.eax & 0xf;
    if (type == kNoSection) break;
    if (i == kMaxSections) {
      epc.notes.push_back("more than " + std::to_string(kMaxSections) +
                          " EPC sections; Linux uses no more, neither do we");
    } else if (type == kEpcSection) {
      epc.sections.push_back({join(regs.eax, regs.ebx), join(regs.ecx, regs.edx)});
    } else {
      epc.notes.push_back("sub-leaf " + std::to_string(kFirstSection + i) + " of CPUID leaf 12H has the unknown type " +
                          std::to_string(type) + "; Linux uses no EPC from there on, neither do we");
      break;
    }
  }
  return epc;
}

}  // namespace enclayer::sgx
