// SPDX-License-Identifier: Apache-2.0
#include "attest/collateral_door.h"

#include "base/bytes.h"
#include "base/hex.h"

namespace enclayer::attest {
namespace {

using collateral::Tee;

constexpr std::string_view kSgx = "/sgx/certification/v4/", kTdx = "/tdx/certification/v4/";

// As a header's value (PCS API v4): everything but unreserved characters as %XX.
std::string percent_encoded(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
                       c == '_' || c == '.' || c == '~';
    if (plain) {
      out += c;
    } else {
      const auto byte = static_cast<std::uint8_t>(c);
      out += "%" + base::to_hex(ByteView(&byte, 1));
    }
  }
  return out;
}

http::Answer text(int status, std::string what) { return {status, "text/plain; charset=utf-8", what + "\n"}; }

http::Answer signed_json(const char* key, const std::string& json, const Bytes& signature, const char* header,
                         const std::string& chain) {
  return {200,
          "application/json",
          std::string("{\"") + key + "\":" + json + ",\"signature\":\"" + base::to_hex(signature) + "\"}",
          {{header, percent_encoded(chain)}}};
}

}  // namespace

std::optional<http::Answer> collateral_answer(PlatformCollateral& collateral, const std::string& path,
                                              const http::Incoming& request) {
  const bool tdx = path.starts_with(kTdx);
  if (!tdx && !path.starts_with(kSgx)) return std::nullopt;
  const std::string what = path.substr(kSgx.size());
  if (request.method != "GET") return text(405, "only GET is served here");
  if (const std::string update = request.parameter("update"); !update.empty() && update != "standard")
    return text(400, "update=standard alone is served: this service has one edition of everything");
  if (!request.parameter("tcbEvaluationDataNumber").empty())
    return text(400, "tcbEvaluationDataNumber is not supported: this service has one edition of everything");

  std::optional<ByteArray<6>> fmspc;
  std::optional<collateral::PckCa> ca;
  if (what == "tcb") {
    auto given = collateral::fmspc_from(request.parameter("fmspc"));
    if (!given) return text(400, given.error().message());
    fmspc = *given;
  } else if (what == "pckcrl" && !tdx) {
    auto given = collateral::pck_ca_from(request.parameter("ca"));
    if (!given) return text(400, given.error().message());
    ca = *given;
  } else if (what != "qe/identity" && !(what == "rootcacrl" && !tdx)) {
    return text(404, "served here: tcb, qe/identity, and of SGX pckcrl and rootcacrl");
  }
  auto found = collateral.for_platforms(fmspc, ca, tdx ? Tee::kTdx : Tee::kSgx);
  if (!found && !tdx && what != "tcb" && what != "qe/identity")  // the lists are the same for both
    found = collateral.for_platforms(fmspc, ca, Tee::kTdx);
  if (!found) {
    const bool later = found.error().kind() == ErrorKind::kUnavailable;
    http::Answer out = text(later ? 503 : 404, found.error().message());
    if (later) out.headers.emplace_back("Retry-After", "5");
    return out;
  }
  const Collateral& parts = **found;
  if (what == "tcb")
    return signed_json("tcbInfo", parts.tcb_info, parts.tcb_info_signature, "TCB-Info-Issuer-Chain",
                       parts.tcb_info_issuer_chain);
  if (what == "qe/identity")
    return signed_json("enclaveIdentity", parts.qe_identity, parts.qe_identity_signature,
                       "SGX-Enclave-Identity-Issuer-Chain", parts.qe_identity_issuer_chain);
  const Bytes& crl = what == "pckcrl" ? parts.pck_crl : parts.root_ca_crl;
  const bool der = what == "pckcrl" && request.parameter("encoding") == "der";
  http::Answer out{200, der ? "application/pkix-crl" : "text/plain",
                   der ? std::string(base::as_text(crl)) : base::to_hex(crl)};
  if (what == "pckcrl")
    out.headers.emplace_back("SGX-PCK-CRL-Issuer-Chain", percent_encoded(parts.pck_crl_issuer_chain));
  return out;
}

}  // namespace enclayer::attest
