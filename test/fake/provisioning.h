// SPDX-License-Identifier: Apache-2.0
// A provisioning service as fake::HttpService serves it, from collateral or from recorded responses.
#pragma once

#include <sstream>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/hex.h"
#include "collateral/responses.h"
#include "fake/http_service.h"

namespace enclayer::fake {

inline std::string percent_encoded(std::string_view text) {
  std::string out;
  for (char c : text) {
    bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
    auto byte = static_cast<std::uint8_t>(c);
    out += plain ? std::string(1, c) : "%" + base::to_hex({&byte, 1});
  }
  return out;
}

// What Intel's service, version 4, would have answered to give this collateral.
inline collateral::Responses intels_responses(const Collateral& c) {
  auto bytes = [](const std::string& text) { return Bytes(text.begin(), text.end()); };
  auto header = [](const char* name, const std::string& chain) {
    return std::string(name) + ": " + percent_encoded(chain) + "\r\n";
  };
  collateral::Responses out;
  out.pck_crl = {header("SGX-PCK-CRL-Issuer-Chain", c.pck_crl_issuer_chain), c.pck_crl};
  out.root_ca_crl = {"", c.root_ca_crl};
  out.tcb_info = {
      header("TCB-Info-Issuer-Chain", c.tcb_info_issuer_chain),
      bytes("{\"tcbInfo\":" + c.tcb_info + ",\"signature\":\"" + base::to_hex(c.tcb_info_signature) + "\"}")};
  out.qe_identity = {header("SGX-Enclave-Identity-Issuer-Chain", c.qe_identity_issuer_chain),
                     bytes("{\"enclaveIdentity\":" + c.qe_identity + ",\"signature\":\"" +
                           base::to_hex(c.qe_identity_signature) + "\"}")};
  return out;
}

enum class ServiceKind {
  kPccs,  // has rootcacrl, in hexadecimal digits
  kPcs,   // has none
};

// Recorded headers may have the status line before them and the empty line after them.
inline HttpAnswer answer_of(const collateral::Response& response) {
  std::istringstream lines(response.headers);
  std::string headers;
  for (std::string line; std::getline(lines, line);)
    if (line.find(": ") != std::string::npos) headers += line + "\n";
  return http_answer(200, std::string(base::as_text(response.body)), headers);
}

// Answers for one platform; for any other FMSPC with 404. Collateral for TDX is where services have it, below /tdx/.
inline HttpService::Handler provisioning_service(collateral::Responses responses, std::string fmspc,
                                                 ServiceKind kind = ServiceKind::kPccs) {
  const bool tdx = base::as_text(responses.tcb_info.body).find(R"("id":"TDX")") != std::string_view::npos;
  const std::string tee = tdx ? "tdx" : "sgx";
  return [responses = std::move(responses), fmspc = std::move(fmspc), kind, tee](const std::string& target) {
    auto asks = [&](const std::string& what, const std::string& of = "sgx") {
      return target.starts_with("/" + of + "/certification/v4/" + what);
    };
    if (asks("pckcrl?ca=")) return answer_of(responses.pck_crl);
    if (asks("tcb?fmspc=" + fmspc, tee)) return answer_of(responses.tcb_info);
    if (asks("qe/identity", tee)) return answer_of(responses.qe_identity);
    if (asks("rootcacrl") && kind == ServiceKind::kPccs)
      return http_answer(200, base::to_hex(responses.root_ca_crl.body));
    return http_answer(404, "No cache data for this platform.");
  };
}

}  // namespace enclayer::fake
