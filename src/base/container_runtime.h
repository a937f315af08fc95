// SPDX-License-Identifier: Apache-2.0
// What is known of container runtimes by the name and version that a node's status has.
#pragma once

#include <string>

namespace enclayer::base {

// Why containers on a node with this runtime ("containerd://2.0.4") cannot be trusted to get what CDI says, or to fail;
// empty where they can. containerd before 2.0 has CDI switched off and starts them without their device; what is not
// known is not trusted.
std::string why_no_cdi(const std::string& runtime);

}  // namespace enclayer::base
