// SPDX-License-Identifier: Apache-2.0
// The SGX report body: what an enclave says of itself. It stands in reports and in quotes.
// Layout: Intel SDM vol. 3D "REPORT", sgx_report.h; 384 bytes, little endian.
#pragma once

#include <cstdint>

#include "enclayer/bytes.h"

namespace enclayer {

// SECS.ATTRIBUTES. `flags` bits: 0 INIT, 1 DEBUG, 2 MODE64, 4 PROVISION_KEY, 5 EINITTOKEN_KEY, 7 KSS, 10 AEX_NOTIFY.
struct Attributes {
  static constexpr std::uint64_t kInit = 0x1;
  static constexpr std::uint64_t kDebug = 0x2;
  static constexpr std::uint64_t kMode64 = 0x4;
  static constexpr std::uint64_t kProvisionKey = 0x10;

  std::uint64_t flags = 0;
  std::uint64_t xfrm = 0;

  bool debug() const { return (flags & kDebug) != 0; }
  bool operator==(const Attributes&) const = default;
};

struct ReportBody {
  static constexpr std::size_t kSize = 384;

  ByteArray<16> cpu_svn{};
  std::uint32_t misc_select = 0;
  ByteArray<16> isv_ext_prod_id{};
  Attributes attributes;
  ByteArray<32> mr_enclave{};
  ByteArray<32> mr_signer{};
  ByteArray<64> config_id{};
  std::uint16_t isv_prod_id = 0;
  std::uint16_t isv_svn = 0;
  std::uint16_t config_svn = 0;
  ByteArray<16> isv_family_id{};
  ByteArray<64> report_data{};

  bool operator==(const ReportBody&) const = default;

  // Reads the fields; reserved bytes are skipped. Every 384 bytes are a report body, so this cannot fail.
  static ReportBody from_bytes(std::span<const std::uint8_t, kSize> bytes);

  // Writes the fields, reserved bytes zero.
  ByteArray<kSize> to_bytes() const;
};

}  // namespace enclayer
