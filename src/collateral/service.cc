#include "collateral/service.h"

#include "base/hex.h"

namespace enclayer::collateral {

Result<std::string> service_url(std::string_view given) {
  ENCLAYER_TRY(std::string url, checked_url(given));
  bool has_path = url.find('/', url.find("://") + 3) != std::string::npos;
  return has_path ? url : url + "/sgx/certification/v4";
}

Result<Responses> ask_service(HttpClient& http, const std::string& service, const PlatformKind& platform,
                              const TrustedRoot& trusted) {
  Responses out;
  ENCLAYER_TRY(out.pck_crl, http.get(service + "/pckcrl?ca=" + std::string(to_string(platform.ca)) + "&encoding=der"));
  ENCLAYER_TRY(out.tcb_info, http.get(service + "/tcb?fmspc=" + base::to_hex(platform.fmspc)));
  ENCLAYER_TRY(out.qe_identity, http.get(service + "/qe/identity"));
  auto root_ca_crl = http.get(service + "/rootcacrl");
  if (!root_ca_crl && root_ca_crl.error().kind() == ErrorKind::kNotFound) {
    // No PCS has this endpoint.
    auto chain = pck_crl_issuer_chain(out.pck_crl);
    auto url = chain ? root_crl_url(*chain, trusted) : Result<std::string>(chain.error());
    if (!url) return url.error().with_context(service + " has no rootcacrl, and its issuer chain does not help");
    root_ca_crl = http.get(*url);
  }
  if (!root_ca_crl) return root_ca_crl.error();
  out.root_ca_crl = std::move(*root_ca_crl);
  return out;
}

Result<Answer> fetch(HttpClient& http, const std::string& service, const PlatformKind& platform,
                     const TrustedRoot& trusted) {
  Answer out;
  ENCLAYER_TRY(out.responses, ask_service(http, service, platform, trusted));
  auto read = [&]() -> Result<> {
    ENCLAYER_TRY(out.collateral, collateral_from(out.responses));
    ENCLAYER_TRY(Contents contents, contents_of(out.collateral));
    if (contents.platform == platform) return {};
    return Error(ErrorKind::kMalformed,
                 "asked for " + to_string(platform) + ", got collateral of " + to_string(contents.platform));
  };
  if (auto done = read(); !done) return done.error().with_context("what " + service + " answered");
  return out;
}

}  // namespace enclayer::collateral
