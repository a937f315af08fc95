// SPDX-License-Identifier: Apache-2.0
// Certificates that the service makes for its own keys. For .cc files: OpenSSL's types.
#pragma once

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <cstddef>
#include <string>
#include <vector>

#include "attestation/openssl.h"
#include "enclayer/time.h"

namespace enclayer::attest {

// Bytes of a PEM file of the service's own; a key with its certificate has 3 KB.
inline constexpr std::size_t kMaxPem = 32 << 10;

using CertificatePtr = attestation::OpensslPtr<X509, X509_free>;

struct CertificateExtension {
  int kind;           // NID_basic_constraints, ...
  std::string value;  // as OpenSSL spells it: "critical,CA:TRUE"
};

// X.509 version 3 with a random serial number, signed with `issuer_key` and SHA-256; without an issuer by itself. `name`
// is the subject's common name, 64 characters at most (RFC 5280, appendix A.1). nullptr: OpenSSL refuses.
CertificatePtr make_certificate(EVP_PKEY* key, const std::string& name, Time from, Time until,
                                const std::vector<CertificateExtension>& extensions = {}, X509* issuer = nullptr,
                                EVP_PKEY* issuer_key = nullptr);

}  // namespace enclayer::attest
