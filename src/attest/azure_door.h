// SPDX-License-Identifier: Apache-2.0
// Door A: the requests of Azure Attestation's clients, answered as it answers them (REST API version 2020-10-01; of trust
// domains 2025-06-01). Token claims, errors and their names are Azure's; docs/attestation-service.md has the table.
//
//   POST /attest/SgxEnclave?api-version=2020-10-01    {"quote": base64url, "runtimeData": {"data", "dataType"}, "nonce"}
//   POST /attest/OpenEnclave?api-version=2020-10-01   {"report": base64url, ...}: a quote behind Open Enclave's 16 bytes
//   POST /attest/TdxVm?api-version=2025-06-01         {"quote": base64url, ...}
//     200 {"token": a JWT, RS256}      400, 503 {"error": {"code", "message"}}
//
// The first 32 bytes of report data are SHA-256 of the runtime data as it came, and the other 32 are zero. Without runtime
// data nothing is asked of the report data, and nothing is said of it. initTimeData, policies in requests and changing
// policies over HTTP are refused by name.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string_view>

#include "attest/appraisal.h"
#include "attest/instance.h"
#include "attest/signing_keys.h"
#include "http/https_server.h"

namespace enclayer::attest {

enum class AzureEvidence { kSgxEnclave, kOpenEnclave, kTdxVm };

struct RuntimeData {
  std::string bytes;
  bool json = false;  // it is one JSON object (parse_runtime_json)
};

// What a token of this door says of evidence that was accepted, nonce and deprecated names left out. `runtime` null: there
// were none.
nlohmann::ordered_json azure_claims(const Instance& instance, const Appraisal& appraisal, const RuntimeData* runtime,
                                    Time now);

// {"error": {"code", "message"}}.
http::Answer azure_error(int status, std::string_view code, std::string_view message);

class AzureDoor {
 public:
  AzureDoor(const Instance& instance, Appraiser& appraiser, const SigningKeys& keys)
      : instance_(instance), appraiser_(appraiser), keys_(keys) {}

  http::Answer attest(AzureEvidence kind, const http::Incoming& request, Time now) const;

 private:
  const Instance& instance_;
  Appraiser& appraiser_;
  const SigningKeys& keys_;
};

}  // namespace enclayer::attest
