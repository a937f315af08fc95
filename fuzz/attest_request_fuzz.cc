// SPDX-License-Identifier: Apache-2.0
// The body of a request for a token: what is taken has no keys but the known ones, and its bytes are within their limit.
#include <cstdlib>

#include "attest/request_json.h"
#include "base/bytes.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace enclayer;
  const std::string_view text = base::as_text({data, size});
  (void)attest::parse_runtime_json(text);
  const auto request = attest::parse_request(text, {"quote", "runtimeData"}, {"initTimeData"});
  if (!request) {
    if (request.error().message().size() > 1000) std::abort();
    return 0;
  }
  for (const auto& [key, value] : request->root().entries())
    if (key != "quote" && key != "runtimeData") std::abort();
  const auto quote = attest::bytes_of(request->root(), "quote", attest::kMaxEvidence);
  if (quote && (quote->empty() || quote->size() > attest::kMaxEvidence + 3)) std::abort();
  return 0;
}
