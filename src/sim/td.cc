// SPDX-License-Identifier: Apache-2.0
#include "sim/td.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/digest.h"

namespace enclayer::sim {
namespace {

constexpr std::uint64_t kXfam = 0x602e7;  // what the TDs have whose quotes are public

ByteArray<48> measurement(std::string_view sentence) {
  ByteArray<48> out{};
  std::ranges::copy(base::sha256(base::as_bytes(sentence)), out.begin());
  return out;
}

// TEE_TCB_SVN of the module and of what it runs on; the other thirteen are zero, as in real ones.
ByteArray<16> tee_tcb_svn(std::uint8_t minor, std::uint8_t major) { return {minor, major, kSvn}; }

}  // namespace

TdReportBody td_body(const ByteArray<64>& report_data) {
  TdReportBody td;
  td.tee_tcb_svn = tee_tcb_svn(kModuleMinor, kModuleMajor);
  td.mr_seam = measurement("enclayer: SIMULATED TDX module, it protects nothing");
  td.td_attributes = TdReportBody::kSeptVeDisable;
  td.xfam = kXfam;
  td.mr_td = measurement("enclayer: SIMULATED trust domain, it protects nothing");
  for (std::size_t i = 0; i < td.rtmr.size(); ++i)
    td.rtmr[i] = measurement("enclayer: SIMULATED run-time measurement " + std::to_string(i));
  td.report_data = report_data;
  return td;
}

ReportBody td_qe_body() {
  ReportBody qe = qe_body();
  qe.mr_enclave = base::sha256(base::as_bytes("enclayer: SIMULATED Quoting Enclave for TDs, it protects nothing"));
  qe.isv_prod_id = 2;
  return qe;
}

void for_tds(CollateralOrder& order) {
  for (TcbLevel& level : order.tcb_levels) level.tdx_components = tee_tcb_svn(kModuleMinor, 0);
  order.qe = td_qe_body();
  order.tdx.emplace().identities = {
      {"TDX_03", {}, 0, ~std::uint64_t{0}, {{3, "UpToDate", order.issued, {}}}},
      {"TDX_01", {}, 0, ~std::uint64_t{0}, {{kModuleMinor, "UpToDate", order.issued, {}}}}};
}

}  // namespace enclayer::sim
