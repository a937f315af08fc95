// SPDX-License-Identifier: Apache-2.0
#include "collateral/service.h"

#include "base/hex.h"

namespace enclayer::collateral {
namespace {

std::string about_status(long status) {
  switch (status) {
    case 400: return "the service does not understand the request; is its version 3 or 4?";
    case 401:
    case 403: return "the service, or a proxy before it, does not let us in";
    case 404:
    case 410: return "the service has nothing there; is the FMSPC right, and the URL?";
    case 407: return "the proxy wants a name and a password: --proxy http://NAME:PASSWORD@HOST:PORT";
    case 429: return "the service wants fewer requests; try later, or use a caching service (PCCS)";
    case 461: return "the caching service does not know this platform; it has to be registered there first";
    case 504: return "the caching service cannot reach Intel's";
    default: break;
  }
  return status >= 500 ? "the service has trouble; try later" : "is the URL that of a PCS or PCCS?";
}

}  // namespace

http::Advice service_advice() {
  return {.status = about_status,
          .words = {},
          .connect = "is the URL right, and is a proxy needed (--proxy)?",
          .authority = "if the service has a certificate of a private authority: --cacert FILE",
          .ca_pem = "--cacert wants a file with certificates in PEM",
          .not_http = "is the URL that of a PCS or PCCS?"};
}

Result<std::string> service_url(std::string_view given) {
  ENCLAYER_TRY(std::string url, http::checked_url(given));
  bool has_path = url.find('/', url.find("://") + 3) != std::string::npos;
  constexpr std::string_view kIntelsHost = kIntelService.substr(0, kIntelService.find('/', 8));
  if (url.starts_with(kIntelsHost) && url.find("/v3") != std::string::npos)
    return Error(
        ErrorKind::kInvalidArgument,
        url + ": Intel has ended version 3 of its service, and answers 410; ask " + std::string(kIntelService));
  return has_path ? url : url + "/sgx/certification/v4";
}

Result<std::string> tdx_service_url(const std::string& service) {
  constexpr std::string_view kSgx = "/sgx/";
  std::size_t at = service.rfind(kSgx);
  if (at == std::string::npos || at < service.find("://") + 3)
    return Error(ErrorKind::kInvalidArgument,
                 service + " does not say where TDX is: a service's URL has /sgx/ in its path, and /tdx/ beside it");
  return service.substr(0, at) + "/tdx/" + service.substr(at + kSgx.size());
}

Result<Responses> ask_service(http::Client& client, const std::string& service, const PlatformKind& platform,
                              const TrustedRoot& trusted, const Edition& edition) {
  Responses out;
  // The revocation lists are the same for both.
  std::string tee = service;
  if (platform.tee == Tee::kTdx) {
    ENCLAYER_TRY(tee, tdx_service_url(service));
  }
  ENCLAYER_TRY(out.pck_crl,
               client.get(service + "/pckcrl?ca=" + std::string(to_string(platform.ca)) + "&encoding=der"));
  const std::string& query = edition.query;
  ENCLAYER_TRY(out.tcb_info,
               client.get(tee + "/tcb?fmspc=" + base::to_hex(platform.fmspc) + (query.empty() ? "" : "&" + query)));
  ENCLAYER_TRY(out.qe_identity, client.get(edition.with_url(tee + "/qe/identity")));
  auto root_ca_crl = client.get(service + "/rootcacrl");
  if (!root_ca_crl && root_ca_crl.error().kind() == ErrorKind::kNotFound) {
    // No PCS has this endpoint.
    auto chain = pck_crl_issuer_chain(out.pck_crl);
    auto url = chain ? root_crl_url(*chain, trusted) : Result<std::string>(chain.error());
    if (!url) return url.error().with_context(service + " has no rootcacrl, and its issuer chain does not help");
    root_ca_crl = client.get(*url);
  }
  if (!root_ca_crl) return root_ca_crl.error();
  out.root_ca_crl = std::move(*root_ca_crl);
  return out;
}

Result<Answer> fetch(http::Client& client, const std::string& service, const PlatformKind& platform,
                     const TrustedRoot& trusted, const Edition& edition) {
  Answer out;
  ENCLAYER_TRY(out.responses, ask_service(client, service, platform, trusted, edition));
  auto read = [&]() -> Result<> {
    ENCLAYER_TRY(out.collateral, collateral_from(out.responses));
    ENCLAYER_TRY(Contents contents, contents_of(out.collateral));
    if (edition.evaluation_number > 0 && contents.evaluation_number != edition.evaluation_number)
      return Error(ErrorKind::kMalformed, "asked for TCB evaluation data number " +
                                              std::to_string(edition.evaluation_number) + ", got " +
                                              std::to_string(contents.evaluation_number));
    if (contents.platform == platform) return {};
    return Error(ErrorKind::kMalformed,
                 "asked for " + to_string(platform) + ", got collateral of " + to_string(contents.platform));
  };
  if (auto done = read(); !done) return done.error().with_context("what " + service + " answered");
  return out;
}

}  // namespace enclayer::collateral
