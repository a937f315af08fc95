#include "attestation/certificate.h"

#include <openssl/err.h>
#include <openssl/obj_mac.h>
#include <openssl/provider.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "attestation/der.h"
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

// The extension of that kind, decoded; null when there is none. A second one, or one that cannot be decoded, clears
// `understood`.
template <class T, auto release>
OpensslPtr<T, release> extension(const X509* x509, int kind, bool& understood) {
  int critical = 0;
  OpensslPtr<T, release> out(static_cast<T*>(X509_get_ext_d2i(x509, kind, &critical, nullptr)));
  if (!out && critical != -1) understood = false;
  return out;
}

void read_extensions(X509* x509, Certificate& out) {
  bool& understood = out.extensions_understood;
  understood = (X509_get_extension_flags(x509) & (EXFLAG_INVALID | EXFLAG_CRITICAL)) == 0;
  if (auto constraints =
          extension<BASIC_CONSTRAINTS, BASIC_CONSTRAINTS_free>(x509, NID_basic_constraints, understood)) {
    out.is_ca = constraints->ca != 0;
    if (constraints->pathlen != nullptr) {
      long length = ASN1_INTEGER_get(constraints->pathlen);
      if (length < 0) understood = false;
      out.path_length = length;
    }
  }
  if (auto usage = extension<ASN1_BIT_STRING, ASN1_BIT_STRING_free>(x509, NID_key_usage, understood)) {
    // Bits by their numbers in RFC 5280, 4.2.1.3.
    out.signs_data = ASN1_BIT_STRING_get_bit(usage.get(), 0) == 1;
    out.signs_certificates = ASN1_BIT_STRING_get_bit(usage.get(), 5) == 1;
    out.signs_crls = ASN1_BIT_STRING_get_bit(usage.get(), 6) == 1;
  }
  if (auto id = extension<ASN1_OCTET_STRING, ASN1_OCTET_STRING_free>(x509, NID_subject_key_identifier, understood))
    out.subject_key_id = bytes_of(id.get());
  if (auto id = extension<AUTHORITY_KEYID, AUTHORITY_KEYID_free>(x509, NID_authority_key_identifier, understood);
      id && id->keyid != nullptr)
    out.authority_key_id = bytes_of(id->keyid);

  OpensslPtr<ASN1_OBJECT, ASN1_OBJECT_free> oid(OBJ_txt2obj(kSgxExtensionOid, 1));
  int at = X509_get_ext_by_OBJ(x509, oid.get(), -1);
  if (at < 0) return;
  out.sgx_extension = bytes_of(X509_EXTENSION_get_data(X509_get_ext(x509, at)));
  if (X509_get_ext_by_OBJ(x509, oid.get(), at) >= 0) understood = false;
}

// OpenSSL 3.0 decodes the public key of every certificate that it reads, by asking all providers: that takes five times
// as long as everything else about the certificate. key_of() below does not need it; where there is no provider, there
// is nobody to ask. What OpenSSL computes with a provider (fingerprints, and answers that it gives only when it has
// one) must not be asked of such a certificate.
OSSL_LIB_CTX* without_providers() {
  static OSSL_LIB_CTX* const kContext = [] {
    OSSL_LIB_CTX* context = OSSL_LIB_CTX_new();
    if (context != nullptr) OSSL_PROVIDER_load(context, "null");  // otherwise the default one comes by itself
    return context;
  }();
  return kContext;
}

// The bytes that the signature is over, as they stand in the certificate.
std::optional<ByteView> tbs_certificate(ByteView der) {
  DerReader whole(der);
  auto content = whole.next(DerReader::kSequence);
  if (!content || !whole.done()) return std::nullopt;
  auto tbs = DerReader(*content).next(DerReader::kSequence);
  if (!tbs) return std::nullopt;
  return ByteView(content->data(), tbs->data() + tbs->size());
}

Result<Certificate> read(ByteView der, auto&& make) {
  if (der.size() > Certificate::kMaxSize)
    return malformed("it has " + std::to_string(der.size()) + " bytes, at most " +
                     std::to_string(Certificate::kMaxSize) + " are read");
  const unsigned char* at = der.data();
  X509* fresh = X509_new_ex(without_providers(), nullptr);
  std::shared_ptr<X509> x509(d2i_X509(&fresh, &at, static_cast<long>(der.size())), X509_free);
  if (!x509) return malformed("it is not X.509 in DER");
  if (at != der.data() + der.size()) return malformed("bytes follow after its end");
  auto signed_bytes = tbs_certificate(der);
  if (!signed_bytes) return malformed("it is not X.509 in DER");
  if (X509_get_version(x509.get()) != X509_VERSION_3) return unsupported("it is not of version 3");
  const ASN1_BIT_STRING* signature = nullptr;
  const X509_ALGOR* algorithm = nullptr;
  X509_get0_signature(&signature, &algorithm, x509.get());
  if (X509_get_signature_nid(x509.get()) != NID_ecdsa_with_SHA256)
    return unsupported("its signature is not ecdsa-with-SHA256");
  if (X509_ALGOR_cmp(algorithm, X509_get0_tbs_sigalg(x509.get())) != 0)
    return malformed("it names two algorithms for its signature");
  if ((signature->flags & 7) != 0) return malformed("its signature is not a whole number of bytes");
  const ASN1_INTEGER* serial = X509_get0_serialNumber(x509.get());
  if (ASN1_STRING_type(serial) != V_ASN1_INTEGER) return malformed("its serial number is negative");
  auto from = time_of(X509_get0_notBefore(x509.get())), until = time_of(X509_get0_notAfter(x509.get()));
  if (!from || !until) return malformed("its validity is not a pair of times");
  ENCLAYER_TRY(P256Key key, key_of(x509.get()));

  Certificate out = make(x509, std::move(key), *signed_bytes, bytes_of(signature));
  out.digest = sha256(der);
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
  auto out = read(der, [](auto&&... parts) { return Certificate(std::forward<decltype(parts)>(parts)...); });
  ERR_clear_error();
  return out;
}

bool Certificate::names_as_issuer(const Certificate& issuer_certificate) const {
  if (X509_NAME_cmp(X509_get_issuer_name(x509()), X509_get_subject_name(issuer_certificate.x509())) != 0) return false;
  return !authority_key_id || authority_key_id == issuer_certificate.subject_key_id;
}

bool Certificate::signed_by(const P256Key& signer) const { return signer.signed_this_der(signed_bytes_, signature_); }

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
