// SPDX-License-Identifier: Apache-2.0
// What tokens of every door have in common.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "attest/appraisal.h"
#include "attest/instance.h"
#include "http/https_server.h"

namespace enclayer::attest {

// iss, iat, nbf, exp, jti (RFC 7519); of a simulated instance x-enclayer-simulated. A token lives as long as the instance
// says, or shorter where the policy says so (report_validity_in_minutes), and never longer than what the verdict
// was made of.
nlohmann::ordered_json common_claims(const Instance& instance, const Appraisal& appraisal, Time now);

// Claims as members; one with several values is an array. Names that `token` has already stay as they are: no rule of a
// policy speaks for the service.
void add_claims(nlohmann::ordered_json& token, const std::vector<Claim>& claims);

// A line in the log for a decision: door, what was decided and why, the policy's hash and the evidence's. Nothing that a
// caller said of itself, and no report data.
void log_decision(const char* door, const http::Incoming& request, const Appraisal& appraisal, bool accepted);

}  // namespace enclayer::attest
