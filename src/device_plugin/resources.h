// SPDX-License-Identifier: Apache-2.0
// The resources of an SGX node, each with what a container finds inside that was given some of it, and with what has to
// be true for it to be given at all.
//
//   kubernetes.azure.com/sgx_epc_mem_in_MiB   EPC in MiB, and with any amount of it the enclave device
//   sgx.intel.com/enclave                     the enclave device without EPC being counted (--enclave-limit)
//   sgx.intel.com/provision                   the provisioning device (--provision-limit)
//   enclayer.io/quote-helper-provision        the same for the quote helper, counted apart (--helper-provision-limit)
//   enclayer.io/quote                         a socket of the quote helper (--quote-limit)
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "base/resource_names.h"
#include "device_plugin/node.h"
#include "device_plugin/quote_slots.h"
#include "kubelet/plugin.h"
#include "troubles/troubles.h"

namespace enclayer::device_plugin {

using base::kEnclaveResource, base::kHelperProvisionResource, base::kProvisionResource, base::kQuoteResource;

struct Offer {
  kubelet::Plugin plugin;

  // Empty when a container can be given it now; otherwise one sentence that says what is missing. Takes a second at
  // most.
  std::function<std::string()> why_not;

  // Where a change may be seen first.
  std::vector<std::filesystem::path> folders;

  // Whether the resource stays unknown to the kubelet until it could be given for the first time.
  bool only_once_usable = false;

  // What is wrong on the node while it cannot be given.
  troubles::Kind trouble = troubles::kEpcLost;
};

struct Grants {
  bool provision_with_epc = false;
  bool cdi = false;
};

// A container gets the enclave device under the names that programs look for, readable and writable; with
// `provision_with_epc` the provisioning device too; on a simulated node ENCLAYER_PLATFORM=sim, so that nobody in it has
// to guess. Allocate looks at the device once more and refuses when it is not usable: a pod with EPC never starts
// without its device. kUnavailable when `provision_with_epc` is wanted and the node has no such device.
Result<Offer> offer_epc(const std::string& resource, kubelet::DeviceList devices, const Node& node,
                        const Grants& grants);

// `limit` is how many containers may have it at a time, 1 to 262,408.
Result<Offer> offer_enclave(std::size_t limit, const Node& node, const Grants& grants);

// kUnavailable where the driver has no provisioning device.
Result<Offer> offer_provision(std::size_t limit, const Node& node, const Grants& grants);

// The same under the quote helper's own name.
Result<Offer> offer_helper_provision(std::size_t limit, const Node& node, const Grants& grants);

// A slot of the quote helper, read-only at /var/run/aesmd, and SGX_AESM_ADDR=1, which is what Intel's client library
// wants to see. A container with several devices has the slot of the lowest. Usable while all slots are there and the
// helper answers in `health`; each look makes those that are missing. Folders are mounted and not sockets: a mounted
// socket file goes stale when the daemon restarts. `slots` outlives the offer; its folder is the host's, and seen at
// the same path here.
Result<Offer> offer_quote(std::size_t limit, QuoteSlots& slots, bool simulated);

// The same with one folder for every container, in which somebody else's AESM service answers.
Result<Offer> offer_aesmd(std::size_t limit, const std::filesystem::path& folder, bool simulated);

}  // namespace enclayer::device_plugin
