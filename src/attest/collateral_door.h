// SPDX-License-Identifier: Apache-2.0
// The collateral door: what this service verifies with, for other verifiers of the site, in the words of Intel's
// Provisioning Certification Service, API version 4 (and, for rootcacrl, of its caching service): Intel's quote
// verification, dcap-qvl and `enclayer collateral fetch` can point there.
//
//   GET /sgx/certification/v4/tcb?fmspc=...          /tdx/certification/v4/tcb?fmspc=...
//   GET /sgx/certification/v4/qe/identity            /tdx/certification/v4/qe/identity
//   GET /sgx/certification/v4/pckcrl?ca=processor|platform[&encoding=der]
//   GET /sgx/certification/v4/rootcacrl
//
// `update=standard` is what there is; another `update` and `tcbEvaluationDataNumber` are refused: the cache has one
// edition. Nothing is fetched for who asks here but
// what the service would fetch for a quote (platform_collateral.h).
#pragma once

#include <optional>

#include "attest/platform_collateral.h"
#include "http/https_server.h"

namespace enclayer::attest {

// nullopt: `path` is none of this door's.
std::optional<http::Answer> collateral_answer(PlatformCollateral& collateral, const std::string& path,
                                              const http::Incoming& request);

}  // namespace enclayer::attest
