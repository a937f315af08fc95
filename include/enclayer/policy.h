// SPDX-License-Identifier: Apache-2.0
// Policy: what a relying party accepts of what verify() found.
//
//   Policy policy = parse_policy_json(text).value();   // or made in code, field by field
//   Verdict verdict = judge(verify(quote, collateral, root, now), policy);
//   if (!verdict.trusted) for (const Miss& miss : verdict.misses) complain(miss.detail);
//
// What a policy does not name is not asked for, but some things have to be allowed by name: a TCB status other than
// UpToDate, a debug enclave or TD, a simulated platform, attributes of a TD that weaken it, service TDs. What it names
// has to be in the quote: one that names an MRENCLAVE refuses every TD, one that names an MRTD every enclave. What it
// forbids (allow_smt = false) is refused also where nobody knows.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "enclayer/bytes.h"
#include "enclayer/error.h"
#include "enclayer/time.h"
#include "enclayer/verify.h"

namespace enclayer {

// What the 64 bytes that an enclave or a TD put into its report have to be (a nonce, the hash of a key).
struct ReportDataRule {
  ByteArray<64> value{};
  ByteArray<64> mask{};  // bits that are set here have to be as in `value`, the others may be anything

  static ReportDataRule exact(const ByteArray<64>& value);
  // The first 1 to 64 bytes; another count is kInvalidArgument.
  static Result<ReportDataRule> prefix(ByteView first);

  bool matches(const ByteArray<64>& report_data) const;
  bool operator==(const ReportDataRule&) const = default;
};

// Where there is a list, one of it has to match; an empty list matches everything. All that is named has to be met.
struct Policy {
  // Accepted statuses; with an empty list nothing is. kRevoked is never accepted, named here or not.
  std::vector<TcbStatus> accepted_tcb{TcbStatus::kUpToDate};
  // An enclave or a TD with the DEBUG attribute has no secrets from its host.
  bool allow_debug = false;
  // A simulated platform proves nothing, even where its root is the trusted one: anybody can make one.
  bool allow_simulated = false;

  // Which enclave. ISVPRODID and ISVSVN are the signer's own numbers: they mean nothing where MRSIGNER is not named.
  std::vector<ByteArray<32>> mr_enclave{};
  std::vector<ByteArray<32>> mr_signer{};
  std::vector<std::uint16_t> isv_prod_id{};
  std::uint16_t min_isv_svn = 0;
  std::optional<ReportDataRule> report_data{};  // of TDs too

  // Which trust domain. MRTD is its firmware; RTMR 1 to 3 are what was started from there on.
  std::vector<ByteArray<48>> mr_td{};
  std::array<std::vector<ByteArray<48>>, 4> rtmr{};
  std::vector<ByteArray<48>> mr_config_id{}, mr_owner{}, mr_owner_config{};
  // The whole value. With an empty list: SEPT_VE_DISABLE has to be set, PKS, KL and PERFMON may be, nothing else.
  // DEBUG has to be allowed beside it.
  std::vector<std::uint64_t> td_attributes{};
  std::vector<std::uint64_t> xfam{};
  // Service TDs, which may migrate the TD. With an empty list there may be none (reports of TDX 1.0 do not say).
  std::vector<ByteArray<48>> mr_service_td{};
  std::vector<ByteArray<48>> mr_seam{};  // which TDX modules; Intel's they are in any case

  // Which platform.
  std::vector<ByteArray<6>> fmspc{};
  std::vector<ByteArray<16>> ppid{};                  // single machines
  std::vector<ByteArray<16>> platform_instance_id{};  // the same of platforms with several packages
  std::vector<PlatformIdentity::SgxType> sgx_type{};
  bool allow_dynamic_platform = true, allow_cached_keys = true, allow_smt = true;
  // "INTEL-SA-00615". When set, every advisory of the platform's and the QE's TCB level has to be in it; with an empty
  // list none may apply. Not set: the status alone decides.
  std::optional<std::vector<std::string>> accepted_advisories{};
  std::vector<std::string> rejected_advisories{};  // none of these may apply, whatever is accepted
  // The TCB dates of all parts, of a TD both those of its launch and those of now, are not before it.
  std::optional<Time> min_tcb_date{};
  // After a TCB recovery platforms need time to be patched: one that is OutOfDate (or OutOfDateConfigurationNeeded, or
  // a TD to be launched again) is accepted, too, for as many days after the date of the oldest level that it lacks.
  std::uint16_t tcb_grace_days = 0;
  // The oldest of TCB Info, QE Identity and CRLs was issued at most so many days before.
  std::optional<std::uint16_t> max_collateral_age_days{};
  // The lower one of TCB Info's and QE Identity's tcbEvaluationDataNumber. Intel raises it with each TCB recovery, so
  // that a minimum refuses collateral that was served, and signed, before one.
  std::uint32_t min_tcb_evaluation_number = 0;

  bool operator==(const Policy&) const = default;

  // The most that is read of a policy file, in bytes, and of a list in it.
  static constexpr std::size_t kMaxJsonSize = 1 << 16;
  static constexpr std::size_t kMaxListed = 256;
};

// Reads a policy file (docs/policy.md). Everything in it is judged, nothing is guessed: an unknown key, a key that is
// there twice, another type, a value out of range and more than kMaxJsonSize bytes are kMalformed, and the message says
// which key ("accepted_tcb_statuses[1]"), what it is and what is allowed there.
Result<Policy> parse_policy_json(std::string_view json);

// The JSON Schema (draft 2020-12) of that file.
std::string_view policy_schema();

struct Verdict {
  bool trusted = false;
  // Trusted: the reason of the verification (the status by QVL's name, or OK). Otherwise that of the first miss.
  Reason reason = Reason::kOk;
  // All that stand against it: when verification failed, what failed first and, of what has expired, all (what failed is
  // not worth judging); every one of the policy's otherwise.
  std::vector<Miss> misses;
};

// `report_data`: what this one quote has to say beside all that the policy asks for, a nonce or the hash of a key.
Verdict judge(const Verification& verification, const Policy& policy, const ReportDataRule* report_data = nullptr);

// Verdict and findings as one JSON object, for programs. docs/verify-output.md lists the fields; `version` in it
// changes when one of them goes or means something else, not when one is added.
std::string verdict_json(const Verification& verification, const Verdict& verdict, Time at);

}  // namespace enclayer
