// SPDX-License-Identifier: Apache-2.0
// How the statuses of a platform's parts become one.
#pragma once

#include "enclayer/verify.h"

namespace enclayer::attestation {

// What a Quoting Enclave or a TDX module that is UpToDate, OutOfDate or Revoked makes of the platform's status (Intel
// QVL, "convergeTcbStatuses").
TcbStatus converge(TcbStatus platform, TcbStatus part);

// The status of a TD that was launched at one TCB and runs at another (Intel QVL, "checkForRelaunch"). A TDX module that
// got worse under a running TD, which should not happen, counts against it here and not in QVL.
TcbStatus with_current(TcbStatus launch, TcbStatus current);

// The status by the name that reasons have: kOk for UpToDate.
Reason reason_of(TcbStatus status);

}  // namespace enclayer::attestation
