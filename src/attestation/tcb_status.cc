// SPDX-License-Identifier: Apache-2.0
#include "attestation/tcb_status.h"

namespace enclayer::attestation {

namespace {

bool needs_configuration(TcbStatus status) {
  return status == TcbStatus::kConfigurationNeeded || status == TcbStatus::kConfigurationAndSwHardeningNeeded ||
         status == TcbStatus::kOutOfDateConfigurationNeeded;
}

bool out_of_date(TcbStatus status) {
  return status == TcbStatus::kOutOfDate || status == TcbStatus::kOutOfDateConfigurationNeeded;
}

}  // namespace

TcbStatus converge(TcbStatus platform, TcbStatus part) {
  if (platform == TcbStatus::kRevoked || part == TcbStatus::kRevoked) return TcbStatus::kRevoked;
  if (part == TcbStatus::kUpToDate) return platform;
  return needs_configuration(platform) ? TcbStatus::kOutOfDateConfigurationNeeded : TcbStatus::kOutOfDate;
}

TcbStatus with_current(TcbStatus launch, TcbStatus current) {
  if (launch == TcbStatus::kRevoked || current == TcbStatus::kRevoked) return TcbStatus::kRevoked;
  if (out_of_date(current)) return converge(launch, TcbStatus::kOutOfDate);
  if (!out_of_date(launch)) return launch;
  return needs_configuration(launch) || needs_configuration(current) ? TcbStatus::kTdRelaunchAdvisedConfigurationNeeded
                                                                     : TcbStatus::kTdRelaunchAdvised;
}

Reason reason_of(TcbStatus status) {
  switch (status) {
    case TcbStatus::kUpToDate: return Reason::kOk;
    case TcbStatus::kSwHardeningNeeded: return Reason::kTcbSwHardeningNeeded;
    case TcbStatus::kConfigurationNeeded: return Reason::kTcbConfigurationNeeded;
    case TcbStatus::kConfigurationAndSwHardeningNeeded: return Reason::kTcbConfigurationAndSwHardeningNeeded;
    case TcbStatus::kOutOfDate: return Reason::kTcbOutOfDate;
    case TcbStatus::kOutOfDateConfigurationNeeded: return Reason::kTcbOutOfDateConfigurationNeeded;
    case TcbStatus::kTdRelaunchAdvised: return Reason::kTcbTdRelaunchAdvised;
    case TcbStatus::kTdRelaunchAdvisedConfigurationNeeded: return Reason::kTcbTdRelaunchAdvisedConfigurationNeeded;
    case TcbStatus::kRevoked: break;
  }
  return Reason::kTcbRevoked;
}

}  // namespace enclayer::attestation
