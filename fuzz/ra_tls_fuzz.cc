// SPDX-License-Identifier: Apache-2.0
// Nobody but an enclave can make a quote that speaks for a key: of all that leads up to Intel with this collateral, there
// is one certificate, which Gramine made.
#include <cstdlib>

#include "enclayer/ra_tls.h"
#include "fake/quote_case.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace enclayer;
  static const fake::QuoteCase kReal = fake::quote_case("C_eval17");
  auto certificate = parse_ra_tls({data, size});
  static const ByteArray<32> kKey{0x5a, 0x5a, 0x5b, 0x2d, 0x17, 0x74, 0x33, 0x04, 0x8e, 0x9d, 0x62,
                                  0x40, 0x9d, 0x1a, 0xcc, 0x4e, 0xc5, 0x26, 0xc0, 0x6e, 0x29, 0x4d,
                                  0x09, 0xe6, 0x9a, 0x36, 0xcf, 0xf9, 0x36, 0x9e, 0x48, 0x51};
  const Verification v = verify_ra_tls({data, size}, &kReal.collateral, TrustedRoot::intel(), kReal.at);
  if (v.verified() != v.attested_key.has_value() || (v.verified() && v.attested_key->sha256 != kKey)) std::abort();
  if (certificate.has_value() == (v.reason == Reason::kUnsupportedRaTlsFormat)) std::abort();
  if (certificate && certificate->evidence.empty()) std::abort();
  return 0;
}
