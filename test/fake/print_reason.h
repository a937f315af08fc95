// SPDX-License-Identifier: Apache-2.0
// Lets failed expectations name a Reason instead of showing its bytes.
#pragma once

#include <ostream>

#include "enclayer/verify.h"

namespace enclayer {

inline void PrintTo(Reason reason, std::ostream* out) { *out << to_string(reason); }

}  // namespace enclayer
