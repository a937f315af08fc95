// SPDX-License-Identifier: Apache-2.0
#include "collateral/contents.h"

#include <openssl/x509v3.h>

#include <algorithm>

#include "attestation/certificate.h"
#include "attestation/crl.h"
#include "attestation/openssl.h"
#include "attestation/pck_extension.h"
#include "attestation/qe_identity.h"
#include "attestation/tcb_info.h"
#include "base/bytes.h"
#include "base/hex.h"
#include "base/malformed.h"
#include "base/printable.h"

namespace enclayer::collateral {
namespace {

using attestation::Certificate;
using attestation::Crl;
using attestation::OpensslPtr;
using attestation::Window;

using base::malformed;

// "Intel SGX PCK Platform CA", and the simulation's authorities are named alike.
Result<PckCa> ca_of_name(const std::string& name) {
  if (name.find("PCK Platform CA") != std::string::npos) return PckCa::kPlatform;
  if (name.find("PCK Processor CA") != std::string::npos) return PckCa::kProcessor;
  return malformed("\"" + base::printable(name, 128) + "\" is neither the PCK Platform CA nor the PCK Processor CA");
}

Result<std::vector<Certificate>> chain_of(const char* what, std::string_view pem) {
  auto chain = attestation::certificates_from_pem(pem);
  if (!chain) return chain.error().with_context(what);
  if (chain->empty()) return malformed(std::string(what) + " has no certificate");
  return chain;
}

// Keeps track of what all parts have in common.
class Together {
 public:
  explicit Together(Contents& contents) : contents_(contents) {}

  void add(const char* what, const Window& window) {
    if (window.until < contents_.validity.until) contents_.first_to_expire = what;
    contents_.validity = contents_.validity & window;
  }
  void add(const char* what, const std::vector<Certificate>& chain) {
    for (const Certificate& certificate : chain) add(what, certificate.validity);
  }

 private:
  Contents& contents_;
};

Result<> check_signature_size(const char* what, const Bytes& signature) {
  if (signature.size() == 64) return {};
  return malformed(std::string("the signature of ") + what + " has " + std::to_string(signature.size()) +
                   " bytes, not 64");
}

std::optional<std::string> first_http_url(const Certificate& certificate) {
  ByteView der = certificate.der();
  const unsigned char* at = der.data();
  OpensslPtr<X509, X509_free> x509(d2i_X509(nullptr, &at, static_cast<long>(der.size())));
  if (!x509) return std::nullopt;
  using Points = OpensslPtr<CRL_DIST_POINTS, CRL_DIST_POINTS_free>;
  Points points(
      static_cast<CRL_DIST_POINTS*>(X509_get_ext_d2i(x509.get(), NID_crl_distribution_points, nullptr, nullptr)));
  for (int i = 0; points && i < sk_DIST_POINT_num(points.get()); ++i) {
    const DIST_POINT_NAME* name = sk_DIST_POINT_value(points.get(), i)->distpoint;
    if (name == nullptr || name->type != 0) continue;
    for (int k = 0; k < sk_GENERAL_NAME_num(name->name.fullname); ++k) {
      const GENERAL_NAME* place = sk_GENERAL_NAME_value(name->name.fullname, k);
      if (place->type != GEN_URI) continue;
      Bytes bytes = attestation::bytes_of(place->d.uniformResourceIdentifier);
      std::string url(base::as_text(bytes));
      bool plain = std::all_of(url.begin(), url.end(), [](char c) { return c > ' ' && c <= '~'; });
      if (plain && (url.starts_with("https://") || url.starts_with("http://"))) return url;
    }
  }
  return std::nullopt;
}

}  // namespace

std::string_view to_string(PckCa ca) { return ca == PckCa::kProcessor ? "processor" : "platform"; }

Result<PckCa> pck_ca_from(std::string_view text) {
  if (text == "processor") return PckCa::kProcessor;
  if (text == "platform") return PckCa::kPlatform;
  return Error(ErrorKind::kInvalidArgument,
               "\"" + base::printable(text, 64) + "\" is no PCK CA; there are processor and platform");
}

std::string_view to_string(Tee tee) { return tee == Tee::kSgx ? "sgx" : "tdx"; }

Result<Tee> tee_from(std::string_view text) {
  if (text == "sgx") return Tee::kSgx;
  if (text == "tdx") return Tee::kTdx;
  return Error(ErrorKind::kInvalidArgument, "\"" + base::printable(text, 64) + "\" is no TEE; there are sgx and tdx");
}

std::string to_string(const PlatformKind& kind) {
  return "FMSPC " + base::to_hex(kind.fmspc) + ", " + std::string(to_string(kind.ca)) + " CA" +
         (kind.tee == Tee::kTdx ? ", TDX" : "");
}

Result<ByteArray<6>> fmspc_from(std::string_view hex) {
  auto bytes = base::from_hex(hex);
  if (!bytes || bytes->size() != 6)
    return Error(ErrorKind::kInvalidArgument, "\"" + base::printable(hex, 64) +
                                                  "\" is no FMSPC: those are 12 hexadecimal digits, for example "
                                                  "00606a000000");
  ByteArray<6> fmspc{};
  std::copy(bytes->begin(), bytes->end(), fmspc.begin());
  return fmspc;
}

Result<QuotedPlatform> platform_of_quote(ByteView bytes) {
  ENCLAYER_TRY(Quote quote, parse_quote(bytes));
  if (quote.certification.type != CertificationData::kPckChain)
    return Error(ErrorKind::kUnsupported,
                 "the quote carries " + std::string(certification_type_name(quote.certification.type)) +
                     " instead of a PCK certificate chain, so it does not say which collateral it needs; name the "
                     "platform with --fmspc and --ca");
  ENCLAYER_TRY(auto chain, chain_of("the quote's PCK chain", base::as_text(quote.certification.data)));
  auto pck = std::find_if(chain.begin(), chain.end(), [](const Certificate& c) { return c.sgx_extension.has_value(); });
  if (pck == chain.end()) return malformed("no certificate in the quote has the SGX extension of a PCK certificate");
  ENCLAYER_TRY(auto extension, attestation::parse_pck_extension(*pck->sgx_extension));
  QuotedPlatform out;
  out.kind.fmspc = extension.fmspc;
  out.kind.tee = quote.sgx() ? Tee::kSgx : Tee::kTdx;
  auto ca = ca_of_name(pck->issuer.text());
  if (!ca) return ca.error().with_context("the issuer of the quote's PCK certificate");
  out.kind.ca = *ca;
  out.simulated = std::any_of(chain.begin(), chain.end(), attestation::says_simulated);
  return out;
}

Result<Contents> contents_of(const Collateral& c) {
  Contents out;
  Together together(out);

  ENCLAYER_TRY(auto crl_chain, chain_of("the issuer chain of the PCK CRL", c.pck_crl_issuer_chain));
  auto ca = ca_of_name(crl_chain.front().common_name());
  if (!ca) return ca.error().with_context("the issuer of the PCK CRL");
  out.platform.ca = *ca;
  auto pck_crl = Crl::from_der(c.pck_crl);
  if (!pck_crl) return pck_crl.error().with_context("the PCK CRL");
  if (!pck_crl->names_as_issuer(crl_chain.front()))
    return malformed("the PCK CRL is of \"" + pck_crl->issuer.text() + "\", its issuer chain is of \"" +
                     crl_chain.front().subject.text() + "\"");
  auto root_crl = Crl::from_der(c.root_ca_crl);
  if (!root_crl) return root_crl.error().with_context("the root CA's CRL");

  ENCLAYER_TRY(auto tcb_chain, chain_of("the issuer chain of TCB Info", c.tcb_info_issuer_chain));
  auto tcb_info = attestation::parse_tcb_info(c.tcb_info);
  if (!tcb_info) return tcb_info.error().with_context("TCB Info");
  ENCLAYER_CHECK(check_signature_size("TCB Info", c.tcb_info_signature));

  ENCLAYER_TRY(auto qe_chain, chain_of("the issuer chain of QE Identity", c.qe_identity_issuer_chain));
  auto qe_identity = attestation::parse_qe_identity(c.qe_identity);
  if (!qe_identity) return qe_identity.error().with_context("QE Identity");
  out.platform.tee = tcb_info->id == "TDX" ? Tee::kTdx : Tee::kSgx;
  if (const char* wanted = out.platform.tee == Tee::kTdx ? "TD_QE" : "QE"; qe_identity->id != wanted)
    return malformed("TCB Info is for " + tcb_info->id + ", so the QE's identity has to be that of " + wanted +
                     ", not of " + qe_identity->id);
  ENCLAYER_CHECK(check_signature_size("QE Identity", c.qe_identity_signature));

  if (std::size_t size = to_json(c).size(); size > Collateral::kMaxJsonSize)
    return malformed("as a file it has " + std::to_string(size) + " bytes, at most " +
                     std::to_string(Collateral::kMaxJsonSize) + " are read");

  together.add("the issuer chain of the PCK CRL", crl_chain);
  together.add("the PCK CRL", pck_crl->validity);
  together.add("the root CA's CRL", root_crl->validity);
  together.add("the issuer chain of TCB Info", tcb_chain);
  together.add("TCB Info", tcb_info->validity);
  together.add("the issuer chain of QE Identity", qe_chain);
  together.add("QE Identity", qe_identity->validity);
  out.platform.fmspc = tcb_info->fmspc;
  out.evaluation_number = std::min(tcb_info->evaluation_number, qe_identity->evaluation_number);
  return out;
}

Result<std::string> root_crl_url(std::string_view issuer_chain, const TrustedRoot& trusted) {
  ENCLAYER_TRY(auto chain, chain_of("the issuer chain", issuer_chain));
  const Certificate& root = chain.back();
  if (root.key.point() != trusted.public_key() || !root.signed_by(root.key))
    return malformed("\"" + root.common_name() +
                     "\" is not the trusted root, so it does not get to say where the root CA's CRL is; for a root of "
                     "your own give --root-ca FILE");
  auto url = first_http_url(root);
  if (!url) return malformed("the certificate of \"" + root.common_name() + "\" does not say where its CRL is");
  return *url;
}

}  // namespace enclayer::collateral
