// SPDX-License-Identifier: Apache-2.0
// The keys of a policy file, in the order in which they are judged; for the test that holds the parser and its schema
// together.
#pragma once

#include <string_view>
#include <vector>

namespace enclayer::attestation {

std::vector<std::string_view> policy_keys();

}  // namespace enclayer::attestation
