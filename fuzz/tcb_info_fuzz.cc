// SPDX-License-Identifier: Apache-2.0
// parse_tcb_info: of what it accepts, a platform with the highest numbers reaches the first level.
#include <cstdlib>

#include "attestation/tcb_info.h"
#include "base/bytes.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto info = enclayer::attestation::parse_tcb_info(enclayer::base::as_text({data, size}));
  if (!info) return 0;
  enclayer::attestation::PlatformTcb best;
  best.components.fill(0xff);
  best.pce_svn = 0xffff;
  if (info->level_of(best) != &info->levels.front()) std::abort();
  return 0;
}
