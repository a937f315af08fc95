// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>

#include "base/hex.h"
#include "enclayer/policy.h"

namespace enclayer {

std::string verdict_json(const Verification& v, const Verdict& verdict, Time at) {
  using Json = nlohmann::ordered_json;
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
  if (v.verified()) {  // an unverified enclave's name is not worth repeating: `inspect` shows it
    const ReportBody& report = v.quote->report();
    out["mr_enclave"] = base::to_hex(report.mr_enclave);
    out["mr_signer"] = base::to_hex(report.mr_signer);
    out["isv_prod_id"] = report.isv_prod_id;
    out["isv_svn"] = report.isv_svn;
    out["debug"] = report.attributes.debug();
    out["report_data"] = base::to_hex(report.report_data);
  }
  // Details may hold text from outside that is not UTF-8.
  return out.dump(2, ' ', false, Json::error_handler_t::replace);
}

}  // namespace enclayer
