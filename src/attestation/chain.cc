// SPDX-License-Identifier: Apache-2.0
#include "attestation/chain.h"

#include <algorithm>

namespace enclayer::attestation {
namespace {

// What Intel's names have in common with those of a simulation: "Intel SGX Root CA", "SIMULATED SGX Root CA".
constexpr std::string_view kRootName = "SGX Root CA";
constexpr std::string_view kCaName = "CA";
constexpr std::string_view kPckName = "SGX PCK Certificate";
constexpr std::string_view kTcbSigningName = "SGX TCB Signing";

bool named(const Certificate& certificate, std::string_view part) {
  return certificate.common_name().find(part) != std::string::npos;
}

bool is_root(const Certificate& c) { return named(c, kRootName); }
bool is_pck(const Certificate& c) { return named(c, kPckName); }
bool is_intermediate(const Certificate& c) { return named(c, kCaName) && !is_root(c) && !is_pck(c); }
bool is_tcb_signing(const Certificate& c) { return named(c, kTcbSigningName); }

CertificatePtr find(const Certificates& certificates, bool (*kind)(const Certificate&)) {
  auto found = std::find_if(certificates.begin(), certificates.end(), [&](const auto& c) { return kind(*c); });
  return found == certificates.end() ? nullptr : *found;
}

bool right_for_ca(const Certificate& c) {
  return c.extensions_understood && c.is_ca && c.signs_certificates && c.signs_crls;
}
bool right_for_leaf(const Certificate& c) {
  return c.extensions_understood && !c.is_ca && c.signs_data && !c.signs_certificates;
}

std::string quoted(const Certificate& c) { return "\"" + c.common_name() + "\""; }

std::string extensions_refusal(const Certificate& c, const char* wanted) {
  return "certificate " + quoted(c) + " does not have the extensions of " + wanted +
         " (basic constraints, key usage, no unknown critical one)";
}

Checked<> check_root(const Certificate& root, const TrustedRoot& trusted, Facts& facts) {
  const auto& known = trusted.known_certificates();
  bool signed_itself =
      std::find(known.begin(), known.end(), root.digest) != known.end() || facts.signed_by(root.key, root);
  if (!root.names_as_issuer(root) || !signed_itself)
    return Refusal{Reason::kSgxRootCaInvalidIssuer, "root certificate " + quoted(root) + " did not sign itself"};
  if (!right_for_ca(root) || root.path_length.value_or(1) < 1)
    return Refusal{Reason::kSgxRootCaInvalidExtensions, extensions_refusal(root, "a root CA")};
  return {};
}

// `issued` is signed by `issuer`, which it names.
Checked<> check_issued(const Certificate& issued, const Certificate& issuer, Reason otherwise, Facts& facts) {
  if (!issued.names_as_issuer(issuer))
    return Refusal{otherwise, "certificate " + quoted(issued) + " names \"" + issued.issuer.text() +
                                  "\" as its issuer, the one in the chain is \"" + issuer.subject.text() + "\""};
  if (!facts.signed_by(issuer.key, issued))
    return Refusal{otherwise, "the signature of certificate " + quoted(issued) + " is not by " + quoted(issuer)};
  return {};
}

Checked<> check_trusted(const Certificate& root, const TrustedRoot& trusted, Reason otherwise) {
  if (root.key.point() == trusted.public_key()) return {};
  return Refusal{otherwise, "the chain ends at " + quoted(root) + ", whose key is not that of the trusted root" +
                                (trusted.custom() ? "" : ", Intel's (another one is trusted with --root-ca)")};
}

}  // namespace

Checked<PckChain> check_pck_chain(const Certificates& certificates, const TrustedRoot& trusted, Facts& facts) {
  CertificatePtr root = find(certificates, is_root);
  if (root == nullptr) return Refusal{Reason::kSgxRootCaMissing, "no certificate of the PCK chain is an SGX Root CA"};
  ENCLAYER_CHECK(check_root(*root, trusted, facts));
  CertificatePtr ca = find(certificates, is_intermediate);
  if (ca == nullptr)
    return Refusal{Reason::kSgxIntermediateCaMissing,
                   "no certificate of the PCK chain is a PCK Processor or Platform CA"};
  ENCLAYER_CHECK(check_issued(*ca, *root, Reason::kSgxIntermediateCaInvalidIssuer, facts));
  if (!right_for_ca(*ca)) return Refusal{Reason::kSgxIntermediateCaInvalidExtensions, extensions_refusal(*ca, "a CA")};
  CertificatePtr pck = find(certificates, is_pck);
  if (pck == nullptr)
    return Refusal{Reason::kSgxPckMissing, "no certificate of the PCK chain is an SGX PCK Certificate"};
  ENCLAYER_CHECK(check_issued(*pck, *ca, Reason::kSgxPckInvalidIssuer, facts));
  if (!right_for_leaf(*pck))
    return Refusal{Reason::kSgxPckInvalidExtensions, extensions_refusal(*pck, "a certificate that signs data")};
  if (!pck->sgx_extension)
    return Refusal{Reason::kSgxPckInvalidExtensions, "certificate " + quoted(*pck) + " has no SGX extension"};
  auto platform = parse_pck_extension(*pck->sgx_extension);
  if (!platform)
    return Refusal{Reason::kSgxPckInvalidExtensions, "certificate " + quoted(*pck) + ": " + platform.error().message()};
  ENCLAYER_CHECK(check_trusted(*root, trusted, Reason::kSgxPckCertChainUntrusted));
  return PckChain{root, ca, pck, *platform};
}

Checked<SigningChain> check_tcb_signing_chain(std::string_view pem, const TrustedRoot& trusted, Facts& facts) {
  auto certificates = facts.certificates(pem, 2);
  if (!certificates) return Refusal{Reason::kUnsupportedCertFormat, "issuer chain: " + certificates.error().message()};
  CertificatePtr root = find(*certificates, is_root);
  if (root == nullptr)
    return Refusal{Reason::kSgxRootCaMissing, "no certificate of the issuer chain is an SGX Root CA"};
  ENCLAYER_CHECK(check_root(*root, trusted, facts));
  CertificatePtr signer = find(*certificates, is_tcb_signing);
  if (signer == nullptr)
    return Refusal{Reason::kSgxTcbSigningCertMissing, "no certificate of the issuer chain is SGX TCB Signing"};
  ENCLAYER_CHECK(check_issued(*signer, *root, Reason::kSgxTcbSigningCertInvalidIssuer, facts));
  if (!right_for_leaf(*signer))
    return Refusal{Reason::kSgxTcbSigningCertInvalidExtensions,
                   extensions_refusal(*signer, "a certificate that signs data")};
  ENCLAYER_CHECK(check_trusted(*root, trusted, Reason::kSgxTcbSigningCertChainUntrusted));
  return SigningChain{root, signer};
}

Checked<SigningChain> check_crl_issuer_chain(std::string_view pem, const TrustedRoot& trusted, Facts& facts) {
  auto certificates = facts.certificates(pem, 2);
  if (!certificates)
    return Refusal{Reason::kSgxCaCertUnsupportedFormat, "CRL issuer chain: " + certificates.error().message()};
  CertificatePtr root = find(*certificates, is_root);
  CertificatePtr ca = find(*certificates, is_intermediate);
  if (root == nullptr || ca == nullptr)
    return Refusal{Reason::kSgxCaCertInvalid, "the CRL issuer chain is not of an SGX Root CA and a PCK CA"};
  ENCLAYER_CHECK(check_root(*root, trusted, facts));
  ENCLAYER_CHECK(check_issued(*ca, *root, Reason::kSgxCaCertInvalid, facts));
  if (!right_for_ca(*ca)) return Refusal{Reason::kSgxCaCertInvalid, extensions_refusal(*ca, "a CA")};
  ENCLAYER_CHECK(check_trusted(*root, trusted, Reason::kSgxCaCertInvalid));
  return SigningChain{root, ca};
}

}  // namespace enclayer::attestation
