// SPDX-License-Identifier: Apache-2.0
// The quote of an enclave: remembering.h.
#include "remembering.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return enclayer::fuzz::judge_beside("A_phala_sgx_processor", data, size);
}
