// SPDX-License-Identifier: Apache-2.0
#include "attestation/tcb_status.h"

namespace enclayer::attestation {

TcbStatus converge(TcbStatus platform, TcbStatus qe) {
  if (platform == TcbStatus::kRevoked || qe == TcbStatus::kRevoked) return TcbStatus::kRevoked;
  if (qe == TcbStatus::kUpToDate) return platform;
  switch (platform) {
    case TcbStatus::kConfigurationNeeded:
    case TcbStatus::kConfigurationAndSwHardeningNeeded:
    case TcbStatus::kOutOfDateConfigurationNeeded: return TcbStatus::kOutOfDateConfigurationNeeded;
    default: return TcbStatus::kOutOfDate;
  }
}

Reason reason_of(TcbStatus status) {
  switch (status) {
    case TcbStatus::kUpToDate: return Reason::kOk;
    case TcbStatus::kSwHardeningNeeded: return Reason::kTcbSwHardeningNeeded;
    case TcbStatus::kConfigurationNeeded: return Reason::kTcbConfigurationNeeded;
    case TcbStatus::kConfigurationAndSwHardeningNeeded: return Reason::kTcbConfigurationAndSwHardeningNeeded;
    case TcbStatus::kOutOfDate: return Reason::kTcbOutOfDate;
    case TcbStatus::kOutOfDateConfigurationNeeded: return Reason::kTcbOutOfDateConfigurationNeeded;
    case TcbStatus::kRevoked: break;
  }
  return Reason::kTcbRevoked;
}

}  // namespace enclayer::attestation
