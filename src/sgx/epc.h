// SPDX-License-Identifier: Apache-2.0
// EPC: the protected memory that enclaves live in, as the processor tells it (CPUID leaf 12H, sub-leaves from 2 on).
// What we count is what Linux uses, section for section (arch/x86/kernel/cpu/sgx/main.c): more would be oversold.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sgx/cpuid.h"

namespace enclayer::sgx {

inline constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;

struct EpcSection {
  std::uint64_t base = 0;  // physical address
  std::uint64_t size = 0;  // bytes

  bool operator==(const EpcSection&) const = default;
};

struct Epc {
  std::vector<EpcSection> sections;
  std::vector<std::string> notes;  // what was seen and not counted, for the log

  std::uint64_t bytes() const;
  std::uint64_t mib() const { return bytes() / kMiB; }  // of the sum, rounded down
};

// Up to the first sub-leaf that is no EPC section: type 0 is the end, any other type ends it too and is noted, as in
// Linux. At most 8 sections. Ask only where cpu_features() has sgx1: without it the leaf says nothing.
Epc epc_sections(const Cpuid& cpuid);

}  // namespace enclayer::sgx
