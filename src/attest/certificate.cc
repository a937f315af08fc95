// SPDX-License-Identifier: Apache-2.0
#include "attest/certificate.h"

#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

namespace enclayer::attest {

using attestation::OpensslPtr;

CertificatePtr make_certificate(EVP_PKEY* key, const std::string& name, Time from, Time until,
                                const std::vector<CertificateExtension>& extensions, X509* issuer,
                                EVP_PKEY* issuer_key) {
  CertificatePtr out(::X509_new());
  ByteArray<16> serial{};
  if (!out || ::RAND_bytes(serial.data(), static_cast<int>(serial.size())) != 1) return nullptr;
  serial[0] = (serial[0] & 0x7f) | 0x40;
  OpensslPtr<BIGNUM, BN_free> number(::BN_bin2bn(serial.data(), static_cast<int>(serial.size()), nullptr));
  auto seconds = [](Time time) { return static_cast<std::time_t>(time.time_since_epoch().count()); };
  X509* signer = issuer == nullptr ? out.get() : issuer;
  X509_NAME* subject = ::X509_get_subject_name(out.get());
  bool good =
      ::X509_set_version(out.get(), X509_VERSION_3) == 1 &&
      ::BN_to_ASN1_INTEGER(number.get(), ::X509_get_serialNumber(out.get())) != nullptr &&
      ::ASN1_TIME_set(::X509_getm_notBefore(out.get()), seconds(from)) != nullptr &&
      ::ASN1_TIME_set(::X509_getm_notAfter(out.get()), seconds(until)) != nullptr &&
      ::X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(name.data()),
                                   static_cast<int>(name.size()), -1, 0) == 1 &&
      ::X509_set_issuer_name(out.get(), ::X509_get_subject_name(signer)) == 1 && ::X509_set_pubkey(out.get(), key) == 1;
  X509V3_CTX context;
  X509V3_set_ctx(&context, signer, out.get(), nullptr, nullptr, 0);
  for (const CertificateExtension& one : extensions) {
    if (!good) break;
    OpensslPtr<X509_EXTENSION, X509_EXTENSION_free> extension(
        ::X509V3_EXT_conf_nid(nullptr, &context, one.kind, one.value.c_str()));
    good = extension && ::X509_add_ext(out.get(), extension.get(), -1) == 1;
  }
  good = good && ::X509_sign(out.get(), issuer_key == nullptr ? key : issuer_key, ::EVP_sha256()) > 0;
  ::ERR_clear_error();
  return good ? std::move(out) : nullptr;
}

}  // namespace enclayer::attest
