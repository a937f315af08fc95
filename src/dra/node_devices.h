// SPDX-License-Identifier: Apache-2.0
// What a node offers to ResourceClaims (Dynamic Resource Allocation, resource.k8s.io/v1), in one pool that has the
// node's name:
//
//   epc-numa0, epc-numa1, ...   the driver's part of the EPC of a NUMA node; "epc" where the kernel does not tell NUMA
//                               nodes apart. Many claims share it, each with an amount (capacity `epc`).
//   provision                   the provisioning device, for as many claims as may have it
//
// A device says by its attribute `kind` what it is ("epc", "provision"), and a DeviceClass selects one kind.
// EPC has two doors: enclayer-device-plugin offers one part of it, this driver the other (device_plugin::epc_parts()).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/resource_names.h"
#include "enclayer/error.h"

namespace enclayer::dra {

inline constexpr auto kDriver = base::kDraDriver;
inline constexpr auto kEpcClass = "sgx-epc.enclayer.io", kProvisionClass = "sgx-provision.enclayer.io";
inline constexpr auto kEpcKind = "epc", kProvisionKind = "provision";
inline constexpr auto kProvisionDevice = "provision";
inline constexpr auto kCapacity = base::kDraCapacity;

// EPC of one NUMA node, as far as it is the driver's.
struct Section {
  std::string device;              // "epc-numa0"
  std::optional<unsigned> numa{};  // not told by the kernel
  std::uint64_t mib = 0;           // at least 1

  bool operator==(const Section&) const = default;
};

struct NodeDevices {
  std::string node;  // its name, and the pool's
  std::vector<Section> sections;
  std::uint64_t all_mib = 0;                 // what pods may have by both doors
  std::vector<std::uint64_t> numa_mib = {};  // of each NUMA node; empty where the kernel does not tell
  bool provision = false;
  bool simulated = false, sgx2 = false, launch_control = false;

  // nullptr: there is none of that name.
  const Section* section(std::string_view device) const {
    for (const Section& each : sections)
      if (each.device == device) return &each;
    return nullptr;
  }

  std::uint64_t epc_mib() const {
    std::uint64_t mib = 0;
    for (const Section& each : sections) mib += each.mib;
    return mib;
  }

  // The same with no more EPC than is left beside so much of the device plugin's.
  Result<NodeDevices> beside(std::uint64_t plugin_mib) const;
};

// A slice has room for 128 devices, and for 64 where one of them has a taint.
inline constexpr std::size_t kMostSections = 60;

// `mib` spread over the NUMA nodes in proportion to the EPC that pods may have of each; a NUMA node without any gets no
// section. An empty `numa_mib`, or one without any EPC: one section. kExhausted beyond kMostSections.
Result<std::vector<Section>> sections_of(std::uint64_t mib, const std::vector<std::uint64_t>& numa_mib);

}  // namespace enclayer::dra
