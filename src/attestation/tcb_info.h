// SPDX-License-Identifier: Apache-2.0
// TCB Info: Intel's list of patch levels of one kind of platform (FMSPC), each with its status. That for TDX also says
// which TDX modules are Intel's, and which of their versions are still good.
// Source: Intel PCS API, "Get TCB Info" v4 (TCB Info version 3; SGX and TDX) and v3 (version 2; SGX).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "attestation/isv_level.h"
#include "attestation/pck_extension.h"
#include "attestation/window.h"
#include "enclayer/error.h"
#include "enclayer/time.h"

namespace enclayer::attestation {

// TEE_TCB_SVN: the patch level of a TDX module and of what it runs on.
struct TdxTcb {
  ByteArray<16> svn{};

  std::uint8_t module_minor() const { return svn[0]; }
  std::uint8_t module_major() const { return svn[1]; }
  bool operator==(const TdxTcb&) const = default;
  // Every component is at least that of `level`; a module of major version 1 or more is judged by its own levels, so its
  // two numbers do not count here (Intel QVL, EvaluateTcb.cpp).
  bool reaches(const TdxTcb& level) const {
    for (std::size_t i = module_major() > 0 ? 2 : 0; i < svn.size(); ++i)
      if (svn[i] < level.svn[i]) return false;
    return true;
  }
};

struct TcbLevel {
  PlatformTcb tcb;
  std::optional<TdxTcb> tdx;  // in every level of TDX and in none of SGX
  Time date;
  std::string status;  // as spelled; a word that we do not know matters only for the platforms at this level
  std::vector<std::string> advisory_ids;
};

// Which TDX module is Intel's.
struct TdxModule {
  ByteArray<48> mr_signer{};
  std::uint64_t attributes = 0, attributes_mask = 0;
};

struct TdxModuleIdentity {
  std::string id;  // "TDX_03": the major version in two hexadecimal digits, upper case
  TdxModule module;
  IsvLevels levels;  // by the minor version
};

struct TcbInfo {
  std::string id;  // "SGX" or "TDX"
  std::uint32_t version = 0;
  Window validity;  // issueDate .. nextUpdate
  ByteArray<6> fmspc{};
  ByteArray<2> pce_id{};
  std::uint32_t evaluation_number = 0;
  std::vector<TcbLevel> levels;  // best first: descending by components, then PCESVN, then TDX components

  // Of TDX only. `tdx_module` is the one of major version 0.
  TdxModule tdx_module;
  std::optional<std::vector<TdxModuleIdentity>> tdx_module_identities;

  // The first level that `platform` (and `tdx`, where there is one) reaches in all numbers; nullptr when it reaches
  // none.
  const TcbLevel* level_of(const PlatformTcb& platform, const std::optional<TdxTcb>& tdx = std::nullopt) const;

  // The identity of the modules of a major version from 1 on; nullptr when there is none.
  const TdxModuleIdentity* module_of(std::uint8_t major) const;
};

// The inner object, versions 2 and 3. kUnsupported: another version or TCB type. kMalformed: anything else that is
// wrong, two levels with the same numbers and two identities of one TDX module among it.
Result<TcbInfo> parse_tcb_info(std::string_view json);

}  // namespace enclayer::attestation
