// SPDX-License-Identifier: Apache-2.0
#include "enclayer/policy.h"

#include <algorithm>

#include "attestation/hex64.h"
#include "base/hex.h"

namespace enclayer {
namespace {

template <class List, class Value>
bool contains(const List& list, const Value& value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

std::string shown(const std::string& text) { return text; }
std::string shown(TcbStatus status) { return std::string(to_string(status)); }
std::string shown(PlatformIdentity::SgxType type) { return std::string(to_string(type)); }
std::string shown(std::uint16_t number) { return std::to_string(number); }
std::string shown(std::uint64_t bits) { return attestation::hex64(bits); }
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

// Whether a platform is out of date since so short a time that `grace_days` still cover it.
bool in_grace(const Verification& verification, std::uint16_t grace_days) {
  switch (*verification.tcb_status) {
    case TcbStatus::kOutOfDate:
    case TcbStatus::kOutOfDateConfigurationNeeded:
    case TcbStatus::kTdRelaunchAdvised:
    case TcbStatus::kTdRelaunchAdvisedConfigurationNeeded: break;
    default: return false;
  }
  return verification.lacking_since && verification.at < *verification.lacking_since + std::chrono::days(grace_days);
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

Verdict judge(const Verification& verification, const Policy& policy, const ReportDataRule* report_data) {
  Verdict verdict;
  verdict.reason = verification.reason;
  if (!verification.verified()) {
    verdict.misses.push_back({verification.reason, verification.detail});
    verdict.misses.insert(verdict.misses.end(), verification.also_expired.begin(), verification.also_expired.end());
    return verdict;
  }
  auto miss = [&](Reason reason, std::string detail) { verdict.misses.push_back({reason, std::move(detail)}); };
  // `found`: null where the quote has nothing of the kind, which is not what was asked for either.
  auto one_of = [&](const auto& accepted, const auto* found, Reason reason, const std::string& name) {
    if (accepted.empty() || (found != nullptr && contains(accepted, *found))) return;
    miss(reason, found == nullptr ? "the quote has no " + name + "; accepted: " + joined(accepted)
                                  : name + " " + shown(*found) + " is not accepted (" + joined(accepted) + ")");
  };
  const Quote& quote = *verification.quote;
  const ReportBody* enclave = quote.sgx() ? &quote.report() : nullptr;
  const TdReportBody* td = quote.sgx() ? nullptr : &quote.td_report();
  auto of = [](const auto* report, auto member) { return report == nullptr ? nullptr : &(report->*member); };

  TcbStatus status = *verification.tcb_status;
  if (status == TcbStatus::kRevoked ||
      (!contains(policy.accepted_tcb, status) && !in_grace(verification, policy.tcb_grace_days)))
    miss(verification.reason, "TCB status " + shown(status) + " is not accepted (" + joined(policy.accepted_tcb) +
                                  "): " + verification.detail);
  if (verification.simulated && !policy.allow_simulated)
    miss(Reason::kSimulatedPlatform,
         "the platform is simulated and proves nothing; a policy has to allow that by name (allow_simulated)");
  if (enclave != nullptr && enclave->attributes.debug() && !policy.allow_debug)
    miss(Reason::kDebugEnclave, "the enclave has the DEBUG attribute: its host can read and change its memory");

  one_of(policy.mr_enclave, of(enclave, &ReportBody::mr_enclave), Reason::kMrEnclaveNotAccepted, "MRENCLAVE");
  one_of(policy.mr_signer, of(enclave, &ReportBody::mr_signer), Reason::kMrSignerNotAccepted, "MRSIGNER");
  one_of(policy.isv_prod_id, of(enclave, &ReportBody::isv_prod_id), Reason::kIsvProdIdNotAccepted, "ISVPRODID");
  if (std::uint16_t isv_svn = enclave == nullptr ? 0 : enclave->isv_svn; isv_svn < policy.min_isv_svn)
    miss(Reason::kIsvSvnTooLow, "ISVSVN " + (enclave == nullptr ? "(a TD has none)" : shown(isv_svn)) +
                                    " is less than " + shown(policy.min_isv_svn));
  const auto& said = enclave != nullptr ? enclave->report_data : td->report_data;  // never shown: details reach logs
  if (policy.report_data && !policy.report_data->matches(said))
    miss(Reason::kReportDataNotAccepted, "report data is not as the policy asks for");
  if (report_data != nullptr && !report_data->matches(said))
    miss(Reason::kReportDataNotAccepted, "report data is not what was asked for with this quote");

  if (td != nullptr && td->debug() && !policy.allow_debug)
    miss(Reason::kDebugTd, "the TD has the DEBUG attribute: its host can read and change its memory");
  if (td != nullptr && policy.td_attributes.empty()) {
    constexpr std::uint64_t kUsual = TdReportBody::kKnownAttributes & ~TdReportBody::kMigratable;
    std::string attributes = "TD attributes " + shown(td->td_attributes);
    if ((td->td_attributes & ~kUsual) != 0)
      miss(Reason::kTdAttributesNotAccepted,
           attributes + " have MIGRATABLE or reserved bits set; a policy has to name that very value (td_attributes)");
    if ((td->td_attributes & TdReportBody::kSeptVeDisable) == 0)
      miss(Reason::kTdAttributesNotAccepted, attributes +
                                                 " lack SEPT_VE_DISABLE, so that the host can steer the TD by taking "
                                                 "pages away; a policy has to name that very value (td_attributes)");
  }
  if (td != nullptr && policy.mr_service_td.empty() && td->has_service_td())
    miss(Reason::kServiceTdNotAccepted,
         "service TDs are bound to the TD, and may migrate it; a policy has to name them (mr_service_td)");
  one_of(policy.td_attributes, of(td, &TdReportBody::td_attributes), Reason::kTdAttributesNotAccepted, "TD attributes");
  one_of(policy.mr_service_td, td == nullptr || !td->tdx15 ? nullptr : &td->tdx15->mr_service_td,
         Reason::kServiceTdNotAccepted, "MRSERVICETD");
  one_of(policy.mr_td, of(td, &TdReportBody::mr_td), Reason::kMrTdNotAccepted, "MRTD");
  for (std::size_t i = 0; i < policy.rtmr.size(); ++i)
    one_of(policy.rtmr[i], td == nullptr ? nullptr : &td->rtmr[i], Reason::kRtmrNotAccepted,
           "RTMR" + std::to_string(i));
  one_of(policy.mr_config_id, of(td, &TdReportBody::mr_config_id), Reason::kMrConfigIdNotAccepted, "MRCONFIGID");
  one_of(policy.mr_owner, of(td, &TdReportBody::mr_owner), Reason::kMrOwnerNotAccepted, "MROWNER");
  one_of(policy.mr_owner_config, of(td, &TdReportBody::mr_owner_config), Reason::kMrOwnerConfigNotAccepted,
         "MROWNERCONFIG");
  one_of(policy.xfam, of(td, &TdReportBody::xfam), Reason::kXfamNotAccepted, "XFAM");
  one_of(policy.mr_seam, of(td, &TdReportBody::mr_seam), Reason::kMrSeamNotAccepted, "MRSEAM");

  // verify() sets FMSPC and number of all that it verified; for others zeros stand, which nobody accepts.
  const ByteArray<6> fmspc = verification.fmspc.value_or(ByteArray<6>{});
  one_of(policy.fmspc, &fmspc, Reason::kFmspcNotAccepted, "FMSPC");
  const PlatformIdentity platform = verification.platform.value_or(PlatformIdentity{});
  one_of(policy.ppid, &platform.ppid, Reason::kPpidNotAccepted, "PPID");
  one_of(policy.platform_instance_id, platform.platform_instance_id ? &*platform.platform_instance_id : nullptr,
         Reason::kPlatformInstanceIdNotAccepted, "platform instance ID");
  one_of(policy.sgx_type, &platform.sgx_type, Reason::kSgxTypeNotAccepted, "SGX type");
  auto only_without = [&](bool allowed, const std::optional<bool>& found, const std::string& what) {
    if (allowed || found == false) return;
    miss(Reason::kPlatformConfigurationNotAccepted,
         what + (found ? ", which the policy does not allow"
                       : " is not excluded: the PCK certificate does not say, and the policy does not allow it"));
  };
  only_without(policy.allow_dynamic_platform, platform.dynamic_platform, "the platform is dynamic");
  only_without(policy.allow_cached_keys, platform.cached_keys, "the platform's keys are cached by Intel");
  only_without(policy.allow_smt, platform.smt_enabled, "simultaneous multithreading is on");

  auto day = [](Time time) { return format_time(time).substr(0, 10); };
  if (policy.min_tcb_date)
    for (const auto& tcb : {verification.tcb, verification.current_tcb})
      if (tcb && tcb->date() < *policy.min_tcb_date)
        miss(Reason::kTcbDateTooOld,
             "TCB date " + day(tcb->date()) + " is before " + format_time(*policy.min_tcb_date));
  if (policy.max_collateral_age_days) {
    const Time issued = verification.earliest_issue.value_or(Time{});
    if (verification.at - issued > std::chrono::days(*policy.max_collateral_age_days))
      miss(Reason::kCollateralTooOld, "the oldest part of the collateral was issued " + format_time(issued) +
                                          ", more than " + shown(*policy.max_collateral_age_days) + " days before " +
                                          format_time(verification.at));
  }
  std::vector<std::string> rejected;
  for (const std::string& id : verification.advisory_ids)
    if (contains(policy.rejected_advisories, id)) rejected.push_back(id);
  if (!rejected.empty()) miss(Reason::kAdvisoryNotAccepted, "advisories " + joined(rejected) + " are rejected");
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
