// SPDX-License-Identifier: Apache-2.0
// A policy file of `enclayer verify` (enclayer/policy.h), said in the service's language:
//
//   std::string text = policy_text_of(parse_policy_json(json).value()).value();
//
// Of all evidence, appraise() with the text permits what judge() with the policy trusts. What the language cannot say is
// refused by name, never left out: single machines (ppid, platform_instance_id), which are in no claim, and a part of the
// report data, because values are compared as a whole.
#pragma once

#include <string>

#include "enclayer/policy.h"

namespace enclayer::attest {

// kUnsupported: all keys that cannot be said. kInvalidArgument: no quote meets the policy. A text that would be longer, or
// have more rules, than PolicyText reads is kUnsupported too.
Result<std::string> policy_text_of(const Policy& policy);

}  // namespace enclayer::attest
