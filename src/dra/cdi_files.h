// SPDX-License-Identifier: Apache-2.0
// What a container finds inside that uses a claim: one CDI specification for each claim (Container Device Interface,
// SPEC.md 1.1.0), written before the kubelet is answered, read by the container runtime when it makes the container.
//
//   /var/run/cdi/k8s.sgx.enclayer.io-epc_<claim uid>.json
//   one device for each share, k8s.sgx.enclayer.io/epc=<claim uid>-<device>-<share id>:
//     EPC         /dev/sgx_enclave and /dev/sgx/enclave, ENCLAYER_EPC_MIB; where quotes are asked for, the claim's slot
//                 of the quote helper, read-only at /var/run/aesmd, and SGX_AESM_ADDR=1
//     provision   /dev/sgx_provision and /dev/sgx/provision
//     simulated   ENCLAYER_PLATFORM=sim besides
//
// Names are never used twice, since runtimes remember them. A container of several EPC shares sees the amount of one.
#pragma once

#include <filesystem>
#include <set>
#include <string>
#include <string_view>

#include "device_plugin/node.h"
#include "dra/resource_claim.h"
#include "enclayer/error.h"

namespace enclayer::dra {

// "k8s.sgx.enclayer.io/epc=<claim uid>-<device>-<share id>": a pod's status names it too.
std::string cdi_id(const std::string& claim_uid, const Share& share);

// "<claim uid>.<request>": the slot of a share that has quotes (slots::is_slot_name).
std::string slot_of(const std::string& claim_uid, const Share& share);

// The text of a claim's specification. `slots` is the slots' folder on the host. The devices have mode 0666, owner root
// and the host's group: they are in the container's own /dev.
std::string cdi_spec(const Allocation& allocation, const device_plugin::Node& node, const std::filesystem::path& slots);

class CdiFiles {
 public:
  static constexpr std::string_view kPrefix = "k8s.sgx.enclayer.io-epc_";  // of our files' names

  explicit CdiFiles(std::filesystem::path folder) : folder_(std::move(folder)) {}

  // As a whole or not at all. The folder is made where it is missing.
  Result<> write(const std::string& claim_uid, const std::string& spec) const;

  // One that is not there is all right.
  Result<> remove(const std::string& claim_uid) const;

  // Claims that have a file of ours; nobody else's files.
  std::set<std::string> claims() const;

 private:
  std::filesystem::path file(const std::string& claim_uid) const;
  std::filesystem::path folder_;
};

}  // namespace enclayer::dra
