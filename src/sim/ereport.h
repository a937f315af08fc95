// SPDX-License-Identifier: Apache-2.0
// EREPORT in software: the same derivation as Intel's SDK in simulation mode (linux-sgx sdk/simulation/tinst), so
// reports of SDK-SIM enclaves are accepted too. Every key in it is public: A SIMULATED REPORT PROVES NOTHING, anybody
// can make one.
#pragma once

#include <array>

#include "enclayer/report.h"
#include "sgx/report.h"

namespace enclayer::sim {

// The three CPUSVN values of SDK-SIM: the default one, "upgraded", "downgraded".
const std::array<ByteArray<16>, 3>& cpu_svns();

// Makes the report that an enclave with this body would make for `target`. body.cpu_svn should be one of cpu_svns().
sgx::Report ereport(const ReportBody& body, const sgx::TargetInfo& target);

// Whether `report` was made by ereport() for `target` (constant time). False for a report with an unknown CPUSVN and
// for every report from real hardware.
bool report_is_for(const sgx::Report& report, const sgx::TargetInfo& target);

// The 16-byte report key; here for the known-answer test.
ByteArray<16> report_key(const sgx::TargetInfo& target, const ByteArray<16>& cpu_svn, const ByteArray<32>& key_id);

}  // namespace enclayer::sim
