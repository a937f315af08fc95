// SPDX-License-Identifier: Apache-2.0
// What pods ask for, by the names that the kubelet, manifests, policies and commands agree on.
#pragma once

#include <array>
#include <string_view>

namespace enclayer::base {

// EPC in MiB: the resource that our plugin offers and that the admission policies translate the others to.
inline constexpr char kEpcResource[] = "kubernetes.azure.com/sgx_epc_mem_in_MiB";
inline constexpr char kEnclaveResource[] = "sgx.intel.com/enclave";
inline constexpr char kProvisionResource[] = "sgx.intel.com/provision";
// The provisioning device for the add-on's own quote helpers, counted apart, so that no pod can take what one of them needs
// to be updated. A policy refuses it in every other namespace.
inline constexpr char kHelperProvisionResource[] = "enclayer.io/quote-helper-provision";
inline constexpr char kQuoteResource[] = "enclayer.io/quote";

// Of ResourceClaims (DRA): the driver's name in slices and claims, and the capacity of its EPC devices. Unqualified:
// qualified names are read wrongly before Kubernetes 1.38.
inline constexpr char kDraDriver[] = "sgx.enclayer.io", kDraCapacity[] = "epc";

// EPC under the names of others (specs: sgx.intel.com/epc counts bytes, the next two MiB, the last one containers).
inline constexpr std::array<std::string_view, 4> kForeignEpc = {"sgx.intel.com/epc", "alibabacloud.com/sgx_epc_MiB",
                                                                "openenclave.io/sgx_epc_MiB", "sgx.k8s.io/sgx"};

// Templates of ResourceClaims by the amount of EPC in MiB: "enclayer-epc-65536".
inline constexpr std::string_view kEpcTemplates = "enclayer-epc-";

}  // namespace enclayer::base
