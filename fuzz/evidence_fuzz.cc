// SPDX-License-Identifier: Apache-2.0
// Whatever it was wrapped in, a quote that was found is found again as it is, and refusals say what was given.
#include <cstdlib>

#include "enclayer/evidence.h"
#include "enclayer/quote.h"
#include "enclayer/ra_tls.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace enclayer;
  auto evidence = evidence_from({data, size});
  if (!evidence) {
    if (!evidence.error().message().starts_with("this ")) std::abort();
    return 0;
  }
  (void)parse_quote(evidence->quote);
  auto again = evidence_from(evidence->quote);
  if (!again || again->quote != evidence->quote || !again->certificate.empty()) std::abort();
  if (!evidence->certificate.empty() && !parse_ra_tls(evidence->certificate)) std::abort();
  return 0;
}
