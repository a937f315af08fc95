// SPDX-License-Identifier: Apache-2.0
#include "attest/server_certificate.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <algorithm>

#include "attest/certificate.h"
#include "attestation/openssl.h"
#include "base/bytes.h"
#include "base/file.h"
#include "base/log.h"
#include "base/printable.h"

namespace enclayer::attest {
namespace {

namespace fs = std::filesystem;
using attestation::OpensslPtr;

constexpr std::chrono::minutes kSkew{5};    // of clients' clocks
constexpr std::size_t kMaxCommonName = 64;  // RFC 5280, appendix A.1

// Somebody who holds a certificate and its key; empty: nobody.
struct Holder {
  OpensslPtr<EVP_PKEY, EVP_PKEY_free> key;
  OpensslPtr<X509, X509_free> certificate;

  explicit operator bool() const { return key && certificate; }
  Time ends() const { return attestation::time_of(::X509_get0_notAfter(certificate.get())).value_or(Time{}); }
};

bool is_dns_name(std::string_view name) {
  // An address is none: its last label is a number (RFC 1123, section 2.1).
  if (name.substr(name.rfind('.') + 1).find_first_not_of("0123456789") == name.npos) return false;
  if (name.empty() || name.size() > 253 || name.front() == '.' || name.back() == '.' || name.front() == '-')
    return false;
  return name.find("..") == name.npos && name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-.") == name.npos;
}

OpensslPtr<BIO, BIO_free_all> reading(const std::string& text) {
  return OpensslPtr<BIO, BIO_free_all>(::BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

// Empty where one of the files is missing or damaged, or they do not belong together.
Holder read_holder(const fs::path& certificate, const fs::path& key) {
  const auto certificate_pem = base::read_text(certificate, kMaxPem), key_pem = base::read_text(key, kMaxPem);
  if (!certificate_pem || !key_pem) return {};
  auto no_passphrase = [](char*, int, int, void*) { return 0; };
  Holder out;
  out.key.reset(::PEM_read_bio_PrivateKey(reading(*key_pem).get(), nullptr, no_passphrase, nullptr));
  out.certificate.reset(::PEM_read_bio_X509(reading(*certificate_pem).get(), nullptr, nullptr, nullptr));
  const bool fit = out && ::X509_check_private_key(out.certificate.get(), out.key.get()) == 1;
  ::ERR_clear_error();
  return fit ? std::move(out) : Holder();
}

std::string pem_of(const Holder& holder) {
  OpensslPtr<BIO, BIO_free_all> out(::BIO_new(::BIO_s_mem()));
  ::PEM_write_bio_X509(out.get(), holder.certificate.get());
  return attestation::text_of(out.get());
}

std::string key_pem_of(const Holder& holder) {
  OpensslPtr<BIO, BIO_free_all> out(::BIO_new(::BIO_s_mem()));
  ::PEM_write_bio_PrivateKey(out.get(), holder.key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  return attestation::text_of(out.get());
}

Result<> write_holder(const Holder& holder, const fs::path& certificate, const fs::path& key) {
  ENCLAYER_CHECK(base::write_file_atomic(key, base::as_bytes(key_pem_of(holder)), 0600));
  return base::write_file_atomic(certificate, base::as_bytes(pem_of(holder)), 0600);
}

std::string joined(const std::vector<std::string>& names, const std::string& before) {
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "" : ",") + before + name;
  return out;
}

// By itself where there is no issuer.
Result<Holder> issue(const std::string& name, Time from, Time until,
                     const std::vector<CertificateExtension>& extensions, const Holder* issuer) {
  Holder out;
  out.key.reset(EVP_EC_gen("P-256"));
  if (out.key)
    out.certificate = make_certificate(out.key.get(), name, from, until, extensions,
                                       issuer == nullptr ? nullptr : issuer->certificate.get(),
                                       issuer == nullptr ? nullptr : issuer->key.get());
  if (!out) return Error(ErrorKind::kInternal, "OpenSSL cannot make a certificate for " + name);
  return out;
}

// The names that it is for, in their order, as joined().
std::string names_of(const X509* certificate) {
  std::string out;
  OpensslPtr<GENERAL_NAMES, GENERAL_NAMES_free> names(
      static_cast<GENERAL_NAMES*>(::X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type == GEN_DNS)
      out += (out.empty() ? "" : ",") + std::string(base::as_text(attestation::bytes_of(name->d.dNSName)));
  }
  return out;
}

}  // namespace

Result<ServerCertificate> ServerCertificate::open(fs::path folder, std::vector<std::string> names) {
  if (names.empty() || names.size() > kMaxNames)
    return Error(ErrorKind::kInvalidArgument, "a certificate is for 1 to " + std::to_string(kMaxNames) +
                                                  " names, and " + std::to_string(names.size()) + " are given");
  for (const std::string& name : names)
    if (!is_dns_name(name))
      return Error(ErrorKind::kInvalidArgument,
                   base::printable(name, 100) + " is no DNS name in lower case, as attest.example.com");
  return ServerCertificate(std::move(folder), std::move(names));
}

Result<> ServerCertificate::renew(Time now) const {
  ENCLAYER_CHECK(base::make_folder(folder_, 0700));
  const fs::path authority_key = folder_ / "ca.key";
  Holder authority = read_holder(this->authority(), authority_key);
  const Holder current = read_holder(certificate(), key());
  const bool same_names = current && names_of(current.certificate.get()) == joined(names_, "");
  const bool trusted = authority && now + kLife <= authority.ends() && (same_names || !current);
  if (!trusted) {
    const Time until = now + kAuthorityLife;
    ENCLAYER_TRY(authority, issue("enclayer-attest authority " + format_time(now), now - kSkew, until,
                                  {{NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
                                   {NID_key_usage, "critical,keyCertSign,cRLSign"},
                                   {NID_subject_key_identifier, "hash"},
                                   {NID_name_constraints, "critical," + joined(names_, "permitted;DNS:")}},
                                  nullptr));
    ENCLAYER_CHECK(write_holder(authority, this->authority(), authority_key));
    base::log::info("authority for our certificate made", {{"until", format_time(until)}});
  } else if (current && ::X509_verify(current.certificate.get(), authority.key.get()) == 1 &&
             now + kLife / 3 <= current.ends()) {
    return {};
  }
  ::ERR_clear_error();
  const std::string& name = names_.front();
  const Time until = now + kLife;
  ENCLAYER_TRY(const Holder made, issue(name.size() <= kMaxCommonName ? name : "enclayer-attest", now - kSkew, until,
                                        {{NID_basic_constraints, "critical,CA:FALSE"},
                                         {NID_key_usage, "critical,digitalSignature"},
                                         {NID_ext_key_usage, "serverAuth"},
                                         {NID_subject_key_identifier, "hash"},
                                         {NID_authority_key_identifier, "keyid:always"},
                                         {NID_subject_alt_name, joined(names_, "DNS:")}},
                                        &authority));
  ENCLAYER_CHECK(write_holder(made, certificate(), key()));
  base::log::info("certificate made", {{"name", name}, {"until", format_time(until)}});
  return {};
}

}  // namespace enclayer::attest
