// SPDX-License-Identifier: Apache-2.0
// A simulated application enclave: enough of one to ask for a quote and to check what comes back, without hardware.
#pragma once

#include "quoting/quote_source.h"
#include "sim/ereport.h"

namespace enclayer::sim {

// Not a debug enclave; MRENCLAVE and MRSIGNER are SHA-256 sums of sentences that say SIMULATED.
ReportBody enclave_body(const ByteArray<64>& report_data);

// The target for which a Quoting Enclave makes a report that this enclave can check.
sgx::TargetInfo enclave_target();

// What the enclave checks about an answer: the QE report was made for it by the QE that was asked (`qe`), and says
// SHA-256(nonce || quote), so the quote is the one that the QE made for this nonce. kPermissionDenied with the reason
// if not.
Result<> check_qe_report(const quoting::QuoteReply& reply, const ByteArray<16>& nonce, const sgx::TargetInfo& qe);

}  // namespace enclayer::sim
