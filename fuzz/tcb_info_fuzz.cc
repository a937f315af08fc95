// SPDX-License-Identifier: Apache-2.0
// parse_tcb_info: of what it accepts, a platform with the highest numbers reaches the first level, and the newest TDX
// module the first level of its identity.
#include <cstdlib>

#include "attestation/tcb_info.h"
#include "base/bytes.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto info = enclayer::attestation::parse_tcb_info(enclayer::base::as_text({data, size}));
  if (!info) return 0;
  enclayer::attestation::PlatformTcb best;
  best.components.fill(0xff);
  best.pce_svn = 0xffff;
  enclayer::attestation::TdxTcb best_tdx;
  best_tdx.svn.fill(0xff);
  const bool tdx = info->id == "TDX";
  if (info->level_of(best) != &info->levels.front()) std::abort();
  if (info->level_of(best, best_tdx) != (tdx ? &info->levels.front() : nullptr)) std::abort();
  if (!tdx && info->tdx_module_identities) std::abort();
  for (int major = 0; major < 256; ++major)
    if (const auto* module = info->module_of(static_cast<std::uint8_t>(major));
        module != nullptr && level_of(module->levels, 0xffff) != &module->levels.front())
      std::abort();
  return 0;
}
