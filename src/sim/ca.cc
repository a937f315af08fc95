// SPDX-License-Identifier: Apache-2.0
#include "sim/ca.h"

#include <nlohmann/json.hpp>

#include "attestation/p256.h"
#include "base/bytes.h"
#include "base/digest.h"
#include "base/hex.h"
#include "sgx/report.h"
#include "sim/ereport.h"

namespace enclayer::sim {
namespace {

using base::sha256;

using Json = nlohmann::ordered_json;  // the order of the keys is part of what is signed

constexpr std::chrono::years kCertificateLife{20};
constexpr char kCaUsage[] = "critical,keyCertSign,cRLSign";
constexpr char kSignerUsage[] = "critical,digitalSignature,nonRepudiation";
constexpr char kNotCa[] = "critical,CA:FALSE";
// Nobody can fetch these: .invalid is reserved for that. The lists come with the collateral.
constexpr char kRootCrlUrl[] = "https://simulation.invalid/sgx/root-ca.crl";
constexpr char kPckCrlUrl[] = "https://simulation.invalid/sgx/pck-platform-ca.crl";
constexpr std::uint64_t kXfrmLegacy = 3;

ByteArray<16> same_svn() {
  ByteArray<16> out{};
  out.fill(kSvn);
  return out;
}

Json components_json(const ByteArray<16>& svns) {
  Json out = Json::array();
  for (std::uint8_t svn : svns) out.push_back({{"svn", svn}});
  return out;
}

Json isv_levels(const std::vector<QeLevel>& levels) {
  Json out = Json::array();
  for (const QeLevel& level : levels) {
    Json entry = {
        {"tcb", {{"isvsvn", level.isv_svn}}}, {"tcbDate", format_time(level.date)}, {"tcbStatus", level.status}};
    if (!level.advisory_ids.empty()) entry["advisoryIDs"] = level.advisory_ids;
    out.push_back(entry);
  }
  return out;
}

Json tdx_module(const TdxModuleOrder& order) {
  ByteArray<8> attributes{}, mask{};
  base::store_le64(attributes.data(), order.attributes);
  base::store_le64(mask.data(), order.attributes_mask);
  return {{"mrsigner", base::to_hex(order.mr_signer)},
          {"attributes", base::to_hex(attributes)},
          {"attributesMask", base::to_hex(mask)}};
}

Json tcb_info(const CollateralOrder& order) {
  Json levels = Json::array();
  for (const TcbLevel& level : order.tcb_levels) {
    Json tcb = {{"sgxtcbcomponents", components_json(level.components)}, {"pcesvn", level.pce_svn}};
    if (order.tdx) tcb["tdxtcbcomponents"] = components_json(level.tdx_components);
    Json entry = {{"tcb", tcb}, {"tcbDate", format_time(level.date)}, {"tcbStatus", level.status}};
    if (!level.advisory_ids.empty()) entry["advisoryIDs"] = level.advisory_ids;
    levels.push_back(entry);
  }
  Json out = {{"id", order.tdx ? "TDX" : "SGX"},
              {"version", 3},
              {"issueDate", format_time(order.issued)},
              {"nextUpdate", format_time(order.expires)},
              {"fmspc", order.fmspc},
              {"pceId", order.pce_id},
              {"tcbType", 0},
              {"tcbEvaluationDataNumber", order.tcb_evaluation_data_number}};
  if (order.tdx) {
    out["tdxModule"] = tdx_module(order.tdx->module);
    if (order.tdx->identities) {
      out["tdxModuleIdentities"] = Json::array();
      for (const TdxModuleOrder& module : *order.tdx->identities) {
        Json identity = {{"id", module.id}};
        identity.update(tdx_module(module));
        identity["tcbLevels"] = isv_levels(module.levels);
        out["tdxModuleIdentities"].push_back(identity);
      }
    }
  }
  out["tcbLevels"] = levels;
  return out;
}

Json qe_identity(const CollateralOrder& order) {
  // MODE64 may differ and XFRM may be anything; INIT and PROVISION_KEY may not. Intel's mask.
  constexpr std::uint64_t kFlagsMask = ~Attributes::kMode64;
  ByteArray<16> attributes{}, mask{};
  base::store_le64(attributes.data(), order.qe.attributes.flags & kFlagsMask);
  base::store_le64(mask.data(), kFlagsMask);
  ByteArray<4> misc_select{};
  base::store_le32(misc_select.data(), order.qe.misc_select);

  return {{"id", order.tdx ? "TD_QE" : "QE"},
          {"version", 2},
          {"issueDate", format_time(order.issued)},
          {"nextUpdate", format_time(order.expires)},
          {"tcbEvaluationDataNumber", order.tcb_evaluation_data_number},
          {"miscselect", base::to_hex(misc_select)},
          {"miscselectMask", "ffffffff"},
          {"attributes", base::to_hex(attributes)},
          {"attributesMask", base::to_hex(mask)},
          {"mrsigner", base::to_hex(order.qe.mr_signer)},
          {"isvprodid", order.qe.isv_prod_id},
          {"tcbLevels", isv_levels(order.qe_levels)}};
}

Result<Identity> certified(const CertificateOrder& order, const Identity* issuer) {
  ENCLAYER_TRY(SigningKey key, SigningKey::generate());
  ENCLAYER_TRY(std::string certificate, issue_certificate(order, key, issuer));
  return Identity{std::move(key), std::move(certificate)};
}

Result<Bytes> signature(const SigningKey& key, const std::string& text) {
  ENCLAYER_TRY(auto raw, key.sign(base::as_bytes(text)));
  return Bytes(raw.begin(), raw.end());
}

}  // namespace

CaOrder ca_order(Time now) {
  CertificateOrder common;
  common.not_before = now - kClockSkew;
  common.not_after = common.not_before + std::chrono::floor<std::chrono::seconds>(kCertificateLife);
  common.crl_url = kRootCrlUrl;
  auto named = [&](const char* name, const char* usage, const char* constraints) {
    CertificateOrder order = common;
    order.common_name = name;
    order.serial = random_serial();
    order.key_usage = usage;
    order.basic_constraints = constraints;
    return order;
  };
  CaOrder order{named("SIMULATED SGX Root CA", kCaUsage, "critical,CA:TRUE,pathlen:1"),
                named("SIMULATED SGX PCK Platform CA", kCaUsage, "critical,CA:TRUE,pathlen:0"),
                named("SIMULATED SGX TCB Signing", kSignerUsage, kNotCa),
                named("SIMULATED SGX PCK Certificate", kSignerUsage, kNotCa)};
  order.pck.crl_url = kPckCrlUrl;

  SgxExtension& sgx = order.pck.sgx.emplace();
  ByteArray<32> machine = sha256(order.pck.serial);  // differs between simulated machines
  sgx.ppid = base::array_at<16>(machine, 0);
  sgx.platform.emplace().instance_id = base::array_at<16>(machine, 16);
  sgx.components = same_svn();
  sgx.pce_svn = kSvn;
  // Byte for byte, as in all of Intel's certificates that we have seen: there are verifiers that compare these with a
  // TCB level.
  sgx.cpu_svn = sgx.components;
  sgx.fmspc = kFmspc;
  return order;
}

Result<Ca> make_ca(const CaOrder& order) {
  ENCLAYER_TRY(Identity root, certified(order.root, nullptr));
  ENCLAYER_TRY(Identity pck_ca, certified(order.pck_ca, &root));
  ENCLAYER_TRY(Identity tcb_signing, certified(order.tcb_signing, &root));
  ENCLAYER_TRY(Identity pck, certified(order.pck, &pck_ca));
  return Ca{std::move(root), std::move(pck_ca), std::move(tcb_signing), std::move(pck)};
}

CollateralOrder collateral_order(Time now) {
  CollateralOrder order;
  order.issued = now - kClockSkew;
  order.expires = order.issued + kCollateralLife;
  order.fmspc = base::to_hex(kFmspc);
  order.tcb_levels = {{same_svn(), kSvn, "UpToDate", order.issued, {}}};
  order.qe = qe_body();
  order.qe_levels = {{kSvn, "UpToDate", order.issued, {}}};
  // CRL numbers have to grow; the time does.
  order.root_crl = {order.issued, order.expires, static_cast<std::uint64_t>(now.time_since_epoch().count()), {}};
  order.pck_crl = order.root_crl;
  return order;
}

Result<Collateral> issue_collateral(const Ca& ca, const CollateralOrder& order) {
  Collateral out;
  out.pck_crl_issuer_chain = ca.pck_ca.certificate + ca.root.certificate;
  out.tcb_info_issuer_chain = ca.tcb_signing.certificate + ca.root.certificate;
  out.qe_identity_issuer_chain = out.tcb_info_issuer_chain;
  ENCLAYER_TRY(out.root_ca_crl, issue_crl(order.root_crl, ca.root));
  ENCLAYER_TRY(out.pck_crl, issue_crl(order.pck_crl, ca.pck_ca));
  out.tcb_info = tcb_info(order).dump();
  out.qe_identity = qe_identity(order).dump();
  ENCLAYER_CHECK(sign_collateral(ca, out));
  return out;
}

Result<> sign_collateral(const Ca& ca, Collateral& collateral) {
  ENCLAYER_TRY(collateral.tcb_info_signature, signature(ca.tcb_signing.key, collateral.tcb_info));
  ENCLAYER_TRY(collateral.qe_identity_signature, signature(ca.tcb_signing.key, collateral.qe_identity));
  return {};
}

ReportBody qe_body() {
  ReportBody qe;
  qe.cpu_svn = cpu_svns()[0];
  qe.attributes = {Attributes::kInit | Attributes::kMode64 | Attributes::kProvisionKey, kXfrmLegacy};
  qe.mr_enclave = sha256(base::as_bytes("enclayer: SIMULATED Quoting Enclave, it protects nothing"));
  qe.mr_signer = sha256(base::as_bytes("enclayer: SIMULATED signer of the Quoting Enclave, it vouches for nothing"));
  qe.isv_prod_id = 1;
  qe.isv_svn = kSvn;
  return qe;
}

}  // namespace enclayer::sim
