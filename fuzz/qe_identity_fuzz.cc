// SPDX-License-Identifier: Apache-2.0
// parse_qe_identity: of what it accepts, a QE with the highest ISVSVN reaches the first level.
#include <cstdlib>

#include "attestation/qe_identity.h"
#include "base/bytes.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto identity = enclayer::attestation::parse_qe_identity(enclayer::base::as_text({data, size}));
  if (!identity) return 0;
  (void)identity->mismatch({});
  if (level_of(identity->levels, 0xffff) != &identity->levels.front()) std::abort();
  return 0;
}
