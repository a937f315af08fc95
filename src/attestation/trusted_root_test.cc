// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "attestation/certificate.h"
#include "base/bytes.h"
#include "enclayer/quote.h"
#include "enclayer/verify.h"
#include "fake/print_reason.h"
#include "fake/quote_case.h"

namespace enclayer {
namespace {

std::string intel_pem() { return base::read_text(fake::quote_data() / "intel_root_2049.pem", 4096).value(); }

// Made with: openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout /dev/null -days 36500
//   -subj "/O=Simulation only - not Intel/CN=SIMULATED SGX Root CA" -addext keyUsage=critical,keyCertSign,cRLSign
constexpr char kSimulated[] = R"(-----BEGIN CERTIFICATE-----
MIIB8zCCAZmgAwIBAgIUB4EnFJ+S2ZSeeJfrEcNd2/tcreMwCgYIKoZIzj0EAwIw
RjEkMCIGA1UECgwbU2ltdWxhdGlvbiBvbmx5IC0gbm90IEludGVsMR4wHAYDVQQD
DBVTSU1VTEFURUQgU0dYIFJvb3QgQ0EwIBcNMjYxMTIxMjM0ODI0WhgPMjEyNjEw
MjgyMzQ4MjRaMEYxJDAiBgNVBAoMG1NpbXVsYXRpb24gb25seSAtIG5vdCBJbnRl
bDEeMBwGA1UEAwwVU0lNVUxBVEVEIFNHWCBSb290IENBMFkwEwYHKoZIzj0CAQYI
KoZIzj0DAQcDQgAEDC8eB37HIbknNJFgFqViYZsNF00h0T8Fnv3YbSKI207r4+zV
KCalDY9hHXJpW6ivIa7jphEzjwv6oUnxGOtMsqNjMGEwHQYDVR0OBBYEFA7k48b6
vIEb18xt7r1qXYGkrc4NMB8GA1UdIwQYMBaAFA7k48b6vIEb18xt7r1qXYGkrc4N
MA8GA1UdEwEB/wQFMAMBAf8wDgYDVR0PAQH/BAQDAgEGMAoGCCqGSM49BAMCA0gA
MEUCIGLtwroEn/ySPOsXbeBDOMScLVEb/rlvZEgO2wPUqUmQAiEArYFuYmi68zU2
5Z7d5EB3Q044GfUdKtYX+F3sNHH9ksc=
-----END CERTIFICATE-----
)";

// The same with CN=Some SGX Root CA.
constexpr char kOther[] = R"(-----BEGIN CERTIFICATE-----
MIIB6TCCAY+gAwIBAgIUdhE6RNTx/pzTngHqRGtvjXje+KgwCgYIKoZIzj0EAwIw
QTEkMCIGA1UECgwbU2ltdWxhdGlvbiBvbmx5IC0gbm90IEludGVsMRkwFwYDVQQD
DBBTb21lIFNHWCBSb290IENBMCAXDTI2MTEyMTIzNDgyNFoYDzIxMjYxMDI4MjM0
ODI0WjBBMSQwIgYDVQQKDBtTaW11bGF0aW9uIG9ubHkgLSBub3QgSW50ZWwxGTAX
BgNVBAMMEFNvbWUgU0dYIFJvb3QgQ0EwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC
AASF961QWxZ9nn/oRSkM/9YHnCH1PQQLCazMwkFRWNijtyqnaE2p5KPgzB2cZO2r
Um0kc//B7ZlvU33p217P2lh6o2MwYTAdBgNVHQ4EFgQUa1HIW1nTxBOTkyHLsVlL
xExm31QwHwYDVR0jBBgwFoAUa1HIW1nTxBOTkyHLsVlLxExm31QwDwYDVR0TAQH/
BAUwAwEB/zAOBgNVHQ8BAf8EBAMCAQYwCgYIKoZIzj0EAwIDSAAwRQIhAIm7OLMA
oyprOidC91U/AV+AHXRTAboRfVxbkn7qvp6sAiAOHIH06Cab6dOsrPYfm1onzIjW
EvH78rk1msVIzcoBDw==
-----END CERTIFICATE-----
)";

TEST(TrustedRoot, built_in_key_is_that_of_both_certificates_of_intel) {
  for (const char* name : {"intel_root_2033.pem", "intel_root_2049.pem"}) {
    auto root = TrustedRoot::from_pem(base::read_text(fake::quote_data() / name, 4096).value());
    ASSERT_TRUE(root) << root.error().message();
    EXPECT_EQ(root->public_key(), TrustedRoot::intel().public_key());
    EXPECT_FALSE(root->custom());
    EXPECT_FALSE(root->simulated());
  }
}

TEST(TrustedRoot, certificates_that_are_known_to_have_signed_themselves_did) {
  std::vector<ByteArray<32>> known;
  for (const char* name : {"intel_root_2033.pem", "intel_root_2049.pem"}) {
    std::string pem = base::read_text(fake::quote_data() / name, 4096).value();
    auto certificate = attestation::certificates_from_pem(pem).value().front();
    EXPECT_TRUE(certificate.signed_by(certificate.key));
    known.push_back(certificate.digest);
    EXPECT_EQ(TrustedRoot::from_pem(pem)->known_certificates(), std::vector{certificate.digest});
  }
  EXPECT_EQ(TrustedRoot::intel().known_certificates(), known);
}

TEST(TrustedRoot, root_that_says_simulated_is_custom_and_simulated) {
  auto root = TrustedRoot::from_pem(kSimulated);
  ASSERT_TRUE(root) << root.error().message();
  EXPECT_TRUE(root->custom());
  EXPECT_TRUE(root->simulated());
  auto other = TrustedRoot::from_pem(kOther);
  ASSERT_TRUE(other) << other.error().message();
  EXPECT_TRUE(other->custom());
  EXPECT_FALSE(other->simulated());
}

TEST(TrustedRoot, quote_of_intel_is_untrusted_by_another_root) {
  fake::QuoteCase a = fake::quote_case("A_phala_sgx_processor");
  Verification v = verify(a.quote, a.collateral, TrustedRoot::from_pem(kSimulated).value(), a.at);
  EXPECT_EQ(v.reason, Reason::kSgxPckCertChainUntrusted);
  EXPECT_TRUE(v.custom_root);
  EXPECT_FALSE(v.verified());
}

TEST(TrustedRoot, certificate_that_is_no_root_is_refused) {
  fake::QuoteCase a = fake::quote_case("A_phala_sgx_processor");
  std::string chain = a.collateral.pck_crl_issuer_chain;
  std::size_t end = chain.find("-----END CERTIFICATE-----");
  std::string ca = chain.substr(0, end + 26);
  std::string pck(base::as_text(parse_quote(a.quote)->certification.data));
  pck.resize(pck.find("-----END CERTIFICATE-----") + 26);
  std::string damaged = kOther;  // one bit of its signature
  damaged.replace(damaged.find("EvH78r"), 6, "EvH79r");
  for (const auto& [pem, why] : {std::pair(ca, "is not its own issuer, that is \"C=US"), std::pair(pck, "is no CA"),
                                 std::pair(damaged, "is not signed by its own key")}) {
    auto root = TrustedRoot::from_pem(pem);
    ASSERT_FALSE(root) << why;
    EXPECT_EQ(root.error().kind(), ErrorKind::kInvalidArgument);
    EXPECT_THAT(root.error().message(), testing::HasSubstr(why));
  }
}

TEST(TrustedRoot, anything_but_one_certificate_is_malformed) {
  for (const std::string& text :
       {std::string(), intel_pem() + intel_pem(), std::string("junk"), intel_pem() + "junk"}) {
    auto root = TrustedRoot::from_pem(text);
    ASSERT_FALSE(root);
    EXPECT_EQ(root.error().kind(), ErrorKind::kMalformed);
  }
}

}  // namespace
}  // namespace enclayer
