// SPDX-License-Identifier: Apache-2.0
// What awaits the platforms whose evidence a service sees. Intel publishes the TCB Info of a TCB recovery early, commonly
// on the day that the vulnerabilities are disclosed, and makes it the standard one some six weeks later. A platform that
// is good by the standard TCB Info and not by the early one has that long to be patched, before relying parties refuse it.
//
//   Outlook outlook(early, root);
//   outlook.saw(quote, verification, now);   // each time that evidence was verified
//   outlook.show(metrics, now);              // before a page of metrics
//
// The same evidence is verified again, by early collateral: nothing is believed that is not signed, and what is said is what
// a relying party with that collateral would say. Nothing is kept of the evidence but its patch level, which many machines
// share; no machine is named.
#pragma once

#include <chrono>
#include <compare>
#include <cstddef>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "attest/platform_collateral.h"
#include "enclayer/bytes.h"
#include "enclayer/time.h"
#include "enclayer/verify.h"

namespace enclayer::base {
class Metrics;
}

namespace enclayer::attest {

class Outlook {
 public:
  static constexpr std::size_t kMost = 64;  // patch levels that are remembered; the one unseen for longest makes room
  static constexpr std::chrono::hours kAgain{1}, kForgotten{24};  // judged anew; not seen for so long
  static constexpr std::chrono::seconds kRetry{2};                // where there was no early collateral

  // `early`: collateral of the early edition, asked for platforms that were verified and for no others. nullptr: there is
  // none, and what awaits platforms is unknown.
  Outlook(PlatformCollateral* early, TrustedRoot root) : early_(early), root_(std::move(root)) {}

  // `verified` is of `quote`, by the collateral that the service judges with. One that did not verify says nothing of a
  // platform. Any thread; takes the time of a verification now and then, and none otherwise.
  void saw(ByteView quote, const Verification& verified, Time now);

  // The series of enclayer_attest_platform_info and enclayer_attest_tcb_evaluation_number.
  void show(base::Metrics& metrics, Time now);

 private:
  struct PatchLevel {
    bool tdx = false;
    ByteArray<6> fmspc{};
    std::string tcb;  // attestation::to_string(PlatformTcb); of a TD "." and its TEE_TCB_SVN follow
    std::uint16_t qe_isv_svn = 0;
    auto operator<=>(const PatchLevel&) const = default;
  };
  struct Seen {
    Time last{}, judge_again{};
    TcbStatus status = TcbStatus::kRevoked;
    std::string early;  // a TcbStatus; "TCB_NOT_SUPPORTED"; "unknown"
    std::optional<std::uint32_t> number, early_number;
  };
  static PatchLevel level_of(const Verification& verified);
  void judge_early(ByteView quote, const PatchLevel& level, Seen& seen, Time now) const;
  void forget(Time now);

  PlatformCollateral* const early_;
  const TrustedRoot root_;
  mutable std::mutex mutex_;
  std::map<PatchLevel, Seen> seen_;
};

}  // namespace enclayer::attest
