// SPDX-License-Identifier: Apache-2.0
#include "attestation/certificate.h"

#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/obj_mac.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <filesystem>
#include <random>

#include "attestation/crl.h"
#include "attestation/der.h"
#include "attestation/openssl.h"
#include "attestation/pem.h"
#include "base/bytes.h"
#include "base/file.h"
#include "base/hex.h"
#include "enclayer/quote.h"
#include "fake/openssl_name.h"
#include "fake/quote_case.h"

namespace enclayer::attestation {
namespace {

std::vector<Bytes> chain_der(const char* name) {
  auto quote = parse_quote(fake::quote_case(name).quote);
  return certificates_in_pem(base::as_text(quote->certification.data)).value();
}

std::vector<Certificate> chain(const char* name) {
  std::vector<Certificate> out;
  for (const Bytes& der : chain_der(name)) out.push_back(Certificate::from_der(der).value());
  return out;
}

constexpr char kProcessor[] = "A_phala_sgx_processor";
constexpr char kPlatform[] = "C_automata_sgx_platform";

TEST(Certificate, pck_certificate_says_what_it_is) {
  Certificate pck = chain(kProcessor)[0];
  EXPECT_EQ(pck.common_name(), "Intel SGX PCK Certificate");
  EXPECT_EQ(pck.issuer.text(), "C=US,ST=CA,L=Santa Clara,O=Intel Corporation,CN=Intel SGX PCK Processor CA");
  EXPECT_EQ(base::to_hex(pck.serial), "81b77732b761e98eb9b963a4abd1e5b9bf5dd8d6");
  EXPECT_EQ(format_time(pck.validity.from), "2023-09-20T21:53:43Z");
  EXPECT_EQ(format_time(pck.validity.until), "2030-09-20T21:53:43Z");
  EXPECT_FALSE(pck.is_ca);
  EXPECT_TRUE(pck.signs_data);
  EXPECT_FALSE(pck.signs_certificates);
  EXPECT_TRUE(pck.extensions_understood);
  EXPECT_TRUE(pck.sgx_extension);
  EXPECT_FALSE(says_simulated(pck));
}

TEST(Certificate, ca_certificates_say_what_they_may_sign) {
  std::vector<Certificate> all = chain(kPlatform);
  EXPECT_TRUE(all[1].is_ca);
  EXPECT_EQ(all[1].path_length, 0);
  EXPECT_EQ(all[2].path_length, 1);
  for (const Certificate& ca : {all[1], all[2]}) {
    EXPECT_TRUE(ca.signs_certificates);
    EXPECT_TRUE(ca.signs_crls);
    EXPECT_FALSE(ca.signs_data);
    EXPECT_FALSE(ca.sgx_extension);
  }
}

TEST(Certificate, chain_holds_together_and_no_other_way) {
  std::vector<Certificate> a = chain(kProcessor), c = chain(kPlatform);
  EXPECT_TRUE(a[0].names_as_issuer(a[1]) && a[0].signed_by(a[1].key));
  EXPECT_TRUE(a[1].names_as_issuer(a[2]) && a[1].signed_by(a[2].key));
  EXPECT_TRUE(a[2].names_as_issuer(a[2]) && a[2].signed_by(a[2].key));
  EXPECT_FALSE(a[0].names_as_issuer(c[1]));
  EXPECT_FALSE(a[0].signed_by(c[1].key));
  EXPECT_FALSE(a[0].signed_by(a[2].key));
  EXPECT_FALSE(a[1].names_as_issuer(a[1]));
}

TEST(Certificate, two_certificates_of_intels_root_have_one_key_but_not_one_date) {
  auto read = [](const char* name) {
    return Certificate::from_der(*base::read_file(fake::quote_data() / name, 4096)).value();
  };
  Certificate old_root = read("intel_root_2033.der"), new_root = read("intel_root_2049.der");
  EXPECT_EQ(old_root.key, new_root.key);
  EXPECT_EQ(old_root.serial, new_root.serial);
  EXPECT_EQ(format_time(old_root.validity.until).substr(0, 4), "2033");
  EXPECT_EQ(format_time(new_root.validity.until).substr(0, 4), "2049");
}

TEST(Certificate, cut_or_longer_der_is_refused) {
  Bytes der = chain_der(kProcessor)[0];
  for (std::size_t length = 0; length < der.size(); length += 13)
    EXPECT_FALSE(Certificate::from_der(ByteView(der).first(length))) << length;
  der.push_back(0);
  EXPECT_FALSE(Certificate::from_der(der));
}

TEST(Certificate, every_flipped_bit_breaks_the_parse_or_the_signature) {
  Bytes der = chain_der(kProcessor)[0];
  Certificate ca = chain(kProcessor)[1];
  for (std::size_t byte = 0; byte < der.size(); byte += 3) {
    Bytes changed = der;
    changed[byte] ^= static_cast<std::uint8_t>(1U << byte % 8);
    auto certificate = Certificate::from_der(changed);
    EXPECT_FALSE(certificate && certificate->signed_by(ca.key)) << byte;
  }
}

// ---- The same certificates as OpenSSL reads them ----

// Every certificate that lies in the test data.
std::vector<Bytes> real_certificates() {
  std::vector<Bytes> out;
  auto add = [&](const std::vector<Bytes>& more) {
    for (const Bytes& der : more)
      if (std::find(out.begin(), out.end(), der) == out.end()) out.push_back(der);
  };
  for (const char* name : {kProcessor, kPlatform}) {
    add(chain_der(name));
    add(certificates_in_pem(fake::quote_case(name).collateral.tcb_info_issuer_chain).value());
  }
  for (const auto& entry : std::filesystem::directory_iterator(fake::quote_data() / "../../../fuzz/corpus/certificate"))
    add({base::read_file(entry.path(), Certificate::kMaxSize).value()});
  return out;
}

template <class T, auto release>
OpensslPtr<T, release> extension(const X509* x509, int kind) {
  return OpensslPtr<T, release>(static_cast<T*>(X509_get_ext_d2i(x509, kind, nullptr, nullptr)));
}

std::optional<Bytes> bytes_if_any(const ASN1_STRING* s) { return s ? std::optional(bytes_of(s)) : std::nullopt; }

// Ours may refuse what OpenSSL takes; what ours takes, OpenSSL reads in the same way.
void expect_openssl_agrees(const Certificate& ours, ByteView der) {
  const unsigned char* at = der.data();
  OpensslPtr<X509, X509_free> theirs(d2i_X509(nullptr, &at, static_cast<long>(der.size())));
  ASSERT_TRUE(theirs);
  EXPECT_EQ(at, der.data() + der.size());
  EXPECT_EQ(X509_get_version(theirs.get()), X509_VERSION_3);
  EXPECT_EQ(X509_get_signature_nid(theirs.get()), NID_ecdsa_with_SHA256);
  fake::expect_same_text(ours.subject, X509_get_subject_name(theirs.get()));
  fake::expect_same_text(ours.issuer, X509_get_issuer_name(theirs.get()));
  int cn = X509_NAME_get_index_by_NID(X509_get_subject_name(theirs.get()), NID_commonName, -1);
  EXPECT_EQ(
      ours.common_name(),
      cn < 0 ? "" : printable(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(X509_get_subject_name(theirs.get()), cn))));
  EXPECT_EQ(ours.subject == ours.issuer,
            X509_NAME_cmp(X509_get_subject_name(theirs.get()), X509_get_issuer_name(theirs.get())) == 0);
  EXPECT_EQ(says_simulated(ours), (ours.subject.text() + ours.issuer.text()).find("SIMULATED") != std::string::npos);
  EXPECT_EQ(ASN1_STRING_type(X509_get0_serialNumber(theirs.get())), V_ASN1_INTEGER) << "not negative";
  EXPECT_EQ(ours.serial, bytes_of(X509_get0_serialNumber(theirs.get())));
  EXPECT_EQ(ours.validity.from, time_of(X509_get0_notBefore(theirs.get())));
  EXPECT_EQ(ours.validity.until, time_of(X509_get0_notAfter(theirs.get())));
  EVP_PKEY* key = X509_get0_pubkey(theirs.get());
  unsigned char* point = nullptr;
  std::size_t size = key != nullptr ? EVP_PKEY_get1_encoded_public_key(key, &point) : 0;
  ASSERT_EQ(size, 65U);
  EXPECT_TRUE(std::equal(point + 1, point + 65, ours.key.point().begin()));
  OPENSSL_free(point);
  if (ours.extensions_understood) {
    EXPECT_EQ(X509_get_extension_flags(theirs.get()) & EXFLAG_CRITICAL, 0U);
    auto constraints = extension<BASIC_CONSTRAINTS, BASIC_CONSTRAINTS_free>(theirs.get(), NID_basic_constraints);
    EXPECT_EQ(ours.is_ca, constraints && constraints->ca != 0);
    const ASN1_INTEGER* length = constraints ? constraints->pathlen : nullptr;
    EXPECT_EQ(ours.path_length, length ? std::optional(ASN1_INTEGER_get(length)) : std::nullopt);
    auto usage = extension<ASN1_BIT_STRING, ASN1_BIT_STRING_free>(theirs.get(), NID_key_usage);
    auto bit = [&](int number) { return usage && ASN1_BIT_STRING_get_bit(usage.get(), number) == 1; };
    EXPECT_EQ(ours.signs_data, bit(0));
    EXPECT_EQ(ours.signs_certificates, bit(5));
    EXPECT_EQ(ours.signs_crls, bit(6));
    auto id = extension<ASN1_OCTET_STRING, ASN1_OCTET_STRING_free>(theirs.get(), NID_subject_key_identifier);
    EXPECT_EQ(ours.subject_key_id, bytes_if_any(id.get()));
    auto ca_id = extension<AUTHORITY_KEYID, AUTHORITY_KEYID_free>(theirs.get(), NID_authority_key_identifier);
    bool damaged = !ca_id && X509_get_ext_by_NID(theirs.get(), NID_authority_key_identifier, -1) >= 0;
    if (!damaged) {  // in its names, which are not processed
      EXPECT_EQ(ours.authority_key_id, bytes_if_any(ca_id ? ca_id->keyid : nullptr));
    }
  }
  ERR_clear_error();
}

TEST(CertificateReader, reads_every_real_certificate_as_openssl_does) {
  std::vector<Bytes> all = real_certificates();
  ASSERT_GT(all.size(), 5U);
  for (const Bytes& der : all) {
    auto certificate = Certificate::from_der(der);
    ASSERT_TRUE(certificate) << certificate.error().message();
    EXPECT_TRUE(certificate->extensions_understood);
    expect_openssl_agrees(*certificate, der);
  }
}

TEST(CertificateReader, reads_every_certificate_with_a_flipped_bit_as_openssl_does_or_refuses_it) {
  std::size_t read = 0;
  for (const Bytes& der : real_certificates())
    for (std::size_t bit = 0; bit < der.size() * 8; bit += 11) {
      Bytes changed = der;
      changed[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
      auto certificate = Certificate::from_der(changed);
      if (!certificate) continue;
      SCOPED_TRACE(bit);
      expect_openssl_agrees(*certificate, changed);
      if (testing::Test::HasFailure()) return;
      ++read;
    }
  EXPECT_GT(read, 30U);
}

TEST(CertificateReader, reads_certificates_that_were_damaged_at_random_as_openssl_does_or_refuses_them) {
  std::mt19937 random(20'261'122);
  std::vector<Bytes> all = real_certificates();
  for (int i = 0; i < 2'000; ++i) {
    Bytes der = all[random() % all.size()];
    for (auto changes = 1 + random() % 3; changes-- > 0;)
      der[random() % der.size()] = static_cast<std::uint8_t>(random());
    if (auto certificate = Certificate::from_der(der)) expect_openssl_agrees(*certificate, der);
    if (testing::Test::HasFailure()) return;
  }
}

// ---- A certificate whose extensions are changed ----

Bytes element(std::uint8_t tag, const Bytes& content) {
  Bytes out = {tag};
  if (content.size() >= 0x100) {
    out.insert(out.end(), {0x82, static_cast<std::uint8_t>(content.size() >> 8)});
  } else if (content.size() >= 0x80) {
    out.push_back(0x81);
  }
  out.push_back(static_cast<std::uint8_t>(content.size() & 0xff));
  out.insert(out.end(), content.begin(), content.end());
  return out;
}

Bytes joined(std::initializer_list<Bytes> parts) {
  Bytes out;
  for (const Bytes& part : parts) out.insert(out.end(), part.begin(), part.end());
  return out;
}

// Extension 2.5.29.`number`.
Bytes extension_element(std::uint8_t number, const Bytes& value, bool critical = false) {
  return element(
      0x30,
      joined({{0x06, 0x03, 0x55, 0x1d, number}, critical ? Bytes{0x01, 0x01, 0xff} : Bytes{}, element(0x04, value)}));
}

// Intel's root with these extensions in the place of its own; no longer signed, of course.
Result<Certificate> root_with(const Bytes& extensions, Bytes* der = nullptr) {
  Bytes root = chain_der(kProcessor)[2];
  DerReader whole(*DerReader(root).next(DerReader::kSequence));
  DerReader list(*whole.next(DerReader::kSequence));
  ByteView algorithm = *whole.whole(DerReader::kSequence);
  Bytes before;
  while (!list.at(DerReader::constructed(3))) {
    auto part = list.next();
    Bytes whole_part = element(part->tag, Bytes(part->content.begin(), part->content.end()));
    before.insert(before.end(), whole_part.begin(), whole_part.end());
  }
  Bytes out = element(
      0x30,
      joined({element(0x30, joined({before, extensions.empty() ? Bytes{} : element(0xa3, element(0x30, extensions))})),
              Bytes(algorithm.begin(), algorithm.end()),
              {0x03, 0x02, 0x00, 0x01}}));
  if (der != nullptr) *der = out;
  return Certificate::from_der(out);
}

const Bytes kCa = {0x30, 0x06, 0x01, 0x01, 0xff, 0x02, 0x01, 0x01}, kSigns = {0x03, 0x02, 0x01, 0x06};

TEST(CertificateReader, reads_extensions_put_together_by_hand) {
  Bytes der;
  auto c = root_with(joined({extension_element(19, kCa, true), extension_element(15, kSigns, true)}), &der);
  ASSERT_TRUE(c) << c.error().message();
  EXPECT_TRUE(c->extensions_understood && c->is_ca && c->signs_certificates && c->signs_crls && !c->signs_data);
  EXPECT_EQ(c->path_length, 1);
  expect_openssl_agrees(*c, der);
  auto none = root_with({});
  ASSERT_TRUE(none) << none.error().message();
  EXPECT_TRUE(none->extensions_understood && !none->is_ca && !none->signs_certificates);
}

TEST(CertificateReader, does_not_understand_damaged_repeated_or_unknown_critical_extensions) {
  const Bytes ca = extension_element(19, kCa, true), usage = extension_element(15, kSigns, true);
  const Bytes alternative = {0x30, 0x03, 0x82, 0x01, 'x'};  // subjectAltName: a DNS name
  const std::pair<const char*, Bytes> rows[] = {
      {"basic constraints twice", joined({ca, ca, usage})},
      {"key usage twice", joined({ca, usage, usage})},
      {"basic constraints with something behind", extension_element(19, joined({kCa, {0x05, 0x00}}), true)},
      {"a negative path length", extension_element(19, {0x30, 0x06, 0x01, 0x01, 0xff, 0x02, 0x01, 0x80}, true)},
      {"a boolean that is neither", extension_element(19, {0x30, 0x03, 0x01, 0x01, 0x01}, true)},
      {"no usage", extension_element(15, {0x03, 0x02, 0x00, 0x00}, true)},
      {"usage without bits", extension_element(15, {0x03, 0x01, 0x00}, true)},
      {"usage with bits beyond its end", extension_element(15, {0x03, 0x02, 0x02, 0x07}, true)},
      {"a subject key id that is none", extension_element(14, {0x05, 0x00})},
      {"an authority key id that is none", extension_element(35, {0x05, 0x00})},
      {"an authority key id with something behind", extension_element(35, {0x30, 0x02, 0x05, 0x00})},
      {"a critical subject key id", extension_element(14, {0x04, 0x01, 0x01}, true)},
      {"a critical authority key id", extension_element(35, {0x30, 0x03, 0x80, 0x01, 0x01}, true)},
      {"a critical alternative name", extension_element(17, alternative, true)},
      {"critical name constraints", extension_element(30, {0x30, 0x00}, true)},
      {"critical CRL distribution points", extension_element(31, {0x30, 0x00}, true)},
      {"critical certificate policies", extension_element(32, {0x30, 0x00}, true)},
      {"a critical extended key usage", extension_element(37, {0x30, 0x00}, true)},
      {"an unknown one twice", joined({extension_element(99, {0x05, 0x00}), extension_element(99, {0x05, 0x00})})},
      {"an alternative name twice", joined({extension_element(17, alternative), extension_element(17, alternative)})},
      {"an unknown critical one", extension_element(99, {0x05, 0x00}, true)},
      {"a critical freshest CRL", extension_element(46, {0x30, 0x00}, true)}};
  for (const auto& [what, extensions] : rows) {
    auto c = root_with(extensions);
    ASSERT_TRUE(c) << what << ": " << c.error().message();
    EXPECT_FALSE(c->extensions_understood) << what;
  }
  for (const Bytes& extensions :
       {extension_element(17, alternative), extension_element(99, {0x05, 0x00}), extension_element(31, {0x30, 0x00}),
        extension_element(35, {0x30, 0x04, 0xa1, 0x02, 0x05, 0x00})}) {
    auto c = root_with(extensions);
    ASSERT_TRUE(c) << c.error().message();
    EXPECT_TRUE(c->extensions_understood) << "not critical and not processed";
  }
  EXPECT_FALSE(root_with({0x05, 0x00})) << "not an extension";
}

Bytes attribute_element(std::uint8_t tag, std::string_view text) {
  Bytes value = element(tag, Bytes(text.begin(), text.end()));
  return element(0x30, joined({{0x06, 0x03, 0x55, 0x04, 0x03}, value}));
}

std::optional<Name> name(std::uint8_t tag, std::string_view text) {
  return Name::from_der(element(0x30, element(0x31, attribute_element(tag, text))));
}

TEST(Name, is_compared_without_case_spaces_and_kind_of_string) {
  EXPECT_EQ(name(0x13, "SGX Root CA"), name(0x0c, " sgx  root ca "))
      << "neither case, spaces nor kind of string matter";
  EXPECT_NE(name(0x13, "SGX Root CA"), name(0x13, "SGX Root CB"));
  EXPECT_NE(name(0x13, "SGX RootCA"), name(0x13, "SGX Root CA"));
  Bytes twice = element(0x31, attribute_element(0x13, "x"));
  EXPECT_NE(name(0x13, "x"), Name::from_der(element(0x30, joined({twice, twice}))));
}

TEST(Name, is_escaped_for_the_terminal) {
  EXPECT_EQ(name(0x13, "SIMULATED, CA")->text(), "CN=SIMULATED\\, CA");
  EXPECT_EQ(name(0x13, " #a\"b ")->text(), "CN=\\ #a\\\"b\\ ");
  EXPECT_EQ(name(0x13, "#a")->text(), "CN=\\#a");
  EXPECT_EQ(name(0x0c, "a\\b\n\xc3\xa4")->common_name(), "a\\\\b\\0A\\C3\\A4");
  EXPECT_TRUE(name(0x13, "a SIMULATED one")->says("SIMULATED"));
  EXPECT_FALSE(name(0x13, "a simulated one")->says("SIMULATED"));
}

TEST(Name, is_made_of_single_printable_and_utf8_strings) {
  for (std::string_view text : {"\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x98\x80"}) {
    EXPECT_TRUE(name(0x0c, text)) << text;
    EXPECT_FALSE(name(0x0c, text.substr(0, text.size() - 1))) << text;
    EXPECT_FALSE(name(0x13, text)) << text;
  }
  // A byte that begins nothing, an overlong form, a surrogate, a character beyond the last one.
  for (std::string_view text : {"\xff", "\xc0\x80", "\xe0\x80\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\x80", ""})
    EXPECT_FALSE(name(0x0c, text)) << text;
  EXPECT_FALSE(name(0x1e, std::string_view("\0S", 2))) << "UCS-2";
  EXPECT_FALSE(Name::from_der({}));
  Bytes attribute = attribute_element(0x13, "x");
  EXPECT_FALSE(Name::from_der(element(0x30, element(0x31, joined({attribute, attribute}))))) << "two in one set";
}

TEST(Crl, list_of_a_ca_is_read_and_belongs_to_that_ca) {
  Collateral collateral = fake::quote_case(kPlatform).collateral;
  std::vector<Certificate> c = chain(kPlatform), a = chain(kProcessor);
  auto crl = Crl::from_der(collateral.pck_crl);
  ASSERT_TRUE(crl) << crl.error().message();
  EXPECT_TRUE(crl->has_number);
  EXPECT_TRUE(crl->extensions_understood);
  EXPECT_EQ(crl->authority_key_id, c[1].subject_key_id);
  EXPECT_TRUE(crl->names_as_issuer(c[1]) && crl->signed_by(c[1].key));
  EXPECT_FALSE(crl->names_as_issuer(a[1]));
  EXPECT_FALSE(crl->signed_by(a[1].key));
  EXPECT_FALSE(crl->revokes(c[0]));
  EXPECT_FALSE(crl->revoked.empty());
  EXPECT_EQ(format_time(crl->validity.from), "2025-08-15T05:41:26Z");
}

TEST(Crl, certificate_with_a_listed_serial_is_revoked) {
  auto crl = Crl::from_der(fake::quote_case(kPlatform).collateral.pck_crl);
  Certificate pck = chain(kPlatform)[0];
  for (const Crl::Serial& serial : crl->revoked) {
    pck.serial.assign(std::find_if(serial.begin(), serial.end(), [](auto byte) { return byte != 0; }), serial.end());
    EXPECT_TRUE(crl->revokes(pck));
  }
  pck.serial.assign(21, 1);
  EXPECT_FALSE(crl->revokes(pck)) << "no serial number is that long";
}

TEST(Crl, cut_longer_and_huge_der_is_refused) {
  Bytes der = fake::quote_case(kPlatform).collateral.root_ca_crl;
  ASSERT_TRUE(Crl::from_der(der));
  for (std::size_t length = 0; length < der.size(); ++length)
    EXPECT_FALSE(Crl::from_der(ByteView(der).first(length))) << length;
  Bytes nul = joined({der, {0}});
  ASSERT_TRUE(Crl::from_der(nul)) << "the end of a C string";
  EXPECT_EQ(Crl::from_der(nul)->digest, Crl::from_der(der)->digest);
  EXPECT_FALSE(Crl::from_der(joined({der, {0, 0}})));
  EXPECT_FALSE(Crl::from_der(joined({der, {1}})));
  EXPECT_FALSE(Crl::from_der(Bytes(Crl::kMaxSize + 1, 0x30)));
  EXPECT_FALSE(Crl::from_der(chain_der(kProcessor)[0])) << "a certificate is no CRL";
}

}  // namespace
}  // namespace enclayer::attestation
