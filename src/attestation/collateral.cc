// SPDX-License-Identifier: Apache-2.0
#include "enclayer/collateral.h"

#include <nlohmann/json.hpp>

#include "base/hex.h"

namespace enclayer {
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
  if (!c.pck_certificate_chain.empty()) json["pck_certificate_chain"] = c.pck_certificate_chain;
  return json.dump(1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace enclayer
