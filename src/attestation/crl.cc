#include "attestation/crl.h"

#include <openssl/err.h>
#include <openssl/obj_mac.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <algorithm>

#include "attestation/openssl.h"

namespace enclayer::attestation {
namespace {

Error malformed(std::string message) { return {ErrorKind::kMalformed, "CRL: " + std::move(message)}; }

Result<> read_extensions(X509_CRL* crl, Crl& out) {
  for (int i = 0; i < X509_CRL_get_ext_count(crl); ++i)
    if (X509_EXTENSION_get_critical(X509_CRL_get_ext(crl, i)) != 0) out.extensions_understood = false;
  out.has_number = X509_CRL_get_ext_by_NID(crl, NID_crl_number, -1) >= 0;
  int at = X509_CRL_get_ext_by_NID(crl, NID_authority_key_identifier, -1);
  if (at < 0) return {};
  OpensslPtr<AUTHORITY_KEYID, AUTHORITY_KEYID_free> id(
      static_cast<AUTHORITY_KEYID*>(X509V3_EXT_d2i(X509_CRL_get_ext(crl, at))));
  if (!id) return malformed("its authority key identifier is damaged");
  if (id->keyid != nullptr) out.authority_key_id = bytes_of(id->keyid);
  return {};
}

Result<Crl> read(ByteView der, auto&& make) {
  if (der.size() > Crl::kMaxSize)
    return malformed("it has " + std::to_string(der.size()) + " bytes, at most " + std::to_string(Crl::kMaxSize) +
                     " are read");
  const unsigned char* at = der.data();
  std::shared_ptr<X509_CRL> crl(d2i_X509_CRL(nullptr, &at, static_cast<long>(der.size())), X509_CRL_free);
  if (!crl) return malformed("it is not an X.509 CRL in DER");
  if (at != der.data() + der.size()) return malformed("bytes follow after its end");
  if (X509_CRL_get_signature_nid(crl.get()) != NID_ecdsa_with_SHA256)
    return Error(ErrorKind::kUnsupported, "CRL: its signature is not ecdsa-with-SHA256");
  auto from = time_of(X509_CRL_get0_lastUpdate(crl.get())), until = time_of(X509_CRL_get0_nextUpdate(crl.get()));
  if (!from || !until) return malformed("it lacks thisUpdate or nextUpdate");

  Crl out = make(crl);
  out.digest = sha256(der);
  out.validity = {*from, *until};
  out.issuer = printable(X509_CRL_get_issuer(crl.get()));
  ENCLAYER_CHECK(read_extensions(crl.get(), out));
  STACK_OF(X509_REVOKED)* entries = X509_CRL_get_REVOKED(crl.get());
  for (int i = 0; i < sk_X509_REVOKED_num(entries); ++i)
    out.revoked.push_back(bytes_of(X509_REVOKED_get0_serialNumber(sk_X509_REVOKED_value(entries, i))));
  std::sort(out.revoked.begin(), out.revoked.end());
  return out;
}

}  // namespace

Result<Crl> Crl::from_der(ByteView der) {
  auto out = read(der, [](std::shared_ptr<X509_CRL> crl) { return Crl(std::move(crl)); });
  ERR_clear_error();
  return out;
}

bool Crl::names_as_issuer(const Certificate& ca) const {
  return X509_NAME_cmp(X509_CRL_get_issuer(crl_.get()), X509_get_subject_name(ca.x509())) == 0;
}

bool Crl::signed_by(const P256Key& key) const {
  bool good = X509_CRL_verify(crl_.get(), key.evp()) == 1;
  ERR_clear_error();
  return good;
}

bool Crl::revokes(const Certificate& certificate) const {
  return std::binary_search(revoked.begin(), revoked.end(), certificate.serial);
}

}  // namespace enclayer::attestation
