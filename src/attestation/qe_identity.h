// SPDX-License-Identifier: Apache-2.0
// QE Identity: which enclave is Intel's Quoting Enclave, and which of its versions are still good.
// Source: Intel PCS API, "Get Quoting Enclave Identity" v4 (Enclave Identity version 2).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "attestation/window.h"
#include "enclayer/bytes.h"
#include "enclayer/error.h"
#include "enclayer/report.h"
#include "enclayer/time.h"

namespace enclayer::attestation {

struct QeLevel {
  std::uint16_t isv_svn = 0;
  Time date;
  std::string status;  // as spelled: UpToDate, OutOfDate or Revoked
  std::vector<std::string> advisory_ids;
};

struct QeIdentity {
  std::string id;   // "QE", "QVE" or "TD_QE"
  Window validity;  // issueDate .. nextUpdate
  std::uint32_t evaluation_number = 0;
  std::uint32_t misc_select = 0, misc_select_mask = 0;
  ByteArray<16> attributes{}, attributes_mask{};
  ByteArray<32> mr_signer{};
  std::uint16_t isv_prod_id = 0;
  std::vector<QeLevel> levels;  // best first: descending by ISVSVN

  // "" when `report` is of this enclave (its version is another question); else what differs, for people.
  std::string mismatch(const ReportBody& report) const;

  // The first level that `isv_svn` reaches; nullptr when it reaches none.
  const QeLevel* level_of(std::uint16_t isv_svn) const;
};

// The inner object, version 2. kUnsupported: another version. kMalformed: anything else that is wrong, two levels with
// the same ISVSVN among it.
Result<QeIdentity> parse_qe_identity(std::string_view json);

}  // namespace enclayer::attestation
