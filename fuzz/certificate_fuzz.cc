// SPDX-License-Identifier: Apache-2.0
#include "attestation/certificate.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto certificate = enclayer::attestation::Certificate::from_der({data, size});
  if (!certificate) return 0;
  (void)certificate->names_as_issuer(*certificate);
  (void)certificate->signed_by(certificate->key);
  return 0;
}
