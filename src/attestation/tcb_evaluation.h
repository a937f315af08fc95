// SPDX-License-Identifier: Apache-2.0
// What TCB Info and QE Identity make of a platform's numbers. Nothing here is verified: verify() asks once everything
// else has passed; `enclayer show` asks of collateral that it only warns by.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "attestation/checked.h"
#include "attestation/qe_identity.h"
#include "attestation/tcb_info.h"
#include "enclayer/verify.h"

namespace enclayer::attestation {

// A Quoting Enclave at this level of QE Identity. kTcbUnrecognizedStatus: Intel has a new word, or one that no QE can have.
Checked<TcbPart> qe_at(const IsvLevel& level);

// The platform at the first level of TCB Info that it reaches, and of a TD also the TDX module at its own level, both
// converged with the Quoting Enclave (Intel QVL, sgxEvaluateTCB and tdxEvaluateTCB). kTcbNotSupported: it is older than
// every level. kTcbUnrecognizedStatus as above.
Checked<TcbEvaluation> evaluate_tcb(const TcbInfo& tcb_info, const PlatformTcb& platform,
                                    const std::optional<TdxTcb>& tdx, const TcbPart& qe);

// What keeps a platform from the best status that there is a level of.
struct Shortfalls {
  std::vector<Shortfall> list;
  Time since = Time::max();  // date of the oldest level that it lacks; max(): it lacks none

  void add(const IsvLevels& levels, std::uint16_t has, const std::string& part);
};
Shortfalls shortfalls_of(const TcbInfo& tcb_info, const PlatformTcb& platform, const std::optional<TdxTcb>& tdx,
                         const QeIdentity& qe, std::uint16_t qe_isv_svn);

}  // namespace enclayer::attestation
