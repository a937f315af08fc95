// SPDX-License-Identifier: Apache-2.0
// The SGX extension of a PCK certificate, OID 1.2.840.113741.1.13.1: which platform, and which TCB it was certified
// for. Source: Intel "SGX PCK Certificate and Certificate Revocation List Profile Specification", 1.3.5.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "enclayer/bytes.h"
#include "enclayer/error.h"

namespace enclayer::attestation {

// A platform's patch level: sixteen component SVNs and the SVN of the Provisioning Certification Enclave.
struct PlatformTcb {
  ByteArray<16> components{};
  std::uint16_t pce_svn = 0;

  bool operator==(const PlatformTcb&) const = default;
  // Every component and the PCESVN are at least those of `level`.
  bool reaches(const PlatformTcb& level) const {
    for (std::size_t i = 0; i < components.size(); ++i)
      if (components[i] < level.components[i]) return false;
    return pce_svn >= level.pce_svn;
  }
};

// 36 hexadecimal digits, as Intel's PCS writes a TCBm: the components, PCESVN with its lower byte first. One that is not
// that is nullopt.
std::string to_string(const PlatformTcb& tcb);
std::optional<PlatformTcb> platform_tcb_from(std::string_view digits);

struct PckExtension {
  ByteArray<16> ppid{};  // names one platform for ever: not for logs
  PlatformTcb tcb;
  ByteArray<16> cpu_svn{};
  ByteArray<2> pce_id{};
  ByteArray<6> fmspc{};
  std::uint8_t sgx_type = 0;  // 0 standard, 1 scalable, 2 scalable with integrity

  // Multi-package servers (Platform CA) only.
  std::optional<ByteArray<16>> platform_instance_id;
  std::optional<bool> dynamic_platform, cached_keys, smt_enabled;
};

// `content` is the extension's value. Exactly the five items of a Processor CA's certificate or the seven of a Platform
// CA's, each once and of its size; else kMalformed.
Result<PckExtension> parse_pck_extension(ByteView content);

}  // namespace enclayer::attestation
