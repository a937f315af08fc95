// SPDX-License-Identifier: Apache-2.0
#include "attest/evidence_claims.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/bytes.h"
#include "base/hex.h"

namespace enclayer::attest {
namespace {

class Claims {
 public:
  void add(std::string type, bool value) { put(std::move(type), value); }
  void add(std::string type, std::int64_t value) { put(std::move(type), value); }
  void add(std::string type, std::string value) { put(std::move(type), std::move(value)); }
  void add(std::string type, std::string_view value) { put(std::move(type), std::string(value)); }
  void add(std::string type, ByteView bytes) { put(std::move(type), base::to_hex(bytes)); }
  void add(std::string type, Time time) { add(std::move(type), std::int64_t{time.time_since_epoch().count()}); }
  template <class T>
  void add(std::string type, const std::optional<T>& value) {
    if (value) add(std::move(type), *value);
  }
  std::vector<Claim> claims;

 private:
  void put(std::string type, ClaimValue value) { claims.push_back({std::move(type), std::move(value)}); }
};

// Claim sets of SGX; those of key separation and sharing (KSS) only where the enclave has them.
void add_enclave(const ReportBody& report, Claims& out) {
  constexpr std::uint64_t kKss = 0x80;
  out.add("x-ms-attestation-type", std::string_view("sgx"));
  out.add("x-ms-sgx-is-debuggable", report.attributes.debug());
  out.add("x-ms-sgx-mrenclave", ByteView(report.mr_enclave));
  out.add("x-ms-sgx-mrsigner", ByteView(report.mr_signer));
  out.add("x-ms-sgx-product-id", std::int64_t{report.isv_prod_id});
  out.add("x-ms-sgx-svn", std::int64_t{report.isv_svn});
  out.add("x-ms-sgx-report-data", ByteView(report.report_data));
  if ((report.attributes.flags & kKss) == 0) return;
  out.add("x-ms-sgx-config-id", ByteView(report.config_id));
  out.add("x-ms-sgx-config-svn", std::int64_t{report.config_svn});
  out.add("x-ms-sgx-isv-extended-product-id", ByteView(report.isv_ext_prod_id));
  out.add("x-ms-sgx-isv-family-id", ByteView(report.isv_family_id));
}

// The EAT profile of TDX has sets of bits as the bytes that stand in the report, the lowest first.
ByteArray<8> as_reported(std::uint64_t bits) {
  ByteArray<8> out{};
  base::store_le64(out.data(), bits);
  return out;
}

void add_td(const TdReportBody& td, Claims& out) {
  auto attribute = [&](std::uint64_t bit) { return (td.td_attributes & bit) != 0; };
  out.add("x-ms-attestation-type", std::string_view("tdxvm"));
  out.add("tdx_mrtd", ByteView(td.mr_td));
  for (std::size_t i = 0; i < td.rtmr.size(); ++i) out.add("tdx_rtmr" + std::to_string(i), ByteView(td.rtmr[i]));
  out.add("tdx_mrconfigid", ByteView(td.mr_config_id));
  out.add("tdx_mrowner", ByteView(td.mr_owner));
  out.add("tdx_mrownerconfig", ByteView(td.mr_owner_config));
  out.add("tdx_mrseam", ByteView(td.mr_seam));
  out.add("tdx_mrsignerseam", ByteView(td.mr_signer_seam));
  out.add("tdx_seam_attributes", ByteView(as_reported(td.seam_attributes)));
  out.add("tdx_seamsvn", std::int64_t{base::load_le16(td.tee_tcb_svn.data())});
  out.add("tdx_tee_tcb_svn", ByteView(td.tee_tcb_svn));
  out.add("tdx_xfam", ByteView(as_reported(td.xfam)));
  out.add("tdx_report_data", ByteView(td.report_data));
  out.add("tdx_td_attributes", ByteView(as_reported(td.td_attributes)));
  out.add("tdx_td_attributes_debug", td.debug());
  out.add("tdx_td_attributes_key_locker", attribute(TdReportBody::kKl));
  out.add("tdx_td_attributes_perfmon", attribute(TdReportBody::kPerfmon));
  out.add("tdx_td_attributes_protection_keys", attribute(TdReportBody::kPks));
  out.add("tdx_td_attributes_septve_disable", attribute(TdReportBody::kSeptVeDisable));

  // As judge() takes them where a policy names no attributes (policy.h).
  constexpr std::uint64_t kUsual = TdReportBody::kKnownAttributes & ~TdReportBody::kMigratable;
  out.add("x-enclayer-tdx-usual-attributes",
          attribute(TdReportBody::kSeptVeDisable) && (td.td_attributes & ~kUsual) == 0);
  out.add("x-enclayer-tdx-service-td", td.has_service_td());
  if (td.tdx15) out.add("x-enclayer-tdx-mrservicetd", ByteView(td.tdx15->mr_service_td));
}

void add_platform(const Verification& found, Claims& out) {
  out.add("attester_tcb_status", to_string(*found.tcb_status));
  out.add("x-enclayer-simulated", found.simulated);
  for (const std::string& id : found.advisory_ids) out.add("x-enclayer-advisory", id);
  if (found.tcb)
    out.add("x-enclayer-tcb-date",
            found.current_tcb ? std::min(found.tcb->date(), found.current_tcb->date()) : found.tcb->date());
  if (found.tcb_evaluation_number)
    out.add("x-enclayer-tcb-evaluation-data-number", std::int64_t{*found.tcb_evaluation_number});
  if (found.lacking_since)
    out.add("x-enclayer-lacking-seconds", std::int64_t{(found.at - *found.lacking_since).count()});
  if (found.earliest_issue)
    out.add("x-enclayer-collateral-age", std::int64_t{(found.at - *found.earliest_issue).count()});
  if (found.fmspc) out.add("x-enclayer-fmspc", ByteView(*found.fmspc));
  if (!found.platform) return;
  out.add("x-enclayer-sgx-type", to_string(found.platform->sgx_type));
  out.add("x-enclayer-dynamic-platform", found.platform->dynamic_platform);
  out.add("x-enclayer-cached-keys", found.platform->cached_keys);
  out.add("x-enclayer-smt-enabled", found.platform->smt_enabled);
}

}  // namespace

std::vector<Claim> claims_of(const Verification& verification) {
  if (!verification.verified() || !verification.quote) return {};
  Claims out;
  const Quote& quote = *verification.quote;
  quote.sgx() ? add_enclave(quote.report(), out) : add_td(quote.td_report(), out);
  add_platform(verification, out);
  return std::move(out.claims);
}

Evaluation appraise(const Verification& verification, const PolicyText& policy) {
  if (!verification.verified())
    return {.refusal = std::string(to_string(verification.reason)) + ": " + verification.detail};
  if (verification.tcb_status == TcbStatus::kRevoked)
    return {.refusal = "the platform's TCB level is Revoked, which no policy can permit"};
  return policy.evaluate(claims_of(verification));
}

}  // namespace enclayer::attest
