// SPDX-License-Identifier: Apache-2.0
// ResourceClaims for EPC of node n1, as the scheduler leaves them: number 7 is "c7" in namespace "bank".
#pragma once

#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>

#include "fake/dra_kubelet.h"

namespace enclayer::fake {

inline std::string claim_uid(unsigned claim) {
  char text[37];
  std::snprintf(text, sizeof text, "%08x-0000-4000-8000-000000000000", claim);
  return text;
}

inline std::string claim_share(unsigned claim) { return claim_uid(1'000'000 + claim); }

inline DraKubelet::Claim claim_name(unsigned claim) { return {"bank", "c" + std::to_string(claim), claim_uid(claim)}; }

// Reserved for pod "p7". `config`: one entry of status.allocation.devices.config, or null.
inline nlohmann::json allocated_claim(unsigned claim, unsigned mib, const nlohmann::json& config = nullptr) {
  using Json = nlohmann::json;
  Json devices = {{"results",
                   {{{"request", "epc"},
                     {"driver", "sgx.enclayer.io"},
                     {"pool", "n1"},
                     {"device", "epc"},
                     {"shareID", claim_share(claim)},
                     {"consumedCapacity", {{"epc", std::to_string(mib) + "Mi"}}}}}}};
  if (!config.is_null()) devices["config"] = {config};
  Json request = {{"name", "epc"}, {"exactly", {{"deviceClassName", "sgx-epc.enclayer.io"}}}};
  const DraKubelet::Claim name = claim_name(claim);
  return {{"kind", "ResourceClaim"},
          {"metadata", {{"namespace", name.name_space}, {"name", name.name}, {"uid", name.uid}}},
          {"spec", {{"devices", {{"requests", {request}}}}}},
          {"status",
           {{"allocation", {{"devices", devices}}},
            {"reservedFor", {{{"resource", "pods"}, {"name", "p" + std::to_string(claim)}}}}}}};
}

// A config that asks for quotes by a slot's socket.
inline nlohmann::json quotes_by_socket() {
  return {{"source", "FromClaim"},
          {"opaque",
           {{"driver", "sgx.enclayer.io"},
            {"parameters",
             {{"apiVersion", "sgx.enclayer.io/v1alpha1"}, {"kind", "EpcParameters"}, {"quotes", "Socket"}}}}}};
}

}  // namespace enclayer::fake
