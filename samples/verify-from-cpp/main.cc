// SPDX-License-Identifier: Apache-2.0
// verify-from-cpp EVIDENCE COLLATERAL POLICY TIME: is it to be trusted, at that time, by this policy? EVIDENCE is a quote
// as bytes, hex, base64, PEM or JSON, or the RA-TLS certificate of a TLS peer, whose key then has to be the quote's.
#include <enclayer/evidence.h>
#include <enclayer/policy.h>
#include <enclayer/ra_tls.h>

#include <fstream>
#include <iostream>
#include <iterator>

template <class Content>
Content read(const char* path) {
  std::ifstream file(path, std::ios::binary);
  return Content(std::istreambuf_iterator<char>(file), {});
}

int main(int argc, char** argv) {
  if (argc != 5) return 1;
  auto evidence = enclayer::evidence_from(read<enclayer::Bytes>(argv[1]));
  if (!evidence) {
    std::cerr << argv[1] << ": " << evidence.error().message() << "\n";
    return 1;
  }
  auto collateral = enclayer::collateral_for(evidence->quote, read<std::string>(argv[2]));
  auto policy = enclayer::parse_policy_json(read<std::string>(argv[3]));
  auto at = enclayer::parse_time(argv[4]);
  if (!collateral || !policy || !at) {
    std::cerr << (!collateral ? collateral.error() : !policy ? policy.error() : at.error()).message() << "\n";
    return 1;
  }
  const auto& root = enclayer::TrustedRoot::intel();
  auto found = evidence->certificate.empty() ? enclayer::verify(evidence->quote, *collateral, root, *at)
                                             : enclayer::verify_ra_tls(evidence->certificate, &*collateral, root, *at);
  auto verdict = enclayer::judge(found, *policy);
  std::cout << enclayer::verdict_json(found, verdict, *at) << "\n";
  return verdict.trusted ? 0 : 2;
}
