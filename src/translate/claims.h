// SPDX-License-Identifier: Apache-2.0
// EPC of pods becomes ResourceClaims (DRA, docs/dra.md), in manifests that judge_pod() has been through already:
//
//   resources:                                          resources:
//     limits:                                             limits:
//       kubernetes.azure.com/sgx_epc_mem_in_MiB: 10  ->     cpu: 1
//       cpu: 1                                            claims:
//                                                         - name: epc-web
//
// with `resourceClaims: [{name: epc-web, resourceClaimTemplateName: enclayer-epc-10}]` in the pod's spec, and the template
// as a document of its own at the end. Each container has a claim of its own, as it had EPC of its own. Quotes and the
// provisioning device stay resources of the device plugin's.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "translate/translate.h"
#include "translate/yaml_text.h"

namespace enclayer::translate {

// Templates that are needed: namespace (empty where the manifest names none), MiB.
using Templates = std::set<std::pair<std::string, std::int64_t>>;

// "enclayer-epc-10"
std::string template_name(std::int64_t mib);

// One document, as it follows "---".
std::string template_document(const std::string& name_space, std::int64_t mib);

// `pod` and `called` as of judge_pod(); `name_space` is the object's.
void claim_epc(const Node& pod, const std::string& called, const std::string& name_space, Changes& changes,
               Templates& templates, std::vector<Finding>& findings);

}  // namespace enclayer::translate
