// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "enclayer/collateral.h"
#include "enclayer/time.h"
#include "quoting/self_test.h"

namespace enclayer::sim {

// In the simulation, where everybody can make a report: target, size, quote, that the quote is for this report and
// nonce, and that it verifies with `collateral` against `root_pem` at `now`.
quoting::SelfTest self_test(quoting::QuoteSource& source, const Collateral& collateral, std::string_view root_pem,
                            Time now);

}  // namespace enclayer::sim
