#include "attestation/certificate.h"

#include <openssl/err.h>
#include <openssl/obj_mac.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "attestation/openssl.h"
#include "attestation/pem.h"
#include "base/bytes.h"

namespace enclayer::attestation {
namespace {

constexpr char kSgxExtensionOid[] = "1.2.840.113741.1.13.1";

Error malformed(std::string message) { return {ErrorKind::kMalformed, "certificate: " + std::move(message)}; }
Error unsupported(std::string message) { return {ErrorKind::kUnsupported, "certificate: " + std::move(message)}; }

std::string first_common_name(X509_NAME* name) {
  int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
  return at < 0 ? "" : printable(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
}

// The key, if it is on P-256 named by its OID. Explicit curve parameters are refused: they can describe a look-alike.
Result<P256Key> key_of(X509* x509) {
  ASN1_OBJECT* algorithm = nullptr;
  const unsigned char* bits = nullptr;
  int size = 0;
  X509_ALGOR* parameters = nullptr;
  const void* curve = nullptr;
  int curve_type = V_ASN1_UNDEF;
  if (X509_PUBKEY_get0_param(&algorithm, &bits, &size, &parameters, X509_get_X509_PUBKEY(x509)) != 1)
    return malformed("it has no public key");
  X509_ALGOR_get0(nullptr, &curve_type, &curve, parameters);
  if (OBJ_obj2nid(algorithm) != NID_X9_62_id_ecPublicKey || curve_type != V_ASN1_OBJECT ||
      OBJ_obj2nid(static_cast<const ASN1_OBJECT*>(curve)) != NID_X9_62_prime256v1)
    return unsupported("its key is not on the curve P-256");
  if (size != 65 || bits[0] != 4) return unsupported("its key is not an uncompressed point");
  auto key = P256Key::from_point(base::array_at<64>(ByteView(bits, 65), 1));
  if (!key) return malformed("its key is not a point of P-256");
  return *key;
}

std::optional<Bytes> bytes_or_nothing(const ASN1_OCTET_STRING* s) {
  return s == nullptr ? std::nullopt : std::optional(bytes_of(s));
}

void read_extensions(X509* x509, Certificate& out) {
  std::uint32_t flags = X509_get_extension_flags(x509);
  out.extensions_understood = (flags & (EXFLAG_INVALID | EXFLAG_CRITICAL)) == 0;
  out.is_ca = (flags & EXFLAG_BCONS) != 0 && (flags & EXFLAG_CA) != 0;
  if (long length = X509_get_pathlen(x509); length >= 0) out.path_length = length;
  if ((flags & EXFLAG_KUSAGE) != 0) {
    std::uint32_t usage = X509_get_key_usage(x509);
    out.signs_certificates = (usage & KU_KEY_CERT_SIGN) != 0;
    out.signs_crls = (usage & KU_CRL_SIGN) != 0;
    out.signs_data = (usage & KU_DIGITAL_SIGNATURE) != 0;
  }
  out.subject_key_id = bytes_or_nothing(X509_get0_subject_key_id(x509));
  out.authority_key_id = bytes_or_nothing(X509_get0_authority_key_id(x509));

  OpensslPtr<ASN1_OBJECT, ASN1_OBJECT_free> oid(OBJ_txt2obj(kSgxExtensionOid, 1));
  int at = X509_get_ext_by_OBJ(x509, oid.get(), -1);
  if (at < 0) return;
  out.sgx_extension = bytes_of(X509_EXTENSION_get_data(X509_get_ext(x509, at)));
  if (X509_get_ext_by_OBJ(x509, oid.get(), at) >= 0) out.extensions_understood = false;
}

Result<Certificate> read(ByteView der, auto&& make) {
  const unsigned char* at = der.data();
  std::shared_ptr<X509> x509(d2i_X509(nullptr, &at, static_cast<long>(der.size())), X509_free);
  if (!x509) return malformed("it is not X.509 in DER");
  if (at != der.data() + der.size()) return malformed("bytes follow after its end");
  if (X509_get_version(x509.get()) != X509_VERSION_3) return unsupported("it is not of version 3");
  if (X509_get_signature_nid(x509.get()) != NID_ecdsa_with_SHA256)
    return unsupported("its signature is not ecdsa-with-SHA256");
  const ASN1_INTEGER* serial = X509_get0_serialNumber(x509.get());
  if (ASN1_STRING_type(serial) != V_ASN1_INTEGER) return malformed("its serial number is negative");
  auto from = time_of(X509_get0_notBefore(x509.get())), until = time_of(X509_get0_notAfter(x509.get()));
  if (!from || !until) return malformed("its validity is not a pair of times");
  ENCLAYER_TRY(P256Key key, key_of(x509.get()));

  Certificate out = make(x509, std::move(key));
  out.validity = {*from, *until};
  out.serial = bytes_of(serial);
  out.subject = printable(X509_get_subject_name(x509.get()));
  out.issuer = printable(X509_get_issuer_name(x509.get()));
  out.common_name = first_common_name(X509_get_subject_name(x509.get()));
  read_extensions(x509.get(), out);
  return out;
}

}  // namespace

Result<Certificate> Certificate::from_der(ByteView der) {
  auto out = read(der, [](std::shared_ptr<X509> x509, P256Key public_key) {
    return Certificate(std::move(x509), std::move(public_key));
  });
  ERR_clear_error();
  return out;
}

bool Certificate::names_as_issuer(const Certificate& issuer_certificate) const {
  if (X509_NAME_cmp(X509_get_issuer_name(x509()), X509_get_subject_name(issuer_certificate.x509())) != 0) return false;
  return !authority_key_id || authority_key_id == issuer_certificate.subject_key_id;
}

bool Certificate::signed_by(const P256Key& signer) const {
  bool good = X509_verify(x509(), signer.evp()) == 1;
  ERR_clear_error();
  return good;
}

bool says_simulated(const Certificate& certificate) {
  return certificate.subject.find("SIMULATED") != std::string::npos ||
         certificate.issuer.find("SIMULATED") != std::string::npos;
}

Result<std::vector<Certificate>> certificates_from_pem(std::string_view text) {
  ENCLAYER_TRY(std::vector<Bytes> blocks, certificates_in_pem(text));
  std::vector<Certificate> out;
  for (const Bytes& der : blocks) {
    ENCLAYER_TRY(Certificate certificate, Certificate::from_der(der));
    out.push_back(std::move(certificate));
  }
  return out;
}

}  // namespace enclayer::attestation
