// SPDX-License-Identifier: Apache-2.0
// What hostile input costs, counted and not timed: every allocation of this program, OpenSSL's among them. Work that
// grew faster than its input, or a length that was believed before it was checked, would show.
#include <gtest/gtest.h>
#include <openssl/crypto.h>

#include <atomic>
#include <cstdlib>
#include <functional>
#include <new>

#include "attestation/certificate.h"
#include "attestation/crl.h"
#include "attestation/pem.h"
#include "base/bytes.h"
#include "base/json.h"
#include "enclayer/verify.h"
#include "fake/quote_case.h"

namespace {

std::atomic<std::size_t> allocations{0}, allocated{0}, largest{0};

void count(std::size_t size) {
  ++allocations;
  allocated += size;
  if (size > largest) largest = size;
}

void* counted_malloc(std::size_t size, const char*, int) {
  count(size);
  return std::malloc(size);
}
void* counted_realloc(void* old, std::size_t size, const char*, int) {
  count(size);
  return std::realloc(old, size);
}
void counted_free(void* old, const char*, int) { std::free(old); }

// Before OpenSSL allocates anything.
const bool kOpensslIsCounted = CRYPTO_set_mem_functions(counted_malloc, counted_realloc, counted_free) == 1;

}  // namespace

void* operator new(std::size_t size) {
  count(size);
  if (void* out = std::malloc(size)) return out;
  throw std::bad_alloc();
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  count(size);
  return std::malloc(size);
}
void operator delete(void* old) noexcept { std::free(old); }
void operator delete(void* old, std::size_t) noexcept { std::free(old); }

namespace enclayer::attestation {
namespace {

struct Cost {
  std::size_t allocations, allocated, largest;
};

Cost cost_of(const std::function<void()>& work) {
  work();  // what is set up once does not count
  ::allocations = ::allocated = ::largest = 0;
  work();
  return {::allocations, ::allocated, ::largest};
}

std::string repeated(std::size_t size, std::string_view begin, std::string_view part, std::string_view end) {
  std::string out(begin);
  while (out.size() + part.size() + end.size() <= size) out += part;
  return out += end;
}

// Four times the input costs at most four times as much, and a little.
void expect_linear(const char* what, const std::function<void(std::size_t)>& read) {
  Cost small = cost_of([&] { read(16 << 10); }), large = cost_of([&] { read(64 << 10); });
  EXPECT_LE(large.allocations, 5 * small.allocations + 100) << what;
  EXPECT_LE(large.allocated, 5 * small.allocated + (64 << 10)) << what;
  EXPECT_LE(large.allocated, std::size_t{40} * (64 << 10)) << what;
}

TEST(HostileInput, is_counted) {
  EXPECT_TRUE(kOpensslIsCounted);
  EXPECT_GT(cost_of([] { OPENSSL_free(OPENSSL_malloc(1)); }).allocations, 0U);
}

TEST(HostileInput, json_costs_in_proportion_to_its_size) {
  for (const char* part : {"0,", "[],", "{},", "\"\",", "{\"a\":0},", "1e9,", "\"\\u00e4\",", " "})
    expect_linear(part, [&](std::size_t size) {
      std::string text = repeated(size, "{\"a\":[", part, "0]}");
      ::allocations = ::allocated = ::largest = 0;
      (void)base::JsonDocument::parse(text).has_value();
    });
  expect_linear("keys", [](std::size_t size) {
    std::string text = "{";
    for (int i = 0; text.size() < size - 16; ++i) text += "\"" + std::to_string(i) + "\":0,";
    text += "\"z\":0}";
    ::allocations = ::allocated = ::largest = 0;
    (void)base::JsonDocument::parse(text).has_value();
  });
}

TEST(HostileInput, json_has_a_most_of_values) {
  auto values = [](std::size_t n) {
    std::string text = "{\"a\":[";
    for (std::size_t i = 2; i < n; ++i) text += "0,";
    return base::JsonDocument::parse(text + "0]}").has_value() || n < 3;
  };
  EXPECT_TRUE(values(base::JsonDocument::kMaxValues - 1));
  EXPECT_FALSE(values(base::JsonDocument::kMaxValues + 1));
}

TEST(HostileInput, pem_and_der_cost_in_proportion_to_their_size) {
  expect_linear("pem", [](std::size_t size) {
    std::string text = repeated(size, "-----BEGIN CERTIFICATE-----\n", "MIIB", "\n-----END CERTIFICATE-----\n");
    ::allocations = ::allocated = ::largest = 0;
    (void)certificates_in_pem(text).has_value();
  });
  expect_linear("der", [](std::size_t size) {
    Bytes nested(size, 0x30);
    ::allocations = ::allocated = ::largest = 0;
    (void)Certificate::from_der(nested).has_value();
    (void)Crl::from_der(nested).has_value();
  });
}

TEST(HostileInput, der_whose_length_is_a_lie_allocates_nothing_for_it) {
  for (Bytes lie : {Bytes{0x30, 0x84, 0x7f, 0xff, 0xff, 0xff}, Bytes{0x30, 0x84, 0xff, 0xff, 0xff, 0xff},
                    Bytes{0x30, 0x88, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, Bytes{0x30, 0x80}}) {
    lie.resize(600);
    Cost cost = cost_of([&] {
      EXPECT_FALSE(Certificate::from_der(lie));
      EXPECT_FALSE(Crl::from_der(lie));
    });
    EXPECT_LE(cost.largest, 16U << 10);
  }
}

TEST(HostileInput, quote_whose_lengths_are_lies_allocates_nothing_for_them) {
  const Bytes real = fake::quote_case("A_phala_sgx_processor").quote;
  for (std::size_t field : {432, 1012, 1048})
    for (std::uint32_t value : {0x7fffffffU, 0x80000000U, 0xfffffffcU, 0xffffffffU, 0x00ffffffU}) {
      Bytes lie = real;
      base::store_le32(lie.data() + field, value);
      Cost cost = cost_of([&] { EXPECT_FALSE(parse_quote(lie)); });
      EXPECT_LE(cost.largest, 1024U) << field << " " << value;
    }
}

TEST(HostileInput, ten_megabytes_are_refused_without_being_copied) {
  const fake::QuoteCase real = fake::quote_case("A_phala_sgx_processor");
  const std::string megabytes(10 << 20, 'x');
  auto refused = [&](const std::function<void(Collateral&)>& change) {
    Collateral collateral = real.collateral;
    change(collateral);
    Cost cost =
        cost_of([&] { EXPECT_FALSE(verify(real.quote, collateral, TrustedRoot::intel(), real.at).verified()); });
    EXPECT_LE(cost.largest, 64U << 10);
  };
  refused([&](Collateral& c) { c.pck_crl_issuer_chain = megabytes; });
  refused([&](Collateral& c) { c.tcb_info_issuer_chain = megabytes; });
  refused([&](Collateral& c) { c.qe_identity_issuer_chain += megabytes; });
  refused([&](Collateral& c) { c.tcb_info = megabytes; });
  refused([&](Collateral& c) { c.qe_identity.insert(1, "\"x\":\"" + megabytes + "\","); });
  refused([&](Collateral& c) { c.tcb_info_signature.assign(megabytes.begin(), megabytes.end()); });
  refused([&](Collateral& c) { c.root_ca_crl.assign(megabytes.begin(), megabytes.end()); });
  refused([&](Collateral& c) { c.pck_crl.resize(c.pck_crl.size() + megabytes.size()); });

  Bytes longer = real.quote;
  longer.resize(megabytes.size());
  Cost cost = cost_of([&] { EXPECT_TRUE(parse_quote(longer)); });
  EXPECT_LE(cost.largest, 8U << 10) << "what follows a quote costs nothing";
}

}  // namespace
}  // namespace enclayer::attestation
