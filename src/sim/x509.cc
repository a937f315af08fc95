// SPDX-License-Identifier: Apache-2.0
#include "sim/x509.h"

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <cstdlib>

#include "attestation/openssl.h"
#include "base/bytes.h"

namespace enclayer::sim {
namespace {

using attestation::OpensslPtr;
using Certificate = OpensslPtr<X509, X509_free>;
using Crl = OpensslPtr<X509_CRL, X509_CRL_free>;
using Integer = OpensslPtr<ASN1_INTEGER, ASN1_INTEGER_free>;
using Asn1Time = OpensslPtr<ASN1_TIME, ASN1_TIME_free>;

constexpr long kX509V3 = 2, kCrlV2 = 1;  // versions count from zero

EVP_PKEY* pkey(const SigningKey& key) { return static_cast<EVP_PKEY*>(key.evp_pkey()); }
std::time_t in_seconds(Time time) { return static_cast<std::time_t>(time.time_since_epoch().count()); }
Asn1Time asn1_time(Time time) { return Asn1Time(ASN1_TIME_set(nullptr, in_seconds(time))); }

Integer asn1_integer(const Serial& serial) {
  BIGNUM* number = BN_bin2bn(serial.data(), static_cast<int>(serial.size()), nullptr);
  Integer out(BN_to_ASN1_INTEGER(number, nullptr));
  BN_free(number);
  return out;
}

Certificate read_certificate(const std::string& pem) {
  OpensslPtr<BIO, BIO_free_all> in(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  Certificate out(in ? PEM_read_bio_X509(in.get(), nullptr, nullptr, nullptr) : nullptr);
  ERR_clear_error();
  return out;
}

// ---- DER, as much of it as the SGX extension needs ----

Bytes der(std::uint8_t tag, ByteView content) {
  Bytes out = {tag};
  if (content.size() >= 0x100) {
    out.push_back(0x82);
    out.push_back(static_cast<std::uint8_t>(content.size() >> 8));
  } else if (content.size() >= 0x80) {
    out.push_back(0x81);
  }
  out.push_back(static_cast<std::uint8_t>(content.size()));
  base::append(out, content);
  return out;
}

Bytes der_number(std::uint8_t tag, std::uint16_t value) {
  Bytes content;
  if (value >= 0x8000) content.push_back(0);
  if (value >= 0x80) content.push_back(static_cast<std::uint8_t>(value >> 8));
  content.push_back(static_cast<std::uint8_t>(value));
  return der(tag, content);
}
Bytes der_integer(std::uint16_t value) { return der_number(V_ASN1_INTEGER, value); }
Bytes der_octets(ByteView bytes) { return der(V_ASN1_OCTET_STRING, bytes); }
Bytes der_boolean(bool yes) { return der(V_ASN1_BOOLEAN, Bytes{static_cast<std::uint8_t>(yes ? 0xff : 0)}); }

constexpr std::uint8_t kSequence = 0x30;

// SEQUENCE { OID 1.2.840.113741.1.13.1.<suffix>, value }
Bytes sgx_item(const std::string& suffix, ByteView value) {
  OpensslPtr<ASN1_OBJECT, ASN1_OBJECT_free> oid(OBJ_txt2obj(("1.2.840.113741.1.13.1." + suffix).c_str(), 1));
  if (!oid) std::abort();  // a constant of ours
  Bytes content = der(V_ASN1_OBJECT, {OBJ_get0_data(oid.get()), OBJ_length(oid.get())});
  base::append(content, value);
  return der(kSequence, content);
}

Bytes sgx_extension(const SgxExtension& sgx) {
  Bytes tcb;
  for (std::size_t i = 0; i < sgx.components.size(); ++i)
    base::append(tcb, sgx_item("2." + std::to_string(i + 1), der_integer(sgx.components[i])));
  base::append(tcb, sgx_item("2.17", der_integer(sgx.pce_svn)));
  base::append(tcb, sgx_item("2.18", der_octets(sgx.cpu_svn)));

  Bytes items = sgx_item("1", der_octets(sgx.ppid));
  base::append(items, sgx_item("2", der(kSequence, tcb)));
  base::append(items, sgx_item("3", der_octets(sgx.pce_id)));
  base::append(items, sgx_item("4", der_octets(sgx.fmspc)));
  base::append(items, sgx_item("5", der_number(V_ASN1_ENUMERATED, static_cast<std::uint16_t>(sgx.sgx_type))));
  if (sgx.platform) {
    Bytes configuration = sgx_item("7.1", der_boolean(sgx.platform->dynamic_platform));
    base::append(configuration, sgx_item("7.2", der_boolean(sgx.platform->cached_keys)));
    base::append(configuration, sgx_item("7.3", der_boolean(sgx.platform->smt_enabled)));
    base::append(items, sgx_item("6", der_octets(sgx.platform->instance_id)));
    if (sgx.platform->has_configuration) base::append(items, sgx_item("7", der(kSequence, configuration)));
  }
  return der(kSequence, items);
}

bool add_sgx_extension(X509* certificate, const SgxExtension& sgx) {
  Bytes value = sgx_extension(sgx);
  OpensslPtr<ASN1_OBJECT, ASN1_OBJECT_free> oid(OBJ_txt2obj("1.2.840.113741.1.13.1", 1));
  OpensslPtr<ASN1_OCTET_STRING, ASN1_OCTET_STRING_free> octets(ASN1_OCTET_STRING_new());
  if (!oid || !octets || ASN1_OCTET_STRING_set(octets.get(), value.data(), static_cast<int>(value.size())) != 1)
    return false;
  OpensslPtr<X509_EXTENSION, X509_EXTENSION_free> extension(
      X509_EXTENSION_create_by_OBJ(nullptr, oid.get(), 0, octets.get()));
  return extension && X509_add_ext(certificate, extension.get(), -1) == 1;
}

bool add_extension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX ctx;
  X509V3_set_ctx(&ctx, issuer, certificate, nullptr, nullptr, 0);
  OpensslPtr<X509_EXTENSION, X509_EXTENSION_free> extension(X509V3_EXT_conf_nid(nullptr, &ctx, nid, value.c_str()));
  return extension && X509_add_ext(certificate, extension.get(), -1) == 1;
}

bool set_name(X509* certificate, const CertificateOrder& order) {
  X509_NAME* name = X509_get_subject_name(certificate);
  auto add = [&](const char* field, const std::string& value) {
    return X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(value.data()),
                                      static_cast<int>(value.size()), -1, 0) == 1;
  };
  return add("CN", order.common_name) && add("O", order.organization);
}

}  // namespace

Serial random_serial() {
  Serial serial{};
  if (RAND_bytes(serial.data(), static_cast<int>(serial.size())) != 1) std::abort();  // no randomness, no keys
  serial[0] = static_cast<std::uint8_t>((serial[0] & 0x3f) | 0x40);
  return serial;
}

Result<std::string> issue_certificate(const CertificateOrder& order, const SigningKey& subject,
                                      const Identity* issuer) {
  Certificate certificate(X509_new());
  Certificate issuer_certificate = issuer ? read_certificate(issuer->certificate) : nullptr;
  Integer serial = asn1_integer(order.serial);
  Asn1Time not_before = asn1_time(order.not_before), not_after = asn1_time(order.not_after);
  if (!certificate || (issuer && !issuer_certificate) || !serial || !not_before || !not_after)
    return openssl_failed("begin the certificate " + order.common_name);
  X509* self = certificate.get();
  X509* signer = issuer ? issuer_certificate.get() : self;
  bool filled = X509_set_version(self, kX509V3) == 1 && X509_set_serialNumber(self, serial.get()) == 1 &&
                set_name(self, order) && X509_set_issuer_name(self, X509_get_subject_name(signer)) == 1 &&
                X509_set1_notBefore(self, not_before.get()) == 1 && X509_set1_notAfter(self, not_after.get()) == 1 &&
                X509_set_pubkey(self, pkey(subject)) == 1 &&
                // The subject's key identifier first: a root's own is its authority's.
                add_extension(self, signer, NID_subject_key_identifier, "hash") &&
                add_extension(self, signer, NID_authority_key_identifier, "keyid:always") &&
                add_extension(self, signer, NID_crl_distribution_points, "URI:" + order.crl_url) &&
                add_extension(self, signer, NID_key_usage, order.key_usage) &&
                add_extension(self, signer, NID_basic_constraints, order.basic_constraints) &&
                (!order.sgx || add_sgx_extension(self, *order.sgx));
  if (!filled || X509_sign(self, pkey(issuer ? issuer->key : subject), EVP_sha256()) == 0)
    return openssl_failed("make the certificate " + order.common_name);

  OpensslPtr<BIO, BIO_free_all> out(BIO_new(BIO_s_mem()));
  if (!out || PEM_write_bio_X509(out.get(), self) != 1) return openssl_failed("write a certificate");
  char* data = nullptr;
  long size = BIO_get_mem_data(out.get(), &data);
  return std::string(data, static_cast<std::size_t>(size));
}

Result<Bytes> issue_crl(const CrlOrder& order, const Identity& issuer) {
  Crl crl(X509_CRL_new());
  Certificate certificate = read_certificate(issuer.certificate);
  Asn1Time this_update = asn1_time(order.this_update), next_update = asn1_time(order.next_update);
  Integer number(ASN1_INTEGER_new());
  if (!crl || !certificate || !this_update || !next_update || !number ||
      ASN1_INTEGER_set_uint64(number.get(), order.number.value_or(0)) != 1 ||
      X509_CRL_set_version(crl.get(), kCrlV2) != 1 ||
      X509_CRL_set_issuer_name(crl.get(), X509_get_subject_name(certificate.get())) != 1 ||
      X509_CRL_set1_lastUpdate(crl.get(), this_update.get()) != 1 ||
      X509_CRL_set1_nextUpdate(crl.get(), next_update.get()) != 1)
    return openssl_failed("begin a revocation list");
  for (const Serial& revoked : order.revoked) {
    OpensslPtr<X509_REVOKED, X509_REVOKED_free> entry(X509_REVOKED_new());
    Integer serial = asn1_integer(revoked);
    if (!entry || !serial || X509_REVOKED_set_serialNumber(entry.get(), serial.get()) != 1 ||
        X509_REVOKED_set_revocationDate(entry.get(), this_update.get()) != 1 ||
        X509_CRL_add0_revoked(crl.get(), entry.get()) != 1)
      return openssl_failed("put a serial number on a revocation list");
    static_cast<void>(entry.release());  // the list has it
  }
  X509V3_CTX ctx;
  X509V3_set_ctx(&ctx, certificate.get(), nullptr, nullptr, crl.get(), 0);
  OpensslPtr<X509_EXTENSION, X509_EXTENSION_free> authority(
      X509V3_EXT_conf_nid(nullptr, &ctx, NID_authority_key_identifier, "keyid:always"));
  if (!authority || X509_CRL_add_ext(crl.get(), authority.get(), -1) != 1 ||
      (order.number && X509_CRL_add1_ext_i2d(crl.get(), NID_crl_number, number.get(), 0, 0) != 1) ||
      X509_CRL_sort(crl.get()) != 1 || X509_CRL_sign(crl.get(), pkey(issuer.key), EVP_sha256()) == 0)
    return openssl_failed("make a revocation list");
  Bytes out(static_cast<std::size_t>(std::max(0, i2d_X509_CRL(crl.get(), nullptr))));
  unsigned char* at = out.data();
  if (i2d_X509_CRL(crl.get(), &at) <= 0) return openssl_failed("write a revocation list");
  return out;
}

Result<> check_identity(const Identity& identity, const Identity* issuer, Time now) {
  auto damaged = [](const char* how) { return Error(ErrorKind::kMalformed, how); };
  Certificate certificate = read_certificate(identity.certificate);
  if (!certificate) return damaged("not a certificate in PEM form");
  bool fits = X509_check_private_key(certificate.get(), pkey(identity.key)) == 1;
  bool issued = X509_verify(certificate.get(), pkey(issuer ? issuer->key : identity.key)) == 1;
  ERR_clear_error();
  if (!fits) return damaged("the certificate is for another key than the one beside it");
  if (!issued) return damaged("the certificate was not signed by the authority beside it");
  std::time_t at = in_seconds(now);
  if (X509_cmp_time(X509_get0_notAfter(certificate.get()), &at) <= 0) return damaged("the certificate has expired");
  if (X509_cmp_time(X509_get0_notBefore(certificate.get()), &at) > 0)
    return damaged("the certificate is not valid yet: is this machine's clock right?");
  return {};
}

}  // namespace enclayer::sim
