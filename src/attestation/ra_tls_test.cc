// SPDX-License-Identifier: Apache-2.0
// Certificates of three foreign stacks, made on real hardware (test/data/ratls), and certificates made here around real
// quotes and their collateral: what Open Enclave, EGo, and whoever carries collateral would send.
#include "enclayer/ra_tls.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "attestation/certificate.h"
#include "attestation/pem.h"
#include "base/base64.h"
#include "base/bytes.h"
#include "base/digest.h"
#include "enclayer/evidence.h"
#include "enclayer/policy.h"
#include "enclayer/verifier.h"
#include "fake/quote_case.h"
#include "fake/ra_tls.h"

namespace enclayer {
namespace {

using fake::RaTlsMaker;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kReal[] = {"gramine", "intel-sgxsdk", "rats-tls"};

Bytes real(const std::string& name) {
  std::string pem = base::read_text(std::string(ENCLAYER_TEST_DATA "/ratls/") + name + "-cert.pem", 1 << 16).value();
  return attestation::certificates_in_pem(pem).value().at(0);
}

std::string parse_failure(const Bytes& der) {
  auto parsed = parse_ra_tls(der);
  return parsed ? "" : parsed.error().message();
}

std::vector<std::string> kinds(const RaTlsCertificate& certificate) {
  std::vector<std::string> out;
  for (const RaTlsEvidence& evidence : certificate.evidence) out.push_back(evidence.kind);
  return out;
}

// ---- Real ones ----

TEST(RaTls, real_certificates_are_read_and_bind_their_keys) {
  const std::vector<std::string> wanted[] = {{"gramine", "dice"}, {"intel", "dice"}, {"dice"}};
  const char* subjects[] = {"C=US,O=GramineDevelopers,CN=RATLS", "C=US,O=Intel Corporation,CN=Intel SGX Enclave",
                            "CN=RATS-TLS,O=Inclavare Containers"};
  for (std::size_t i = 0; i < std::size(kReal); ++i) {
    auto certificate = parse_ra_tls(real(kReal[i]));
    ASSERT_TRUE(certificate) << kReal[i] << certificate.error().message();
    EXPECT_EQ(certificate->subject, subjects[i]);
    EXPECT_TRUE(certificate->signed_itself) << kReal[i];
    EXPECT_EQ(kinds(*certificate), wanted[i]) << kReal[i];
    for (const RaTlsEvidence& evidence : certificate->evidence)
      EXPECT_TRUE(evidence.binds) << kReal[i] << evidence.kind;
    EXPECT_FALSE(certificate->collateral);
    EXPECT_FALSE(certificate->nonce);
  }
}

// Gramine's was made on a platform of a kind whose collateral is here.
TEST(RaTls, real_certificate_of_gramine_verifies) {
  const fake::QuoteCase other = fake::quote_case("C_eval17");
  Verification v = verify_ra_tls(real("gramine"), &other.collateral, TrustedRoot::intel(), other.at);
  ASSERT_TRUE(v.verified()) << v.detail;
  ASSERT_TRUE(v.attested_key);
  EXPECT_THAT(v.attested_key->evidence, ElementsAre("gramine", "dice"));
  EXPECT_EQ(v.attested_key->sha256, base::sha256(parse_ra_tls(real("gramine"))->public_key));
  EXPECT_EQ(judge(v, Policy{}).trusted, false) << "a debug enclave";
  Policy patient;
  patient.allow_debug = true;
  patient.accepted_tcb = {*v.tcb_status};
  EXPECT_TRUE(judge(v, patient).trusted);
}

TEST(RaTls, real_certificates_get_as_far_as_their_collateral) {
  const fake::QuoteCase other = fake::quote_case("C_eval17");
  Verification v = verify_ra_tls(real("intel-sgxsdk"), &other.collateral, TrustedRoot::intel(), other.at);
  EXPECT_FALSE(v.verified());
  EXPECT_TRUE(v.fmspc) << "its PCK chain is Intel's, " << v.detail;
  EXPECT_EQ(verify_ra_tls(real("rats-tls"), &other.collateral, TrustedRoot::intel(), other.at).reason,
            Reason::kRaTlsCertificateExpired);
  EXPECT_EQ(verify_ra_tls(real("gramine"), nullptr, TrustedRoot::intel(), other.at).reason,
            Reason::kUnsupportedCollateralFormat);
}

// Nothing that is signed, and no length, may change: the certificate then has another signature, or is none.
TEST(RaTls, no_bit_of_a_real_certificate_can_change) {
  const fake::QuoteCase other = fake::quote_case("C_eval17");
  for (const char* name : {"gramine", "rats-tls"}) {
    const Bytes good = real(name);
    const Time time = parse_ra_tls(good)->valid_from;
    // Every bit of what is not a quote, and one bit in 61 bytes of the quotes: a signature is checked for each.
    for (std::size_t i = 0; i<good.size(); i += i> 500 && i + 500 < good.size() ? 61 : 1) {
      Bytes bad = good;
      bad[i] ^= static_cast<std::uint8_t>(1U << i % 8);
      const Reason reason = verify_ra_tls(bad, &other.collateral, TrustedRoot::intel(), time).reason;
      EXPECT_TRUE(reason == Reason::kUnsupportedRaTlsFormat || reason == Reason::kRaTlsCertificateInvalid)
          << name << " at " << i << to_string(reason);
    }
  }
}

TEST(RaTls, no_truncation_and_no_byte_more_is_taken) {
  for (const char* name : kReal) {
    const Bytes good = real(name);
    for (std::size_t size = 0; size < good.size(); size += size < 600 ? 1 : 7)
      EXPECT_NE(parse_failure(Bytes(good.begin(), good.begin() + std::ptrdiff_t(size))), "") << name << size;
    Bytes more = good;
    more.push_back(0);
    EXPECT_THAT(parse_failure(more), HasSubstr("bytes follow after its end"));
  }
}

// ---- Made ones: a quote of a real platform, whose report data nobody can choose, so it binds no key ----

const fake::QuoteCase& platform() {
  static const fake::QuoteCase kCase = fake::quote_case("C_eval17");
  return kCase;
}

Reason reason_of(const Bytes& der, const Collateral* collateral = &platform().collateral) {
  return verify_ra_tls(der, collateral, TrustedRoot::intel(), platform().at).reason;
}

TEST(RaTls, quote_of_somebody_else_is_not_bound) {
  for (const char* oid :
       {fake::kGramineOid, fake::kIntelOid, fake::kOpenEnclaveReportOid, fake::kNewOpenEnclaveReportOid}) {
    RaTlsMaker maker;
    maker.add(oid, platform().quote);
    EXPECT_EQ(reason_of(maker.make()), Reason::kRaTlsKeyNotBound) << oid;
  }
  RaTlsMaker dice;
  dice.add(fake::kDiceOid, fake::dice(platform().quote, fake::claims(dice.public_key())));
  EXPECT_EQ(reason_of(dice.make()), Reason::kRaTlsKeyNotBound);
  RaTlsMaker evidence;
  evidence.add(fake::kOpenEnclaveEvidenceOid, fake::open_enclave_evidence(platform().quote, evidence.public_key_pem()));
  EXPECT_EQ(reason_of(evidence.make()), Reason::kRaTlsKeyNotBound);
}

// ---- Made ones that hold: the quote's report data is written for the key. Its signature is then wrong, which shows as
// INVALID_QUOTE_SIGNATURE, the last but one thing that is looked at; simulated platforms go all the way (sim). ----

Bytes quote_saying(const ByteArray<32>& digest, std::uint8_t last = 0) {
  Bytes out = platform().quote;
  std::fill_n(out.begin() + 48 + 320, 64, 0);
  std::copy(digest.begin(), digest.end(), out.begin() + 48 + 320);
  out[48 + 320 + 63] = last;
  return out;
}

TEST(RaTls, each_stacks_binding_is_understood) {
  auto expect_bound = [](RaTlsMaker& maker, const char* kind) {
    const Bytes der = maker.make();
    auto parsed = parse_ra_tls(der);
    ASSERT_TRUE(parsed) << kind << parsed.error().message();
    EXPECT_THAT(kinds(*parsed), ElementsAre(kind));
    EXPECT_TRUE(parsed->evidence[0].binds) << kind;
    EXPECT_EQ(reason_of(der), Reason::kInvalidQuoteSignature) << kind;
  };
  for (const char* key : {"P-256", "P-384", "P-521", "RSA", "ED25519"}) {
    SCOPED_TRACE(key);
    const RaTlsMaker made(key);  // keys of RSA take long to make
    RaTlsMaker gramine = made, intel = made, ego = made, open_enclave = made, evidence = made, dice = made;
    gramine.add(fake::kGramineOid, quote_saying(base::sha256(gramine.public_key())));
    expect_bound(gramine, "gramine");
    intel.add(fake::kIntelOid, quote_saying(base::sha256(intel.public_key())));
    expect_bound(intel, "intel");
    ego.add(fake::kOpenEnclaveReportOid, fake::with_open_enclave_header(quote_saying(base::sha256(ego.public_key()))),
            true);
    expect_bound(ego, "open-enclave");
    const Bytes pem = open_enclave.public_key_pem();
    open_enclave.add(fake::kNewOpenEnclaveReportOid, fake::with_open_enclave_header(quote_saying(base::sha256(pem))),
                     true);
    expect_bound(open_enclave, "open-enclave");
    const Bytes own = evidence.public_key_pem();
    evidence.add(fake::kOpenEnclaveEvidenceOid, fake::open_enclave_evidence(quote_saying(base::sha256(own)), own),
                 true);
    expect_bound(evidence, "open-enclave");
    const Bytes claims = fake::claims(dice.public_key());
    dice.add(fake::kDiceOid, fake::dice(quote_saying(base::sha256(claims)), claims));
    expect_bound(dice, "dice");
  }
}

TEST(RaTls, other_half_of_report_data_has_to_be_zero) {
  RaTlsMaker maker;
  maker.add(fake::kGramineOid, quote_saying(base::sha256(maker.public_key()), 1));
  EXPECT_EQ(reason_of(maker.make()), Reason::kRaTlsKeyNotBound);
}

TEST(RaTls, all_evidence_has_to_hold_and_to_be_of_one_enclave) {
  RaTlsMaker one_unbound;
  const Bytes claims = fake::claims(one_unbound.public_key());
  one_unbound.add(fake::kGramineOid, platform().quote);
  one_unbound.add(fake::kDiceOid, fake::dice(quote_saying(base::sha256(claims)), claims));
  EXPECT_EQ(reason_of(one_unbound.make()), Reason::kRaTlsKeyNotBound);

  RaTlsMaker two;
  const Bytes own = fake::claims(two.public_key());
  Bytes other_enclave = quote_saying(base::sha256(two.public_key()));
  other_enclave[48 + 64] ^= 1;  // MRENCLAVE
  two.add(fake::kGramineOid, other_enclave);
  two.add(fake::kDiceOid, fake::dice(quote_saying(base::sha256(own)), own));
  Verification v = verify_ra_tls(two.make(), &platform().collateral, TrustedRoot::intel(), platform().at);
  EXPECT_EQ(v.reason, Reason::kRaTlsKeyNotBound);
  EXPECT_THAT(v.detail, HasSubstr("several enclaves"));

  RaTlsMaker both;
  const Bytes both_claims = fake::claims(both.public_key());
  both.add(fake::kDiceOid, fake::dice(quote_saying(base::sha256(both_claims)), both_claims));
  both.add(fake::kGramineOid, quote_saying(base::sha256(both.public_key())));
  EXPECT_EQ(reason_of(both.make()), Reason::kInvalidQuoteSignature);
  EXPECT_THAT(kinds(*parse_ra_tls(both.make())), ElementsAre("gramine", "dice")) << "whatever their order";
}

TEST(RaTls, certificate_is_signed_by_its_key_and_in_force) {
  RaTlsMaker foreign;
  foreign.add(fake::kGramineOid, quote_saying(base::sha256(foreign.public_key())));
  foreign.sign_with(RaTlsMaker());
  EXPECT_EQ(reason_of(foreign.make()), Reason::kRaTlsCertificateInvalid);

  RaTlsMaker issued;
  issued.add(fake::kGramineOid, quote_saying(base::sha256(issued.public_key())));
  issued.issuer = "somebody else";
  EXPECT_EQ(reason_of(issued.make()), Reason::kRaTlsCertificateInvalid);

  RaTlsMaker maker;
  maker.add(fake::kGramineOid, quote_saying(base::sha256(maker.public_key())));
  const Bytes der = maker.make();
  const RaTlsCertificate parsed = parse_ra_tls(der).value();
  auto reason = [&](Time time) {
    return verify_ra_tls(der, &platform().collateral, TrustedRoot::intel(), time).reason;
  };
  EXPECT_EQ(reason(parsed.valid_from - std::chrono::seconds(1)), Reason::kRaTlsCertificateExpired);
  EXPECT_NE(reason(parsed.valid_from), Reason::kRaTlsCertificateExpired);
  EXPECT_NE(reason(parsed.valid_until), Reason::kRaTlsCertificateExpired);
  EXPECT_EQ(reason(parsed.valid_until + std::chrono::seconds(1)), Reason::kRaTlsCertificateExpired);
}

TEST(RaTls, certificates_that_are_not_understood_are_refused) {
  RaTlsMaker none;
  EXPECT_THAT(parse_failure(none.make()), HasSubstr("no"));
  EXPECT_EQ(parse_ra_tls(none.make()).error().kind(), ErrorKind::kNotFound);
  RaTlsMaker critical;
  critical.add(fake::kGramineOid, platform().quote);
  critical.add("1.2.3.4", {1}, true);
  EXPECT_THAT(parse_failure(critical.make()), HasSubstr("critical extension"));
  RaTlsMaker harmless;
  harmless.add(fake::kGramineOid, platform().quote);
  harmless.add("1.2.3.4", {1});
  EXPECT_EQ(parse_failure(harmless.make()), "");
  RaTlsMaker twice;
  twice.add(fake::kGramineOid, platform().quote);
  twice.add(fake::kGramineOid, platform().quote);
  EXPECT_THAT(parse_failure(twice.make()), HasSubstr("twice"));
  RaTlsMaker many;
  many.add(fake::kGramineOid, platform().quote);
  for (int i = 0; i < 64; ++i) many.add(("1.2.3." + std::to_string(i)).c_str(), Bytes{1});
  EXPECT_THAT(parse_failure(many.make()), HasSubstr("more than 64 extensions"));
  RaTlsMaker trailing;
  Bytes longer = platform().quote;
  longer.push_back(0);
  trailing.add(fake::kGramineOid, longer);
  EXPECT_THAT(parse_failure(trailing.make()), HasSubstr("bytes follow after the quote"));
  RaTlsMaker small("RSA1024"), koblitz("secp256k1");
  small.add(fake::kGramineOid, platform().quote);
  koblitz.add(fake::kGramineOid, platform().quote);
  EXPECT_THAT(parse_failure(small.make()), HasSubstr("1024 bits"));
  EXPECT_THAT(parse_failure(koblitz.make()), HasSubstr("key is of a kind"));
  RaTlsMaker pck;  // a PCK certificate's extension of the same number
  pck.add(fake::kIntelOid, {0x30, 0});
  EXPECT_EQ(parse_ra_tls(pck.make()).error().kind(), ErrorKind::kNotFound);
  EXPECT_NE(parse_failure(Bytes(RaTlsCertificate::kMaxSize + 1, 0x30)), "");
}

// Every real certificate of a chain lacks the parameter, and the reader of chains refuses it.
TEST(RaTls, null_parameter_is_let_pass_here_alone) {
  const Bytes gramine = real("gramine");
  EXPECT_TRUE(parse_ra_tls(gramine)->signed_itself);
  RaTlsMaker maker;
  maker.add(fake::kGramineOid, quote_saying(base::sha256(maker.public_key())));
  EXPECT_EQ(parse_failure(fake::with_null_parameters(maker)), "");
  EXPECT_EQ(reason_of(fake::with_null_parameters(maker)), Reason::kInvalidQuoteSignature);
  // What stands in the place of NULL has no content, and all of it is there.
  const Bytes null{0x03, 0x02, 0x05, 0x00};
  for (std::uint8_t length : {std::uint8_t{1}, std::uint8_t{0x7f}, std::uint8_t{0x80}}) {
    Bytes bad = fake::with_null_parameters(maker);
    auto found = std::search(bad.begin(), bad.end(), null.begin(), null.end());
    ASSERT_NE(found, bad.end());
    found[3] = length;
    found = std::search(found, bad.end(), null.begin(), null.end());
    ASSERT_NE(found, bad.end());
    found[3] = length;
    EXPECT_THAT(parse_failure(bad), HasSubstr("parameters"));
  }
  auto chain_reader = attestation::Certificate::from_der(fake::with_null_parameters(RaTlsMaker()));
  ASSERT_FALSE(chain_reader);
  EXPECT_THAT(chain_reader.error().message(), HasSubstr("ecdsa-with-SHA256"));
}

// ---- CBOR ----

TEST(RaTls, cbor_that_could_be_read_in_two_ways_is_refused) {
  RaTlsMaker maker;
  const Bytes claims = fake::claims(maker.public_key());
  const Bytes quote = quote_saying(base::sha256(claims));
  const Bytes good = fake::dice(quote, claims);
  auto failure = [&](Bytes value) {
    RaTlsMaker one = maker;
    one.add(fake::kDiceOid, value);
    return parse_failure(one.make());
  };
  auto with_claims = [&](Bytes bad) { return failure(fake::dice(quote, bad)); };
  EXPECT_EQ(failure(good), "");

  auto changed = [&](std::size_t at, std::uint8_t to) {
    Bytes out = good;
    out[at] = to;
    return out;
  };
  EXPECT_THAT(failure(changed(2, 0x61)), HasSubstr("a report, which only its own platform")) << "60001";
  EXPECT_THAT(failure(changed(2, 0x62)), HasSubstr("a report, which only its own platform")) << "60002";
  EXPECT_THAT(failure(changed(2, 0x63)), HasSubstr("tag 60000"));
  EXPECT_THAT(failure(changed(3, 0x9f)), HasSubstr("two byte strings")) << "an array without length";
  EXPECT_THAT(failure(changed(3, 0x83)), HasSubstr("two byte strings"));
  EXPECT_THAT(failure(changed(4, 0x5f)), HasSubstr("two byte strings")) << "a byte string without length";
  EXPECT_THAT(failure(changed(4, 0x79)), HasSubstr("two byte strings")) << "a text";
  Bytes more = good;
  more.push_back(0);
  EXPECT_THAT(failure(more), HasSubstr("two byte strings"));
  for (std::size_t size = 0; size < good.size(); size += size < 40 ? 1 : 61)
    EXPECT_NE(failure(Bytes(good.begin(), good.begin() + std::ptrdiff_t(size))), "") << size;
  EXPECT_NE(failure(Bytes(10000, 0x81)), "") << "ten thousand deep";
  EXPECT_NE(failure({0xd9, 0xea, 0x60, 0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}), "") << "a huge array";
  EXPECT_NE(failure({0xd9, 0xea, 0x60, 0x82, 0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}), "");

  const Bytes entry(claims.begin() + 1, claims.end());  // name and content
  Bytes repeated{0xa2};
  base::append(repeated, entry);
  base::append(repeated, entry);
  EXPECT_THAT(with_claims(repeated), HasSubstr("twice"));
  Bytes endless{0xbf};
  base::append(endless, entry);
  endless.push_back(0xff);
  EXPECT_THAT(with_claims(endless), HasSubstr("not a map"));
  EXPECT_THAT(with_claims({}), HasSubstr("not a map"));
  EXPECT_THAT(with_claims({0xbb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}), HasSubstr("not a map"));
  EXPECT_THAT(with_claims({0xa1, 0x61, 'a', 0xa0}), HasSubstr("not a byte string by a name")) << "a map in a map";
  EXPECT_THAT(with_claims({0xa1, 0x01, 0x40}), HasSubstr("not a byte string by a name")) << "a number as name";
  Bytes after = claims;
  after.push_back(0);
  EXPECT_THAT(with_claims(after), HasSubstr("bytes follow"));
}

TEST(RaTls, claims_without_a_hash_of_the_key_bind_nothing) {
  auto binds = [](const RaTlsMaker& maker, const Bytes& claims) {
    RaTlsMaker one = maker;
    one.add(fake::kDiceOid, fake::dice(quote_saying(base::sha256(claims)), claims));
    auto parsed = parse_ra_tls(one.make());
    EXPECT_TRUE(parsed) << parsed.error().message();
    return parsed && parsed->evidence[0].binds;
  };
  RaTlsMaker maker, other;
  EXPECT_TRUE(binds(maker, fake::claims(maker.public_key(), 1)));
  EXPECT_TRUE(binds(maker, fake::claims(maker.public_key(), 7)));
  EXPECT_TRUE(binds(maker, fake::claims(maker.public_key(), 8)));
  EXPECT_FALSE(binds(maker, fake::claims(other.public_key())));
  EXPECT_FALSE(binds(maker, fake::claims(maker.public_key(), 2))) << "SHA-256, cut to 128 bits";
  EXPECT_FALSE(binds(maker, {0xa0}));
  EXPECT_FALSE(binds(maker, {0xa1, 0x61, 'a', 0x40}));
}

TEST(RaTls, nonce_of_the_claims_is_told) {
  RaTlsMaker maker;
  const Bytes claims = fake::claims(maker.public_key(), 1, Bytes{1, 2, 3});
  maker.add(fake::kDiceOid, fake::dice(quote_saying(base::sha256(claims)), claims));
  auto parsed = parse_ra_tls(maker.make());
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->nonce, (Bytes{1, 2, 3}));
}

// ---- Collateral that comes with it ----

TEST(RaTls, collateral_in_the_certificate_is_used_where_none_is_given) {
  for (bool dated : {false, true}) {
    RaTlsMaker maker;
    maker.add(fake::kGramineOid, quote_saying(base::sha256(maker.public_key())));
    maker.add(fake::kEndorsementsOid, fake::endorsements(platform().collateral, dated));
    auto parsed = parse_ra_tls(maker.make());
    ASSERT_TRUE(parsed) << parsed.error().message();
    EXPECT_EQ(parsed->collateral, platform().collateral);
    EXPECT_EQ(reason_of(maker.make(), nullptr), Reason::kInvalidQuoteSignature);
    Collateral empty;
    EXPECT_EQ(reason_of(maker.make(), &empty), Reason::kSgxCrlUnsupportedFormat) << "what is given counts";
  }
}

TEST(RaTls, damaged_collateral_is_refused) {
  const Bytes good = fake::endorsements(platform().collateral, true);
  for (std::size_t size = 0; size < good.size(); size += size < 40 ? 1 : 251) {
    RaTlsMaker maker;
    maker.add(fake::kGramineOid, quote_saying(base::sha256(maker.public_key())));
    maker.add(fake::kEndorsementsOid, Bytes(good.begin(), good.begin() + std::ptrdiff_t(size)));
    EXPECT_NE(parse_failure(maker.make()), "") << size;
  }
}

}  // namespace
}  // namespace enclayer
