// SPDX-License-Identifier: Apache-2.0
// Collateral in other people's layouts, for a real quote: what was read can be written and read again.
#include <cstdlib>

#include "enclayer/collateral.h"
#include "fake/quote_case.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace enclayer;
  static const fake::QuoteCase kReal = fake::quote_case("C_eval17");
  auto collateral = collateral_for(kReal.quote, {reinterpret_cast<const char*>(data), size});
  if (!collateral) return 0;
  auto again = parse_collateral_json(to_json(*collateral));
  if (!again || *again != *collateral) std::abort();
  return 0;
}
