// SPDX-License-Identifier: Apache-2.0
#include "enclayer/policy.h"

#include <algorithm>

#include "base/hex.h"

namespace enclayer {
namespace {

template <class List, class Value>
bool contains(const List& list, const Value& value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

std::string shown(const std::string& text) { return text; }
std::string shown(TcbStatus status) { return std::string(to_string(status)); }
std::string shown(std::uint16_t number) { return std::to_string(number); }
template <std::size_t N>
std::string shown(const ByteArray<N>& bytes) {
  return base::to_hex(bytes);
}

// "a, b, c", cut after a few: a detail is for people.
template <class List>
std::string joined(const List& list) {
  constexpr std::size_t kMost = 8;
  if (list.empty()) return "none";
  std::string out;
  for (std::size_t i = 0; i < list.size() && i < kMost; ++i) out += (i == 0 ? "" : ", ") + shown(list[i]);
  if (list.size() > kMost) out += " and " + std::to_string(list.size() - kMost) + " more";
  return out;
}

}  // namespace

ReportDataRule ReportDataRule::exact(const ByteArray<64>& value) {
  ReportDataRule out{value, {}};
  out.mask.fill(0xff);
  return out;
}

Result<ReportDataRule> ReportDataRule::prefix(ByteView first) {
  ReportDataRule out;
  if (first.empty() || first.size() > out.value.size())
    return Error(ErrorKind::kInvalidArgument,
                 "report data: a prefix has 1 to 64 bytes, not " + std::to_string(first.size()));
  std::copy(first.begin(), first.end(), out.value.begin());
  std::fill_n(out.mask.begin(), first.size(), std::uint8_t{0xff});
  return out;
}

bool ReportDataRule::matches(const ByteArray<64>& report_data) const {
  for (std::size_t i = 0; i < value.size(); ++i)
    if (((report_data[i] ^ value[i]) & mask[i]) != 0) return false;
  return true;
}

Verdict judge(const Verification& verification, const Policy& policy) {
  Verdict verdict;
  verdict.reason = verification.reason;
  if (!verification.verified()) {
    verdict.misses.push_back({verification.reason, verification.detail});
    return verdict;
  }
  auto miss = [&](Reason reason, std::string detail) { verdict.misses.push_back({reason, std::move(detail)}); };
  auto one_of = [&](const auto& accepted, const auto& found, Reason reason, const char* name) {
    if (!accepted.empty() && !contains(accepted, found))
      miss(reason, std::string(name) + " " + shown(found) + " is not accepted (" + joined(accepted) + ")");
  };
  const ReportBody& report = verification.quote->report();

  TcbStatus status = *verification.tcb_status;
  if (status == TcbStatus::kRevoked || !contains(policy.accepted_tcb, status))
    miss(verification.reason, "TCB status " + shown(status) + " is not accepted (" + joined(policy.accepted_tcb) +
                                  "): " + verification.detail);
  if (verification.simulated && !policy.allow_simulated)
    miss(Reason::kSimulatedPlatform,
         "the platform is simulated and proves nothing; a policy has to allow that by name (allow_simulated)");
  if (report.attributes.debug() && !policy.allow_debug)
    miss(Reason::kDebugEnclave, "the enclave has the DEBUG attribute: its host can read and change its memory");

  one_of(policy.mr_enclave, report.mr_enclave, Reason::kMrEnclaveNotAccepted, "MRENCLAVE");
  one_of(policy.mr_signer, report.mr_signer, Reason::kMrSignerNotAccepted, "MRSIGNER");
  one_of(policy.isv_prod_id, report.isv_prod_id, Reason::kIsvProdIdNotAccepted, "ISVPRODID");
  if (report.isv_svn < policy.min_isv_svn)
    miss(Reason::kIsvSvnTooLow, "ISVSVN " + shown(report.isv_svn) + " is less than " + shown(policy.min_isv_svn));
  if (policy.report_data && !policy.report_data->matches(report.report_data))  // not shown: details end up in logs
    miss(Reason::kReportDataNotAccepted, "report data is not as the policy asks for");

  // verify() sets FMSPC and number of all that it verified; for others zeros stand, which nobody accepts.
  one_of(policy.fmspc, verification.fmspc.value_or(ByteArray<6>{}), Reason::kFmspcNotAccepted, "FMSPC");
  if (policy.accepted_advisories) {
    std::vector<std::string> others;
    for (const std::string& id : verification.advisory_ids)
      if (!contains(*policy.accepted_advisories, id)) others.push_back(id);
    if (!others.empty())
      miss(Reason::kAdvisoryNotAccepted,
           "advisories " + joined(others) + " are not accepted (" + joined(*policy.accepted_advisories) + ")");
  }
  if (std::uint32_t number = verification.tcb_evaluation_number.value_or(0); number < policy.min_tcb_evaluation_number)
    miss(Reason::kTcbEvaluationNumberTooLow, "TCB evaluation data number " + std::to_string(number) + " is less than " +
                                                 std::to_string(policy.min_tcb_evaluation_number));

  verdict.trusted = verdict.misses.empty();
  if (!verdict.trusted) verdict.reason = verdict.misses.front().reason;
  return verdict;
}

}  // namespace enclayer
