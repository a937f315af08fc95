// SPDX-License-Identifier: Apache-2.0
#include "attestation/pck_extension.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  (void)enclayer::attestation::parse_pck_extension({data, size});
  return 0;
}
