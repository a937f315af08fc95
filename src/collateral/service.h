// SPDX-License-Identifier: Apache-2.0
// A provisioning service that is asked over the network: Intel's (PCS) or a caching one (PCCS).
// Source: Intel "Provisioning Certification Service" API v4 and "SGX DCAP Caching Service Design Guide"; version 3 of
// both differs in one header's name, which is understood too.
#pragma once

#include <string>
#include <string_view>

#include "collateral/contents.h"
#include "collateral/responses.h"
#include "enclayer/error.h"
#include "http/client.h"

namespace enclayer::collateral {

// Intel's own. It limits how often it is asked: a cluster wants a PCCS or the cache.
inline constexpr std::string_view kIntelService = "https://api.trustedservices.intel.com/sgx/certification/v4";

// What to do when a service does not give what is asked of it.
http::Advice service_advice();

// The URL that requests are appended to: http::checked_url(), and for one without a path the path that every PCS and
// PCCS has, /sgx/certification/v4. kInvalidArgument also for version 3 of Intel's own, which answers 410 to everything;
// a PCCS may have it still.
Result<std::string> service_url(std::string_view given);

// Where the same service has TCB Info and QE Identity for TDX: beside /sgx/ in its path. kInvalidArgument for a URL
// without that.
Result<std::string> tdx_service_url(const std::string& service);

// Which TCB Info and QE Identity of several that are valid at the same time (PCS API v4, "Get TCB Info"): as the service
// likes, which is standard; early, as soon as patches are public; or those of one TCB evaluation data number, for as
// long as Intel keeps them.
struct Edition {
  std::string query{};                  // "", "update=early", "tcbEvaluationDataNumber=17"
  std::uint32_t evaluation_number = 0;  // 0: not asked for

  bool operator==(const Edition&) const = default;

  static Edition early() { return {"update=early"}; }
  static Edition standard() { return {"update=standard"}; }
  static Edition number(std::uint32_t number) { return {"tcbEvaluationDataNumber=" + std::to_string(number), number}; }

  // What tells collateral of this edition from others of the same service in a cache.
  std::string with_url(const std::string& service) const { return query.empty() ? service : service + "?" + query; }
  // Whether that is the URL of an early one.
  static bool is_early(std::string_view url) { return url.ends_with(early().with_url("")); }
};

// Asks for everything that belongs to `platform`, in four or five requests. The root CA's CRL is asked of the service,
// as a PCCS has it; where that is 404, as Intel's is, of the place that the trusted root's certificate names.
Result<Responses> ask_service(http::Client& client, const std::string& service, const PlatformKind& platform,
                              const TrustedRoot& trusted, const Edition& edition = {});

// The same, cut up and looked into: what is of another platform or does not parse is kMalformed. Not verified.
struct Answer {
  Responses responses;
  Collateral collateral;
};
Result<Answer> fetch(http::Client& client, const std::string& service, const PlatformKind& platform,
                     const TrustedRoot& trusted, const Edition& edition = {});

}  // namespace enclayer::collateral
