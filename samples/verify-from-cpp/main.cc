// SPDX-License-Identifier: Apache-2.0
// verify-from-cpp QUOTE COLLATERAL POLICY TIME: is this quote to be trusted, at that time, by this policy?
#include <enclayer/policy.h>

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
  auto collateral = enclayer::parse_collateral_json(read<std::string>(argv[2]));
  auto policy = enclayer::parse_policy_json(read<std::string>(argv[3]));
  auto at = enclayer::parse_time(argv[4]);
  if (!collateral || !policy || !at) {
    std::cerr << (!collateral ? collateral.error() : !policy ? policy.error() : at.error()).message() << "\n";
    return 1;
  }
  auto found = enclayer::verify(read<enclayer::Bytes>(argv[1]), *collateral, enclayer::TrustedRoot::intel(), *at);
  auto verdict = enclayer::judge(found, *policy);
  std::cout << enclayer::verdict_json(found, verdict, *at) << "\n";
  return verdict.trusted ? 0 : 2;
}
