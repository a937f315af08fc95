// SPDX-License-Identifier: Apache-2.0
// The simulation's certificate authority: for simulated nodes what Intel's provisioning service is for real ones. Four
// certificates and the collateral that a relying party needs, all of it rooted in a key made on this machine. Every
// name says SIMULATED: a verifier trusts it only where it is told to.
//
//   SIMULATED SGX Root CA
//    |- SIMULATED SGX PCK Platform CA
//    |   `- SIMULATED SGX PCK Certificate        signs the Quoting Enclave's report
//    `- SIMULATED SGX TCB Signing                signs TCB Info and QE Identity
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "enclayer/collateral.h"
#include "enclayer/report.h"
#include "enclayer/time.h"
#include "sim/x509.h"

namespace enclayer::sim {

// How long before `now` things are dated, so that a relying party whose clock is a little behind accepts them.
inline constexpr std::chrono::minutes kClockSkew{5};
// The life of collateral: Intel's.
inline constexpr std::chrono::days kCollateralLife{30};

// The SVN that all 16 TCB components and the PCE of a simulated machine have, and the ISV SVN of its QE.
inline constexpr std::uint8_t kSvn = 1;
// FMSPC of every simulated machine: "SIMULA".
inline constexpr ByteArray<6> kFmspc = {'S', 'I', 'M', 'U', 'L', 'A'};

// ---- Certificates ----

struct CaOrder {
  CertificateOrder root, pck_ca, tcb_signing, pck;
};

// What an honest simulation orders: new serial numbers, a PPID and a platform instance of its own, valid for 20 years.
CaOrder ca_order(Time now);

struct Ca {
  Identity root, pck_ca, tcb_signing, pck;

  std::string pck_chain() const { return pck.certificate + pck_ca.certificate + root.certificate; }
};

Result<Ca> make_ca(const CaOrder& order);

// ---- Collateral ----

struct TcbLevel {
  ByteArray<16> components{};
  std::uint16_t pce_svn = 0;
  std::string status = "UpToDate";
  Time date;
  std::vector<std::string> advisory_ids;
  ByteArray<16> tdx_components{};  // written where there is a TdxOrder
};

struct QeLevel {
  std::uint16_t isv_svn = 0;
  std::string status = "UpToDate";
  Time date;
  std::vector<std::string> advisory_ids;
};

// Which TDX modules TCB Info knows.
struct TdxModuleOrder {
  std::string id;  // "TDX_01"; that of major version 0 has none
  ByteArray<48> mr_signer{};
  std::uint64_t attributes = 0, attributes_mask = ~std::uint64_t{0};
  std::vector<QeLevel> levels;  // newest first; that of major version 0 has none
};

struct TdxOrder {
  TdxModuleOrder module;                                                                  // of major version 0
  std::optional<std::vector<TdxModuleOrder>> identities = std::vector<TdxModuleOrder>{};  // of the others
};

struct CollateralOrder {
  Time issued, expires;  // of TCB Info and QE Identity
  std::uint32_t tcb_evaluation_data_number = 1;
  std::string fmspc;                 // hexadecimal; Intel writes both cases
  std::string pce_id = "0000";       // hexadecimal
  std::vector<TcbLevel> tcb_levels;  // newest first
  ReportBody qe;                     // MRSIGNER, product id and attributes that a QE has to have
  std::vector<QeLevel> qe_levels;    // newest first
  CrlOrder root_crl, pck_crl;
  std::optional<TdxOrder> tdx;  // TCB Info and QE Identity are those for TDX
};

// What an honest simulation orders: the simulated machine and its QE are up to date, nothing is revoked, all of it
// lives kCollateralLife.
CollateralOrder collateral_order(Time now);

Result<Collateral> issue_collateral(const Ca& ca, const CollateralOrder& order);

// Signs TCB Info and QE Identity as they now stand, after a change that no order has a field for.
Result<> sign_collateral(const Ca& ca, Collateral& collateral);

// ---- The simulated Quoting Enclave's own measurements ----

// MRENCLAVE and MRSIGNER are SHA-256 sums of sentences that say SIMULATED; they are nobody's.
ReportBody qe_body();

}  // namespace enclayer::sim
