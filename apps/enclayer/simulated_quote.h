// SPDX-License-Identifier: Apache-2.0
// The quote of a simulated enclave, by whoever serves an AESM socket. A simulated one accepts its report; real hardware
// has to refuse it.
#pragma once

#include <chrono>
#include <string>

#include "enclayer/error.h"
#include "enclayer/report.h"
#include "quoting/quote_source.h"

namespace enclayer::apps {

inline constexpr char kAesmSocket[] = "/var/run/aesmd/aesm.socket";

struct SimulatedQuote {
  quoting::QuoteTarget target;
  ReportBody enclave;
  Bytes quote;
};
// What the enclave is: one for release, the same under a debugger, or another one (MRENCLAVE) of the same signer.
enum class SimulatedEnclave { kRelease, kDebug, kOther };
// `timeout` is of each of the four requests.
Result<SimulatedQuote> simulated_quote(const std::string& socket, const ByteArray<64>& report_data,
                                       std::chrono::seconds timeout,
                                       SimulatedEnclave which = SimulatedEnclave::kRelease);  // quote.cc

}  // namespace enclayer::apps
