// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>

#include "attestation/hex64.h"
#include "base/hex.h"
#include "enclayer/policy.h"

namespace enclayer {

namespace {

using Json = nlohmann::ordered_json;

Json part_json(const TcbPart& part) {
  return {{"tcb_status", to_string(part.status)},
          {"tcb_date", format_time(part.date)},
          {"advisory_ids", part.advisory_ids}};
}

Json tcb_json(const TcbEvaluation& tcb) {
  Json out = {{"tcb_status", to_string(tcb.status)},
              {"tcb_date", format_time(tcb.date())},
              {"advisory_ids", tcb.advisory_ids()},
              {"platform", part_json(tcb.platform)}};
  if (tcb.tdx_module) out["tdx_module"] = part_json(*tcb.tdx_module);
  out["qe"] = part_json(tcb.qe);
  return out;
}

void add_enclave(const ReportBody& report, Json& out) {
  out["mr_enclave"] = base::to_hex(report.mr_enclave);
  out["mr_signer"] = base::to_hex(report.mr_signer);
  out["isv_prod_id"] = report.isv_prod_id;
  out["isv_svn"] = report.isv_svn;
  out["debug"] = report.attributes.debug();
  out["report_data"] = base::to_hex(report.report_data);
}

void add_td(const TdReportBody& td, Json& out) {
  out["mr_td"] = base::to_hex(td.mr_td);
  for (std::size_t i = 0; i < td.rtmr.size(); ++i) out["rtmr" + std::to_string(i)] = base::to_hex(td.rtmr[i]);
  out["mr_config_id"] = base::to_hex(td.mr_config_id);
  out["mr_owner"] = base::to_hex(td.mr_owner);
  out["mr_owner_config"] = base::to_hex(td.mr_owner_config);
  out["td_attributes"] = attestation::hex64(td.td_attributes);
  out["xfam"] = attestation::hex64(td.xfam);
  if (td.tdx15) out["mr_service_td"] = base::to_hex(td.tdx15->mr_service_td);
  out["mr_seam"] = base::to_hex(td.mr_seam);
  out["tee_tcb_svn"] = base::to_hex(td.tee_tcb_svn);
  if (td.tdx15) out["tee_tcb_svn2"] = base::to_hex(td.tdx15->tee_tcb_svn2);
  out["debug"] = td.debug();
  out["report_data"] = base::to_hex(td.report_data);
}

Json platform_json(const PlatformIdentity& platform) {
  Json out = {{"fmspc", base::to_hex(platform.fmspc)},
              {"pce_id", base::to_hex(platform.pce_id)},
              {"ppid", base::to_hex(platform.ppid)},
              {"sgx_type", to_string(platform.sgx_type)}};
  if (platform.platform_instance_id) out["platform_instance_id"] = base::to_hex(*platform.platform_instance_id);
  auto add = [&](const char* name, const std::optional<bool>& known) {
    if (known) out[name] = *known;
  };
  add("dynamic_platform", platform.dynamic_platform);
  add("cached_keys", platform.cached_keys);
  add("smt_enabled", platform.smt_enabled);
  return out;
}

Json shortfalls_json(const std::vector<Shortfall>& shortfalls) {
  Json out = Json::array();
  for (const Shortfall& one : shortfalls)
    out.push_back({{"part", one.part}, {"has", one.has}, {"needs", one.needs}, {"since", format_time(one.since)}});
  return out;
}

}  // namespace

std::string verdict_json(const Verification& v, const Verdict& verdict, Time at) {
  auto or_null = [](const auto& value, auto&& text) -> Json {
    if (!value) return nullptr;
    return text(*value);
  };
  Json out;
  out["version"] = 1;
  out["verdict"] = verdict.trusted ? "trusted" : "untrusted";
  out["reason"] = to_string(verdict.reason);
  out["detail"] = v.detail;
  out["tcb_status"] = or_null(v.tcb_status, [](TcbStatus status) { return to_string(status); });
  out["advisory_ids"] = v.advisory_ids;
  out["root"] = v.custom_root ? "custom" : "intel";
  out["simulated"] = v.simulated;
  out["misses"] = Json::array();
  for (const Miss& miss : verdict.misses)
    out["misses"].push_back({{"reason", to_string(miss.reason)}, {"detail", miss.detail}});
  out["at"] = format_time(at);
  out["expires"] = or_null(v.earliest_expiry, format_time);
  out["tcb_date"] = or_null(v.tcb_date, format_time);
  out["tcb_evaluation_data_number"] = or_null(v.tcb_evaluation_number, [](std::uint32_t n) { return n; });
  out["fmspc"] = or_null(v.fmspc, [](const ByteArray<6>& fmspc) { return base::to_hex(fmspc); });
  out["collateral_issued"] = or_null(v.earliest_issue, format_time);
  if (v.platform) out["platform"] = platform_json(*v.platform);
  if (v.verified()) {
    out["shortfalls"] = shortfalls_json(v.shortfalls);
    out["lacking_since"] = or_null(v.lacking_since, format_time);
  }
  if (v.tcb) out["tcb"] = tcb_json(*v.tcb);
  if (v.current_tcb) out["current_tcb"] = tcb_json(*v.current_tcb);
  if (v.verified()) {  // an unverified enclave's name is not worth repeating: `inspect` shows it
    out["tee"] = v.quote->sgx() ? "SGX" : "TDX";
    v.quote->sgx() ? add_enclave(v.quote->report(), out) : add_td(v.quote->td_report(), out);
  }
  if (v.attested_key) {
    const AttestedKey& key = *v.attested_key;
    out["attested_key"] = {{"sha256", base::to_hex(key.sha256)},
                           {"evidence", key.evidence},
                           {"certificate_valid_until", format_time(key.valid_until)}};
    if (key.nonce) out["attested_key"]["nonce"] = base::to_hex(*key.nonce);
  }
  // Details may hold text from outside that is not UTF-8.
  return out.dump(2, ' ', false, Json::error_handler_t::replace);
}

}  // namespace enclayer
