// SPDX-License-Identifier: Apache-2.0
// What a ResourceClaim (resource.k8s.io/v1) was given of this node's devices, read from the object as the API server has
// it. Everything in it is checked again here, whatever scheduler and admission did: a wrong answer would give a container
// EPC that others have.
//
//   status.allocation.devices.results[]   driver, pool, device, request, shareID, consumedCapacity, adminAccess
//   status.allocation.devices.config[]    opaque parameters, those of the class before those of the claim
//   spec.devices.requests[]               the class by which each request asks
//
// Parameters of this driver:
//   apiVersion: sgx.enclayer.io/v1alpha1
//   kind: EpcParameters
//   quotes: Socket      # the claim's containers get a socket of the quote helper; None where it is not said
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "dra/node_devices.h"
#include "enclayer/error.h"

namespace enclayer::dra {

inline constexpr auto kParametersVersion = "sgx.enclayer.io/v1alpha1", kParametersKind = "EpcParameters";

// Bytes of an object that is read: etcd takes 1.5 MiB.
inline constexpr std::size_t kMostClaimBytes = 2 << 20;
inline constexpr std::size_t kMostResults = 32;

// Which claim the kubelet means. All of it becomes part of paths and URLs.
struct ClaimName {
  std::string name_space, name, uid;

  bool operator==(const ClaimName&) const = default;
};

// Whether it is one: names of Kubernetes, and a UID as is_uuid() has it.
Result<> check_name(const ClaimName& claim);
bool is_uuid(std::string_view text);  // 36 characters, lower case

// One result: a device, or a part of one.
struct Share {
  std::string request;  // "epc"; of a subrequest its request
  std::string device;
  std::string share_id;   // a UUID
  std::uint64_t mib = 0;  // EPC; 0 for a device that has none
  bool quotes = false;

  bool operator==(const Share&) const = default;
};

struct Allocation {
  ClaimName claim;
  std::string pod;  // the first pod for which it is reserved; empty when none is
  std::vector<Share> shares;

  bool operator==(const Allocation&) const = default;
};

// What `claim` was given of `devices`. At least one share; quotes for at most one, since a container that has several
// cannot have two folders at one path.
// kMalformed: no ResourceClaim. kConflict: another claim of the same name. kUnavailable: nothing is allocated yet.
// kPermissionDenied: administrative access, or the provisioning device by another class than its own.
// kInvalidArgument: an amount, a pool, a device, parameters that this driver does not know.
Result<Allocation> allocation_of(std::string_view json, const ClaimName& claim, const NodeDevices& devices);

}  // namespace enclayer::dra
