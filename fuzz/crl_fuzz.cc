// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdlib>

#include "attestation/crl.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto crl = enclayer::attestation::Crl::from_der({data, size});
  if (crl && !std::is_sorted(crl->revoked.begin(), crl->revoked.end())) std::abort();
  return 0;
}
