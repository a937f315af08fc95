// SPDX-License-Identifier: Apache-2.0
// REPORT and TARGETINFO: how one enclave proves itself to another on the same machine.
// Layouts: Intel SDM vol. 3D 37.15/37.16 and sgx_report.h; packed, little endian.
//
// On hardware only EREPORT can make a report and only the target enclave can check it; the simulation: sim/ereport.h.
#pragma once

#include "enclayer/bytes.h"
#include "enclayer/error.h"
#include "enclayer/report.h"

namespace enclayer::sgx {

// sgx_target_info_t, 512 bytes: the enclave that a report is made for.
struct TargetInfo {
  static constexpr std::size_t kSize = 512;

  ByteArray<32> mr_enclave{};
  Attributes attributes;
  std::uint16_t config_svn = 0;
  std::uint32_t misc_select = 0;
  ByteArray<64> config_id{};

  bool operator==(const TargetInfo&) const = default;

  static TargetInfo from_bytes(std::span<const std::uint8_t, kSize> bytes);
  ByteArray<kSize> to_bytes() const;
};

// sgx_report_t, 432 bytes: body | key id (32) | MAC (16). The MAC covers the body's 384 bytes and nothing else, so the
// raw bytes are kept: reserved ones count.
struct Report {
  static constexpr std::size_t kSize = 432;

  ByteArray<kSize> raw{};

  std::span<const std::uint8_t, ReportBody::kSize> body_bytes() const {
    return std::span(raw).first<ReportBody::kSize>();
  }
  ReportBody body() const { return ReportBody::from_bytes(body_bytes()); }
};

// sgx_ql_qe_report_info_t, 960 bytes: nonce (16, in) | target info of the asking enclave (512, in) | QE report (432,
// out). The QE report's report data is SHA-256(nonce | quote) and 32 zero bytes.
struct QeReportInfo {
  static constexpr std::size_t kSize = 960;
  static constexpr std::size_t kTargetInfoOffset = 16;
  static constexpr std::size_t kReportOffset = 528;
};

}  // namespace enclayer::sgx
