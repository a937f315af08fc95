// SPDX-License-Identifier: Apache-2.0
// The rules of the admission policies for one pod: deploy/manifests/admission-translate.yaml, -quote, -requests,
// -warnings, -provisioning and quote-helper/admission-mounts.yaml, in that order.
#pragma once

#include <string>
#include <vector>

#include "translate/translate.h"
#include "translate/yaml_text.h"

namespace enclayer::translate {

// `pod` has metadata and spec: a Pod, or a template of pods. `called` begins each sentence: "Deployment web: ".
void judge_pod(const Node& pod, const std::string& called, const Cluster& cluster, Changes& changes,
               std::vector<Finding>& findings);

// Whether something in it is for SGX, so that rules may apply.
bool names_sgx(const Node& node);

}  // namespace enclayer::translate
