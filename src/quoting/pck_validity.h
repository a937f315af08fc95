// SPDX-License-Identifier: Apache-2.0
// How long the PCK certificate in this machine's quotes is valid, as metrics: a quote that carries an expired one, or
// one that nobody renewed since a TCB recovery, is refused by verifiers.
#pragma once

#include "enclayer/bytes.h"

namespace enclayer::base {
class Metrics;
}

namespace enclayer::quoting {

// Sets the gauges from the first certificate of a PEM chain, as quotes carry it (certification data type 5); leaves
// them alone where it cannot be read: a quote is not held back for that.
void show_pck_validity(ByteView pem_chain, base::Metrics& metrics);

// The same from a quote.
void show_pck_validity_of_quote(ByteView quote, base::Metrics& metrics);

}  // namespace enclayer::quoting
