// SPDX-License-Identifier: Apache-2.0
// A simulated trust domain, and what its platform has beside that of an enclave: the Quoting Enclave for TDs, a TDX
// module, collateral for TDX. For the tests of verifiers only: no simulated node has TDs.
#pragma once

#include "enclayer/td_report.h"
#include "sim/ca.h"

namespace enclayer::sim {

// The TDX module of the simulated platform: version 1.5.
inline constexpr std::uint8_t kModuleMajor = 1, kModuleMinor = 5;

// A TD of TDX 1.0, not a debug one; its measurements are SHA-256 sums of sentences that say SIMULATED, and 16 zeros.
TdReportBody td_body(const ByteArray<64>& report_data);

// The Quoting Enclave for TDs: product 2 of the simulated signer.
ReportBody td_qe_body();

// Makes of collateral for SGX that for TDX: the same level, reached by td_body(); identities of the modules of major
// version 1 (5 is UpToDate) and 3.
void for_tds(CollateralOrder& order);

}  // namespace enclayer::sim
