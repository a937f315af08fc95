// SPDX-License-Identifier: Apache-2.0
// parse_quote: what it accepts is as long as it says, and what follows after that does not matter.
#include <cstdlib>

#include "enclayer/quote.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto quote = enclayer::parse_quote({data, size});
  if (!quote || quote->open_enclave_header) return 0;
  if (quote->size > size) std::abort();
  auto again = enclayer::parse_quote({data, quote->size});
  if (!again || again->signed_bytes != quote->signed_bytes || again->certification != quote->certification)
    std::abort();
  if (quote->size > 0 && enclayer::parse_quote({data, quote->size - 1})) std::abort();
  return 0;
}
