// SPDX-License-Identifier: Apache-2.0
// The TD report body: what the TDX module says of a trust domain (TD). It stands in TD reports and in quotes.
// Layout: Intel "TDX DCAP Quoting Library API", body types 2, 3 and 4; little endian, without gaps.
//
//   bytes   TDX 1.0 (584)           bytes   TDX 1.5 adds (648)    bytes   TDX 1.5 with partitioning adds (885)
//   0/16    tee_tcb_svn             584/16  tee_tcb_svn2          648/1   vmid
//   16/48   mr_seam                 600/48  mr_service_td         649/32  td_id
//   64/48   mr_signer_seam                                        681/48  dev_info
//   112/8   seam_attributes                                       729/48  init_service_td_hash
//   120/8   td_attributes                                         777/8   init_service_td_attributes
//   128/8   xfam                                                  785/16  init_cpu_svn
//   136/48  mr_td                                                 801/16  init_tee_tcb_svn
//   184/48  mr_config_id                                          817/12  init_tee_fmspc
//   232/48  mr_owner                                              829/48  current_service_td_hash
//   280/48  mr_owner_config                                       877/8   current_service_td_attributes
//   328/192 rtmr 0, 1, 2, 3
//   520/64  report_data
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "enclayer/bytes.h"
#include "enclayer/error.h"

namespace enclayer {

// What reports of TDX 1.5 have beside the fields of 1.0.
struct TdReportTdx15 {
  ByteArray<16> tee_tcb_svn2{};   // the module that runs now: it can be updated under a TD that runs on
  ByteArray<48> mr_service_td{};  // the service TDs that are bound to this one, and may migrate it; zero: none
  bool operator==(const TdReportTdx15&) const = default;
};

// What partitioning (several virtual machines in a TD) adds to that.
struct TdReportPartitioned {
  std::uint8_t vmid = 0;
  ByteArray<32> td_id{};
  ByteArray<48> dev_info{};
  ByteArray<48> init_service_td_hash{};
  std::uint64_t init_service_td_attributes = 0;
  ByteArray<16> init_cpu_svn{}, init_tee_tcb_svn{};  // of the platform on which the TD was launched
  ByteArray<12> init_tee_fmspc{};
  ByteArray<48> current_service_td_hash{};
  std::uint64_t current_service_td_attributes = 0;
  bool operator==(const TdReportPartitioned&) const = default;
};

struct TdReportBody {
  static constexpr std::size_t kSize = 584, kSize15 = 648, kSize15Partitioned = 885;

  // Bits of td_attributes. All that are not named here are reserved and zero.
  static constexpr std::uint64_t kDebug = 1;                   // the host can read and change the TD's memory
  static constexpr std::uint64_t kSeptVeDisable = 1ULL << 28;  // no #VE where the host takes a page away: it could
                                                               // steer the TD by that
  static constexpr std::uint64_t kMigratable = 1ULL << 29;     // by a service TD
  static constexpr std::uint64_t kPks = 1ULL << 30, kKl = 1ULL << 31;  // protection keys for supervisors; Key Locker
  static constexpr std::uint64_t kPerfmon = 1ULL << 63;
  static constexpr std::uint64_t kKnownAttributes = kDebug | kSeptVeDisable | kMigratable | kPks | kKl | kPerfmon;

  ByteArray<16> tee_tcb_svn{};  // the module when the TD was launched: minor and major version, then microcode and more
  ByteArray<48> mr_seam{};      // the module
  ByteArray<48> mr_signer_seam{};     // its signer; zero: Intel
  std::uint64_t seam_attributes = 0;  // the module's; zero: not a debug one
  std::uint64_t td_attributes = 0;
  std::uint64_t xfam = 0;  // which extended features the TD may use, as XCR0 and IA32_XSS have them
  ByteArray<48> mr_td{};   // the TD as it was built: its firmware
  ByteArray<48> mr_config_id{}, mr_owner{}, mr_owner_config{};  // given by who launched it
  std::array<ByteArray<48>, 4> rtmr{};                          // what firmware, loader, kernel and programs extended
  ByteArray<64> report_data{};                                  // the TD's own choice

  std::optional<TdReportTdx15> tdx15;
  std::optional<TdReportPartitioned> partitioned;  // only beside tdx15

  bool debug() const { return (td_attributes & kDebug) != 0; }
  // Another TD may take part in this one's life. Reports of TDX 1.0 do not say.
  bool has_service_td() const;
  bool operator==(const TdReportBody&) const = default;

  // 584, 648 or 885 bytes; any other number is kMalformed. Which one it is says which parts there are.
  static Result<TdReportBody> from_bytes(ByteView bytes);
  Bytes to_bytes() const;
};

}  // namespace enclayer
