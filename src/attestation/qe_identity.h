// SPDX-License-Identifier: Apache-2.0
// QE Identity: which enclave is Intel's Quoting Enclave, and which of its versions are still good.
// Source: Intel PCS API, "Get Quoting Enclave Identity" v4 (Enclave Identity version 2).
#pragma once

#include <string>
#include <string_view>

#include "attestation/isv_level.h"
#include "attestation/window.h"
#include "enclayer/bytes.h"
#include "enclayer/error.h"
#include "enclayer/report.h"
#include "enclayer/time.h"

namespace enclayer::attestation {

struct QeIdentity {
  std::string id;   // "QE", "QVE" or "TD_QE"
  Window validity;  // issueDate .. nextUpdate
  std::uint32_t evaluation_number = 0;
  std::uint32_t misc_select = 0, misc_select_mask = 0;
  ByteArray<16> attributes{}, attributes_mask{};
  ByteArray<32> mr_signer{};
  std::uint16_t isv_prod_id = 0;
  IsvLevels levels;

  // "" when `report` is of this enclave (its version is another question); else what differs, for people.
  std::string mismatch(const ReportBody& report) const;
};

// The inner object, version 2. kUnsupported: another version. kMalformed: anything else that is wrong, two levels with
// the same ISVSVN among it.
Result<QeIdentity> parse_qe_identity(std::string_view json);

}  // namespace enclayer::attestation
