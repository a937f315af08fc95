// SPDX-License-Identifier: Apache-2.0
#include "attestation/certificate.h"
#include "enclayer/verify.h"

namespace enclayer {
namespace {

// Public key of "Intel SGX Root CA", serial 22650cd65a9d3489f383b49552bf501b392706ac: x || y.
constexpr ByteArray<64> kIntelRootKey{0x0b, 0xa9, 0xc4, 0xc0, 0xc0, 0xc8, 0x61, 0x93, 0xa3, 0xfe, 0x23, 0xd6, 0xb0,
                                      0x2c, 0xda, 0x10, 0xa8, 0xbb, 0xd4, 0xe8, 0x8e, 0x48, 0xb4, 0x45, 0x85, 0x61,
                                      0xa3, 0x6e, 0x70, 0x55, 0x25, 0xf5, 0x67, 0x91, 0x8e, 0x2e, 0xdc, 0x88, 0xe4,
                                      0x0d, 0x86, 0x0b, 0xd0, 0xcc, 0x4e, 0xe2, 0x6a, 0xac, 0xc9, 0x88, 0xe5, 0x05,
                                      0xa9, 0x53, 0x55, 0x8c, 0x45, 0x3f, 0x6b, 0x09, 0x04, 0xae, 0x73, 0x94};

// Its certificates of 2018, valid until 2033 and until 2049.
constexpr ByteArray<32> kIntelRoot2033{0xfc, 0x64, 0xf8, 0x07, 0x6d, 0x79, 0xa4, 0xfe, 0xe9, 0xd1, 0xd4,
                                       0x73, 0xd7, 0x4c, 0x89, 0xeb, 0x8d, 0x8f, 0xd5, 0x5c, 0x5a, 0xba,
                                       0xfe, 0xab, 0xeb, 0xa7, 0x36, 0x6d, 0x20, 0x42, 0x94, 0x04};
constexpr ByteArray<32> kIntelRoot2049{0x44, 0xa0, 0x19, 0x6b, 0x2b, 0x99, 0xf8, 0x89, 0xb8, 0xe1, 0x49,
                                       0xe9, 0x5b, 0x80, 0x7a, 0x35, 0x0e, 0x74, 0x24, 0x96, 0x43, 0x99,
                                       0xe8, 0x85, 0xa7, 0xcb, 0xb8, 0xcc, 0xfa, 0xb6, 0x74, 0xd3};

}  // namespace

const TrustedRoot& TrustedRoot::intel() {
  static const TrustedRoot kIntel(kIntelRootKey, {kIntelRoot2033, kIntelRoot2049}, false, false);
  return kIntel;
}

Result<TrustedRoot> TrustedRoot::from_pem(std::string_view pem) {
  auto certificates = attestation::certificates_from_pem(pem);
  if (!certificates) return certificates.error().with_context("root certificate");
  if (certificates->size() != 1)
    return Error(ErrorKind::kMalformed,
                 "root certificate: there are " + std::to_string(certificates->size()) + " certificates, not 1");
  const attestation::Certificate& root = certificates->front();
  auto refused = [&](std::string why) {
    return Error(ErrorKind::kInvalidArgument, "root certificate: \"" + root.subject.text() + "\" " + std::move(why));
  };
  if (!root.is_ca) return refused("is no CA: its basic constraints do not say cA");
  if (!root.signs_certificates) return refused("may not sign certificates: its key usage lacks keyCertSign");
  if (!root.names_as_issuer(root))
    return refused("is not its own issuer, that is \"" + root.issuer.text() +
                   "\" or another key: take the root above it");
  if (!root.signed_by(root.key)) return refused("is not signed by its own key");
  return TrustedRoot(root.key.point(), {root.digest}, root.key.point() != kIntelRootKey,
                     attestation::says_simulated(root));
}

}  // namespace enclayer
