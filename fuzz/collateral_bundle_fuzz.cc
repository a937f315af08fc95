// SPDX-License-Identifier: Apache-2.0
// entries_from_bundle: what it accepts, to_bundle writes so that it reads as the same again.
#include <cstdlib>

#include "base/bytes.h"
#include "collateral/cache.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace enclayer;
  auto entries = collateral::entries_from_bundle(base::as_text({data, size}));
  if (!entries) return 0;
  auto text = collateral::to_bundle(*entries);
  if (!text) std::abort();
  auto again = collateral::entries_from_bundle(*text);
  // Escapes may take more room than they took before, no more.
  if (again && *again != *entries) std::abort();
  return 0;
}
