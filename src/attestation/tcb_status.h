// SPDX-License-Identifier: Apache-2.0
// How the statuses of platform and Quoting Enclave become one.
#pragma once

#include "enclayer/verify.h"

namespace enclayer::attestation {

// What a QE that is UpToDate, OutOfDate or Revoked makes of the platform's status (Intel QVL, "convergeTcbStatus").
TcbStatus converge(TcbStatus platform, TcbStatus qe);

// The status by the name that reasons have: kOk for UpToDate.
Reason reason_of(TcbStatus status);

}  // namespace enclayer::attestation
