// SPDX-License-Identifier: Apache-2.0
// The two kinds of certificate chains, checked up to a trusted root. Dates are left to the caller: a chain that was
// checked once can be judged at any time by its validity.
#pragma once

#include <string_view>

#include "attestation/checked.h"
#include "attestation/facts.h"
#include "attestation/pck_extension.h"

namespace enclayer::attestation {

// Root, PCK CA (Processor or Platform), PCK certificate.
struct PckChain {
  CertificatePtr root, ca, pck;
  PckExtension platform;

  Window validity() const { return root->validity & ca->validity & pck->validity; }
};

// Root and what it signed: TCB Signing, or the PCK CA that signs CRLs.
struct SigningChain {
  CertificatePtr root, signer;

  Window validity() const { return root->validity & signer->validity; }
};

// The three certificates of a quote, recognised by their names, in any order.
Checked<PckChain> check_pck_chain(const Certificates& certificates, const TrustedRoot& trusted, Facts& facts);

// TCB Info's and QE Identity's issuer chain: exactly two certificates.
Checked<SigningChain> check_tcb_signing_chain(std::string_view pem, const TrustedRoot& trusted, Facts& facts);

// The PCK CRL's issuer chain: exactly two certificates.
Checked<SigningChain> check_crl_issuer_chain(std::string_view pem, const TrustedRoot& trusted, Facts& facts);

}  // namespace enclayer::attestation
