// SPDX-License-Identifier: Apache-2.0
#include "enclayer/collateral.h"

#include <nlohmann/json.hpp>

#include "attestation/pem.h"
#include "base/hex.h"
#include "base/json.h"

namespace enclayer {
namespace {

Result<Bytes> hex_text(const base::JsonValue& object, std::string_view key) {
  ENCLAYER_TRY(std::string text, object.text(key));
  auto bytes = base::from_hex(text);
  if (!bytes) return bytes.error().with_context("\"" + std::string(key) + "\"");
  return bytes;
}

// In hexadecimal digits or, as collateral of version 1.0 has it, in PEM.
Result<Bytes> crl_text(const base::JsonValue& object, std::string_view key) {
  ENCLAYER_TRY(std::string text, object.text(key));
  if (!attestation::looks_like_pem_crl(text)) return hex_text(object, key);
  auto der = attestation::crl_in_pem(text);
  if (!der) return der.error().with_context("\"" + std::string(key) + "\"");
  return der;
}

Result<Collateral> parse(std::string_view json) {
  ENCLAYER_TRY(auto document, base::JsonDocument::parse(json));
  base::JsonValue root = document.root();
  Collateral out;
  ENCLAYER_TRY(out.pck_crl_issuer_chain, root.text("pck_crl_issuer_chain"));
  ENCLAYER_TRY(out.root_ca_crl, crl_text(root, "root_ca_crl"));
  ENCLAYER_TRY(out.pck_crl, crl_text(root, "pck_crl"));
  ENCLAYER_TRY(out.tcb_info_issuer_chain, root.text("tcb_info_issuer_chain"));
  ENCLAYER_TRY(out.tcb_info, root.text("tcb_info"));
  ENCLAYER_TRY(out.tcb_info_signature, hex_text(root, "tcb_info_signature"));
  ENCLAYER_TRY(out.qe_identity_issuer_chain, root.text("qe_identity_issuer_chain"));
  ENCLAYER_TRY(out.qe_identity, root.text("qe_identity"));
  ENCLAYER_TRY(out.qe_identity_signature, hex_text(root, "qe_identity_signature"));
  return out;
}

}  // namespace

static_assert(Collateral::kMaxJsonSize <= base::JsonDocument::kMaxSize);

Result<Collateral> parse_collateral_json(std::string_view json) {
  auto parsed = parse(json);
  if (!parsed) return parsed.error().with_context("collateral");
  return parsed;
}

std::string to_json(const Collateral& c) {
  nlohmann::ordered_json json = {{"pck_crl_issuer_chain", c.pck_crl_issuer_chain},
                                 {"root_ca_crl", base::to_hex(c.root_ca_crl)},
                                 {"pck_crl", base::to_hex(c.pck_crl)},
                                 {"tcb_info_issuer_chain", c.tcb_info_issuer_chain},
                                 {"tcb_info", c.tcb_info},
                                 {"tcb_info_signature", base::to_hex(c.tcb_info_signature)},
                                 {"qe_identity_issuer_chain", c.qe_identity_issuer_chain},
                                 {"qe_identity", c.qe_identity},
                                 {"qe_identity_signature", base::to_hex(c.qe_identity_signature)}};
  return json.dump(1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace enclayer
