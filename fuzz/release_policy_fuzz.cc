// SPDX-License-Identifier: Apache-2.0
// ReleasePolicy: what is taken opens never for claims of another issuer, nor for what is no JSON object; claims are read
// from the bytes behind a zero byte.
#include <cstdlib>

#include "attest/release_policy.h"
#include "base/bytes.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace enclayer;
  using namespace enclayer::attest;
  const std::string_view text = base::as_text({data, size});
  const std::size_t end = text.find('\0');
  auto policy = ReleasePolicy::parse(text.substr(0, end));
  if (!policy) {
    if (policy.error().kind() != ErrorKind::kMalformed || policy.error().message().size() > 1000) std::abort();
    return 0;
  }
  if (policy->sha256().size() != 64) std::abort();
  if (policy->refusal("").empty() || policy->refusal("[]").empty() || policy->refusal("{}").empty()) std::abort();
  if (end != std::string_view::npos) (void)policy->refusal(text.substr(end + 1));
  return 0;
}
