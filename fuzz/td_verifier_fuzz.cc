// SPDX-License-Identifier: Apache-2.0
// The quote of a trust domain: remembering.h.
#include "remembering.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return enclayer::fuzz::judge_beside("T4_phala_tdx_v4", data, size);
}
