// SPDX-License-Identifier: Apache-2.0
// parse_collateral_json: what it accepts, to_json writes so that it reads as the same again.
#include <cstdlib>

#include "base/bytes.h"
#include "enclayer/collateral.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto collateral = enclayer::parse_collateral_json(enclayer::base::as_text({data, size}));
  if (!collateral) return 0;
  auto again = enclayer::parse_collateral_json(enclayer::to_json(*collateral));
  // Escapes and hexadecimal digits may take more room than they took before, no more.
  if (again && *again != *collateral) std::abort();
  return 0;
}
