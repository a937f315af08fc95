// SPDX-License-Identifier: Apache-2.0
#include <cstdlib>

#include "attestation/pem.h"
#include "base/bytes.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto certificates = enclayer::attestation::certificates_in_pem(enclayer::base::as_text({data, size}));
  if (certificates && certificates->size() > enclayer::attestation::kMaxPemCertificates) std::abort();
  return 0;
}
