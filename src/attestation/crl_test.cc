// SPDX-License-Identifier: Apache-2.0
#include "attestation/crl.h"

#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/obj_mac.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <filesystem>
#include <random>

#include "attestation/openssl.h"
#include "base/file.h"
#include "fake/openssl_name.h"
#include "fake/quote_case.h"

namespace enclayer::attestation {
namespace {

// Every list that lies in the test data.
std::vector<Bytes> real_lists() {
  std::vector<Bytes> out;
  for (const std::string& name : fake::quote_case_names()) {
    Collateral collateral = fake::quote_case(name).collateral;
    for (const Bytes& der : {collateral.root_ca_crl, collateral.pck_crl})
      if (std::find(out.begin(), out.end(), der) == out.end()) out.push_back(der);
  }
  for (const auto& entry : std::filesystem::directory_iterator(fake::quote_data() / "../../../fuzz/corpus/crl"))
    out.push_back(base::read_file(entry.path(), Crl::kMaxSize).value());
  return out;
}

std::vector<Bytes> without_zeros(const std::vector<Crl::Serial>& serials) {
  std::vector<Bytes> out;
  for (const Crl::Serial& serial : serials)
    out.emplace_back(std::find_if(serial.begin(), serial.end() - 1, [](auto byte) { return byte != 0; }), serial.end());
  std::sort(out.begin(), out.end());
  return out;
}

// Ours may refuse what OpenSSL takes; what ours takes, OpenSSL reads in the same way.
void expect_openssl_agrees(const Crl& ours, ByteView der) {
  const unsigned char* at = der.data();
  OpensslPtr<X509_CRL, X509_CRL_free> theirs(d2i_X509_CRL(nullptr, &at, static_cast<long>(der.size())));
  ASSERT_TRUE(theirs);
  EXPECT_EQ(at, der.data() + der.size());
  EXPECT_EQ(X509_CRL_get_signature_nid(theirs.get()), NID_ecdsa_with_SHA256);
  fake::expect_same_text(ours.issuer, X509_CRL_get_issuer(theirs.get()));
  EXPECT_EQ(ours.validity.from, time_of(X509_CRL_get0_lastUpdate(theirs.get())));
  EXPECT_EQ(ours.validity.until, time_of(X509_CRL_get0_nextUpdate(theirs.get())));
  EXPECT_EQ(ours.has_number, X509_CRL_get_ext_by_NID(theirs.get(), NID_crl_number, -1) >= 0);
  bool critical = false;
  for (int i = 0; i < X509_CRL_get_ext_count(theirs.get()); ++i)
    critical = critical || X509_EXTENSION_get_critical(X509_CRL_get_ext(theirs.get(), i)) != 0;
  if (ours.extensions_understood) {
    EXPECT_FALSE(critical);
    OpensslPtr<AUTHORITY_KEYID, AUTHORITY_KEYID_free> id(static_cast<AUTHORITY_KEYID*>(
        X509_CRL_get_ext_d2i(theirs.get(), NID_authority_key_identifier, nullptr, nullptr)));
    bool damaged = !id && X509_CRL_get_ext_by_NID(theirs.get(), NID_authority_key_identifier, -1) >= 0;
    if (id && id->keyid != nullptr) {
      EXPECT_EQ(ours.authority_key_id, bytes_of(id->keyid));
    } else if (!damaged) {  // in its names, which are not processed
      EXPECT_FALSE(ours.authority_key_id);
    }
  }
  std::vector<Bytes> serials;
  STACK_OF(X509_REVOKED)* entries = X509_CRL_get_REVOKED(theirs.get());
  for (int i = 0; i < sk_X509_REVOKED_num(entries); ++i)
    serials.push_back(bytes_of(X509_REVOKED_get0_serialNumber(sk_X509_REVOKED_value(entries, i))));
  std::sort(serials.begin(), serials.end());
  EXPECT_EQ(without_zeros(ours.revoked), serials);
  ERR_clear_error();
}

TEST(CrlReader, reads_every_real_list_as_openssl_does) {
  std::vector<Bytes> lists = real_lists();
  ASSERT_GT(lists.size(), 4U);
  std::size_t read = 0;
  for (const Bytes& der : lists)
    if (auto crl = Crl::from_der(der)) {
      expect_openssl_agrees(*crl, der);
      ++read;
    }
  EXPECT_GT(read, 4U);
}

TEST(CrlReader, reads_every_list_with_a_flipped_bit_as_openssl_does_or_refuses_it) {
  for (const Bytes& der : real_lists()) {
    if (!Crl::from_der(der)) continue;
    for (std::size_t bit = 0; bit<der.size() * 8; bit += der.size()> 1000 ? 11 : 1) {
      Bytes changed = der;
      changed[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
      SCOPED_TRACE(bit);
      if (auto crl = Crl::from_der(changed)) expect_openssl_agrees(*crl, changed);
      if (testing::Test::HasFailure()) return;
    }
  }
}

TEST(CrlReader, reads_lists_that_were_damaged_at_random_as_openssl_does_or_refuses_them) {
  std::mt19937 random(20'261'122);
  std::vector<Bytes> lists = real_lists();
  for (int i = 0; i < 20'000; ++i) {
    Bytes der = lists[random() % lists.size()];
    if (der.empty()) continue;
    for (auto changes = random() % 4; changes-- > 0;) der[random() % der.size()] = static_cast<std::uint8_t>(random());
    if (auto crl = Crl::from_der(der)) expect_openssl_agrees(*crl, der);
    if (testing::Test::HasFailure()) return;
  }
}

// ---- A list put together by hand, one part of which is changed ----

Bytes element(std::uint8_t tag, const Bytes& content) {
  Bytes out = {tag};
  std::size_t size = content.size();
  if (size >= 0x10000) {
    out.insert(out.end(), {0x83, static_cast<std::uint8_t>(size >> 16), static_cast<std::uint8_t>(size >> 8 & 0xff)});
  } else if (size >= 0x100) {
    out.insert(out.end(), {0x82, static_cast<std::uint8_t>(size >> 8)});
  } else if (size >= 0x80) {
    out.push_back(0x81);
  }
  out.push_back(static_cast<std::uint8_t>(size & 0xff));
  out.insert(out.end(), content.begin(), content.end());
  return out;
}

Bytes joined(std::initializer_list<Bytes> parts) {
  Bytes out;
  for (const Bytes& part : parts) out.insert(out.end(), part.begin(), part.end());
  return out;
}

Bytes time_element(std::uint8_t tag, std::string_view text) { return element(tag, Bytes(text.begin(), text.end())); }

struct Parts {
  Bytes version = {0x02, 0x01, 0x01};
  Bytes algorithm = {0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02};
  Bytes outer_algorithm = algorithm;
  Bytes issuer = element(0x30, element(0x31, element(0x30, {0x06, 0x03, 0x55, 0x04, 0x03, 0x0c, 0x01, 'x'})));
  Bytes from = time_element(0x17, "261122000000Z"), until = time_element(0x18, "20501122000000Z");
  Bytes serial = {0x02, 0x01, 0x05};
  Bytes entry_end;  // extensions of the entry
  Bytes number = element(0x30, {0x06, 0x03, 0x55, 0x1d, 0x14, 0x04, 0x03, 0x02, 0x01, 0x01});
  Bytes more_extensions;
  Bytes signature = {0x03, 0x02, 0x00, 0x01};

  Bytes der() const {
    Bytes entry = element(0x30, joined({serial, time_element(0x17, "261122000000Z"), entry_end}));
    Bytes extensions = element(0xa0, element(0x30, joined({number, more_extensions})));
    return element(
        0x30,
        joined({element(0x30, joined({version, algorithm, issuer, from, until, element(0x30, entry), extensions})),
                outer_algorithm, signature}));
  }
};

TEST(CrlReader, reads_a_list_put_together_by_hand) {
  auto crl = Crl::from_der(Parts().der());
  ASSERT_TRUE(crl) << crl.error().message();
  expect_openssl_agrees(*crl, Parts().der());
  EXPECT_EQ(crl->issuer.text(), "CN=x");
  EXPECT_TRUE(crl->has_number && crl->extensions_understood);
  ASSERT_EQ(crl->revoked.size(), 1U);
  EXPECT_EQ(crl->revoked[0].back(), 5);
}

TEST(CrlReader, refuses_what_is_not_as_rfc_5280_has_it) {
  auto refused = [](auto&& change) {
    Parts parts;
    change(parts);
    return !Crl::from_der(parts.der());
  };
  EXPECT_TRUE(refused([](Parts& p) { p.version = {0x02, 0x01, 0x00}; }));
  EXPECT_TRUE(refused([](Parts& p) { p.algorithm[11] = 0x03; })) << "another algorithm inside";
  EXPECT_TRUE(refused([](Parts& p) { p.outer_algorithm[11] = 0x03; })) << "and outside";
  EXPECT_TRUE(refused([](Parts& p) { p.until.clear(); }));
  for (const char* time : {"nonsense", "2611220000Z", "261122000000", "261122000000+0000", "261131000000Z",
                           "261122240000Z", "20261122000000Z"})
    EXPECT_TRUE(refused([&](Parts& p) { p.from = time_element(0x17, time); })) << time;
  EXPECT_TRUE(refused([](Parts& p) { p.from = time_element(0x18, "20261122000000.5Z"); }));
  EXPECT_TRUE(refused([](Parts& p) { p.serial = {0x02, 0x01, 0x85}; })) << "negative";
  EXPECT_TRUE(refused([](Parts& p) { p.serial = {0x02, 0x02, 0x00, 0x05}; })) << "not the shortest form";
  EXPECT_TRUE(refused([](Parts& p) { p.serial = {0x02, 0x00}; }));
  EXPECT_TRUE(refused([](Parts& p) { p.serial = element(0x02, Bytes(21, 1)); }));
  EXPECT_TRUE(refused([](Parts& p) { p.entry_end = {0x30, 0x00}; }));
  EXPECT_TRUE(refused([](Parts& p) { p.entry_end = {0x05, 0x00}; }));
  EXPECT_TRUE(refused([](Parts& p) { p.more_extensions = {0x05, 0x00}; }));
  EXPECT_TRUE(refused([](Parts& p) { p.signature = {0x03, 0x02, 0x01, 0x02}; })) << "not a whole number of bytes";
  EXPECT_TRUE(refused([](Parts& p) { p.signature = {0x03, 0x00}; }));
  EXPECT_TRUE(refused([](Parts& p) {
    p.issuer = element(0x30, element(0x31, element(0x30, joined({{0x06, 0x03, 0x55, 0x04, 0x03},
                                                                 element(0x0c, Bytes(Crl::kMaxNameSize, 'x'))}))));
  }));
  EXPECT_FALSE(refused([](Parts& p) { p.serial = joined({{0x02, 0x15, 0x00}, Bytes(20, 0xff)}); }));
  EXPECT_FALSE(refused([](Parts& p) { p.serial = {0x02, 0x01, 0x00}; }));
}

TEST(CrlReader, does_not_understand_critical_or_repeated_extensions) {
  Parts critical, twice, of_an_entry;
  of_an_entry.entry_end =
      element(0x30, element(0x30, {0x06, 0x03, 0x55, 0x1d, 0x63, 0x01, 0x01, 0xff, 0x04, 0x02, 0x05, 0x00}));
  critical.more_extensions =
      element(0x30, {0x06, 0x03, 0x55, 0x1d, 0x1c, 0x01, 0x01, 0xff, 0x04, 0x02, 0x30, 0x00});  // distribution point
  twice.more_extensions = twice.number;
  for (const Parts& parts : {critical, twice, of_an_entry}) {
    auto crl = Crl::from_der(parts.der());
    ASSERT_TRUE(crl) << crl.error().message();
    EXPECT_FALSE(crl->extensions_understood);
  }
}

TEST(CrlReader, reads_lists_beyond_64_kib) {
  Parts parts;
  Bytes entry = element(0x30, joined({parts.serial, time_element(0x17, "261122000000Z")}));
  Bytes entries;
  for (int i = 0; i < 10'000; ++i) entries.insert(entries.end(), entry.begin(), entry.end());
  Bytes der = element(0x30, joined({element(0x30, joined({parts.version, parts.algorithm, parts.issuer, parts.from,
                                                          parts.until, element(0x30, entries)})),
                                    parts.outer_algorithm, parts.signature}));
  auto crl = Crl::from_der(der);
  ASSERT_TRUE(crl) << crl.error().message();
  EXPECT_EQ(crl->revoked.size(), 10'000U);
  expect_openssl_agrees(*crl, der);
}

}  // namespace
}  // namespace enclayer::attestation
