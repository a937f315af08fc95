// SPDX-License-Identifier: Apache-2.0
#include "enclayer/verifier.h"

#define OPENSSL_SUPPRESS_DEPRECATED  // EC_KEY, as in p256.cc
#include <gtest/gtest.h>
#include <openssl/ec.h>
#include <openssl/obj_mac.h>

#include <algorithm>
#include <functional>
#include <set>
#include <thread>

#include "attestation/facts.h"
#include "base/bytes.h"
#include "fake/quote_case.h"
#include "fake/same_verification.h"

namespace enclayer {
namespace {

using fake::expect_same;
using fake::quote_case;
using fake::QuoteCase;
using std::chrono::seconds;

// Every how many bits one is flipped: all of them where the product's code is optimised, as in `make test`.
#if defined(NDEBUG) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
constexpr std::size_t kStride = 1;
#else
constexpr std::size_t kStride = 37;
#endif

const QuoteCase& a() {
  static const QuoteCase kA = quote_case("A_phala_sgx_processor");
  return kA;
}

Verification plain(const QuoteCase& c) { return verify(c.quote, c.collateral, TrustedRoot::intel(), c.at); }

class RememberingVerifier : public testing::Test {
 protected:
  RememberingVerifier() { EXPECT_TRUE(judge(a()).verified()); }  // it has seen everything that is in A

  Verification judge(const QuoteCase& c) { return verifier_.verify(c.quote, c.collateral, TrustedRoot::intel(), c.at); }

  // One bit after the other of `bytes`, a part of `changed`, is flipped. None of that verifies, and now and then it is
  // made sure that the reason is that of verify().
  template <class Part>
  void refuses_every_flipped_bit(QuoteCase& changed, Part& part, std::size_t begin, std::size_t end) {
    for (std::size_t bit = begin * 8; bit < end * 8; bit += kStride) {
      auto& byte = part[bit / 8];
      const auto before = byte;
      byte = static_cast<std::remove_reference_t<decltype(byte)>>(byte ^ (1 << bit % 8));
      Verification v = judge(changed);
      ASSERT_FALSE(v.verified()) << "bit " << bit % 8 << " of byte " << bit / 8;
      if (bit % 97 == 0) expect_same(v, plain(changed));
      byte = before;
    }
    EXPECT_TRUE(judge(changed).verified()) << "what was refused leaves no trace";
  }

  Verifier verifier_;
};

// Remembers nothing, and checks every signature with a table or, of the quote, without.
TEST(PreparedVerifier, gives_the_answers_of_verify) {
  Verifier verifier(0);
  for (const char* name : {"A_phala_sgx_processor", "C_automata_sgx_platform", "T4_phala_tdx_v4"}) {
    QuoteCase c = quote_case(name);
    expect_same(verifier.prepare(c.quote, c.collateral, TrustedRoot::intel(), c.at), plain(c));
  }
  EXPECT_EQ(verifier.remembered(), 0U);
  for (const std::string& name : fake::quote_case_names()) {
    SCOPED_TRACE(name);
    QuoteCase c = quote_case(name);
    expect_same(verifier.verify(c.quote, c.collateral, TrustedRoot::intel(), c.at), plain(c));
  }
}

TEST(PreparedVerifier, keeps_so_many_tables_and_no_more) {
  std::unique_ptr<EC_KEY, decltype(&EC_KEY_free)> key(EC_KEY_new_by_curve_name(NID_X9_62_prime256v1), EC_KEY_free);
  std::set<ByteArray<64>> points = {{}};  // one that is no point of the curve
  while (points.size() < FactMemory::kMaxTables + 2) {
    unsigned char encoded[65];
    ASSERT_EQ(EC_KEY_generate_key(key.get()), 1);
    EC_POINT_point2oct(EC_KEY_get0_group(key.get()), EC_KEY_get0_public_key(key.get()), POINT_CONVERSION_UNCOMPRESSED,
                       encoded, sizeof encoded, nullptr);
    points.insert(base::array_at<64>(encoded, 1));
  }
  FactMemory memory(0);
  for (int times = 0; times < 2; ++times) {
    memory.prepare(points);
    EXPECT_EQ(std::count_if(points.begin(), points.end(), [&](const auto& p) { return memory.prepared(p) != nullptr; }),
              static_cast<std::ptrdiff_t>(FactMemory::kMaxTables));
  }
}

TEST(PreparedVerifier, refuses_what_is_changed) {
  Verifier verifier(0);
  ASSERT_TRUE(verifier.prepare(a().quote, a().collateral, TrustedRoot::intel(), a().at).verified());
  auto expect_plain = [&](const QuoteCase& c) {
    Verification v = verifier.verify(c.quote, c.collateral, TrustedRoot::intel(), c.at);
    EXPECT_FALSE(v.verified());
    expect_same(v, plain(c));
  };
  std::size_t certificates = parse_quote(a().quote)->size - parse_quote(a().quote)->certification.data.size();
  for (std::size_t byte = 0; byte < certificates; byte += 37) {
    QuoteCase c = a();
    c.quote[byte] ^= 4;
    expect_plain(c);
  }
  for (Bytes Collateral::*part : {&Collateral::pck_crl, &Collateral::root_ca_crl, &Collateral::tcb_info_signature,
                                  &Collateral::qe_identity_signature})
    for (std::size_t byte = 0; byte < (a().collateral.*part).size(); byte += 37) {
      QuoteCase c = a();
      (c.collateral.*part)[byte] ^= 4;
      expect_plain(c);
    }
}

TEST_F(RememberingVerifier, gives_the_answers_of_verify_the_first_time_and_the_second) {
  for (int round = 0; round < 2; ++round)
    for (const std::string& name : fake::quote_case_names()) {
      SCOPED_TRACE(name);
      QuoteCase c = quote_case(name);
      expect_same(judge(c), plain(c));
    }
}

TEST_F(RememberingVerifier, what_was_seen_expires_on_the_second) {
  QuoteCase c = a();
  const Time until = judge(c).earliest_expiry.value();
  for (Time at : {until, until + seconds(1), Time{}, a().at, until + seconds(1), until}) {
    c.at = at;
    Verification v = judge(c);
    expect_same(v, plain(c));
    EXPECT_EQ(v.verified(), at == until || at == a().at) << format_time(at);
  }
}

TEST_F(RememberingVerifier, every_flipped_bit_of_a_quotes_signed_parts_is_refused) {
  QuoteCase c = a();
  refuses_every_flipped_bit(c, c.quote, 0, 1046);  // up to the certification data, whose length is not signed
  refuses_every_flipped_bit(c, c.quote, 1046, 1052);
}

TEST_F(RememberingVerifier, every_flipped_bit_of_the_certificates_is_refused) {
  QuoteCase c = a();
  refuses_every_flipped_bit(c, c.quote, 1052, c.quote.size() - 1);  // a NUL ends it, which a blank may replace
}

TEST_F(RememberingVerifier, every_flipped_bit_of_the_issuer_chains_is_refused_or_changes_nothing) {
  // Whitespace between PEM blocks may change; what changes is judged as verify() judges it.
  for (auto chain : {&Collateral::pck_crl_issuer_chain, &Collateral::tcb_info_issuer_chain}) {
    QuoteCase c = a();
    std::string& text = c.collateral.*chain;
    for (std::size_t bit = 0; bit < text.size() * 8; bit += kStride) {
      char& letter = text[bit / 8];
      const char before = letter;
      letter = static_cast<char>(letter ^ (1 << bit % 8));
      bool blank = std::string_view(" \t\r\n").find(before) != std::string_view::npos;
      if (!blank) {
        ASSERT_FALSE(judge(c).verified()) << bit;
      }
      if (blank || bit % 97 == 0) expect_same(judge(c), plain(c));
      letter = before;
    }
  }
}

TEST_F(RememberingVerifier, every_flipped_bit_of_the_revocation_lists_is_refused) {
  QuoteCase c = a();
  refuses_every_flipped_bit(c, c.collateral.root_ca_crl, 0, c.collateral.root_ca_crl.size());
  refuses_every_flipped_bit(c, c.collateral.pck_crl, 0, c.collateral.pck_crl.size());
}

TEST_F(RememberingVerifier, every_flipped_bit_of_qe_identity_is_refused) {
  QuoteCase c = a();
  refuses_every_flipped_bit(c, c.collateral.qe_identity, 0, c.collateral.qe_identity.size());
  refuses_every_flipped_bit(c, c.collateral.qe_identity_signature, 0, 64);
}

TEST_F(RememberingVerifier, every_flipped_bit_of_tcb_info_is_refused) {
  QuoteCase c = a();
  refuses_every_flipped_bit(c, c.collateral.tcb_info, 0, c.collateral.tcb_info.size());
  refuses_every_flipped_bit(c, c.collateral.tcb_info_signature, 0, 64);
}

TEST_F(RememberingVerifier, parts_of_other_evidence_that_it_knows_do_not_fit) {
  QuoteCase other = quote_case("C_automata_sgx_platform");
  EXPECT_TRUE(judge(other).verified());
  auto expect_refused = [&](const std::function<void(Collateral&)>& change) {
    QuoteCase c = a();
    change(c.collateral);
    Verification v = judge(c);
    EXPECT_FALSE(v.verified());
    expect_same(v, plain(c));
  };
  const Collateral& theirs = other.collateral;
  expect_refused([&](Collateral& c) { c.pck_crl = theirs.pck_crl; });
  expect_refused([&](Collateral& c) { c.root_ca_crl = theirs.pck_crl; });
  expect_refused([&](Collateral& c) { c.pck_crl_issuer_chain = theirs.pck_crl_issuer_chain; });
  expect_refused([&](Collateral& c) { c.tcb_info = theirs.tcb_info; });
  expect_refused([&](Collateral& c) { c.tcb_info_signature = theirs.tcb_info_signature; });
  expect_refused([&](Collateral& c) { c.qe_identity_signature = c.tcb_info_signature; });
  QuoteCase c = other;
  c.collateral = a().collateral;
  c.at = a().at;
  EXPECT_FALSE(judge(c).verified());
  expect_same(judge(c), plain(c));
}

TEST_F(RememberingVerifier, evidence_that_is_refused_is_not_remembered) {
  const std::size_t before = verifier_.remembered();
  EXPECT_GT(before, 0U);
  for (const std::string& name : fake::quote_case_names()) {
    QuoteCase c = quote_case(name);
    if (!judge(c).verified()) {
      EXPECT_EQ(verifier_.remembered(), before) << name;
    } else if (name == "A_phala_sgx_processor" || name == "N_trailing") {
      EXPECT_EQ(verifier_.remembered(), before) << name << " has nothing new";
    } else {
      break;
    }
  }
}

TEST(Verifier, with_no_room_or_little_gives_the_same_answers) {
  for (std::size_t capacity : {0, 1, 1000, 20'000, 100'000}) {
    Verifier verifier(capacity);
    for (int round = 0; round < 2; ++round)
      for (const char* name : {"A_phala_sgx_processor", "C_eval18", "N_qe_sig", "F_mobilecoin_prod"}) {
        QuoteCase c = quote_case(name);
        expect_same(verifier.verify(c.quote, c.collateral, TrustedRoot::intel(), c.at), plain(c));
        EXPECT_LE(verifier.remembered(), capacity);
      }
  }
}

TEST(Verifier, serves_many_threads_at_once) {
  std::vector<QuoteCase> cases;
  std::vector<Verification> wanted;
  for (const char* name : {"A_phala_sgx_processor", "C_automata_sgx_platform", "C_eval18", "F_mobilecoin_prod",
                           "N_qe_sig", "N_tcb_body", "N_at_after"}) {
    cases.push_back(quote_case(name));
    wanted.push_back(plain(cases.back()));
  }
  Verifier verifier(150'000);  // so little that they push each other out
  std::vector<std::thread> threads;
  for (std::size_t first = 0; first < 4; ++first)
    threads.emplace_back([&, first] {
      for (std::size_t i = 0; i < 40; ++i) {
        const QuoteCase& c = cases[(first + i) % cases.size()];
        Verification v = verifier.verify(c.quote, c.collateral, TrustedRoot::intel(), c.at);
        EXPECT_EQ(v.reason, wanted[(first + i) % cases.size()].reason) << c.name << ": " << v.detail;
        EXPECT_LE(verifier.remembered(), 150'000U);
      }
    });
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace enclayer
