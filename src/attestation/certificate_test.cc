#include "attestation/certificate.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "attestation/crl.h"
#include "attestation/pem.h"
#include "base/bytes.h"
#include "base/hex.h"
#include "enclayer/quote.h"
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
  EXPECT_EQ(pck.common_name, "Intel SGX PCK Certificate");
  EXPECT_EQ(pck.issuer, "C=US,ST=CA,L=Santa Clara,O=Intel Corporation,CN=Intel SGX PCK Processor CA");
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
  der.push_back(0);
  EXPECT_FALSE(Crl::from_der(der));
  EXPECT_FALSE(Crl::from_der(Bytes(Crl::kMaxSize + 1, 0x30)));
  EXPECT_FALSE(Crl::from_der(chain_der(kProcessor)[0])) << "a certificate is no CRL";
}

}  // namespace
}  // namespace enclayer::attestation
