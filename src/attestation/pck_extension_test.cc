// SPDX-License-Identifier: Apache-2.0
#include "attestation/pck_extension.h"

#include <gtest/gtest.h>

#include "attestation/certificate.h"
#include "attestation/der.h"
#include "base/bytes.h"
#include "base/hex.h"
#include "enclayer/quote.h"
#include "fake/quote_case.h"

namespace enclayer::attestation {
namespace {

Bytes extension(const char* name) {
  auto quote = parse_quote(fake::quote_case(name).quote);
  return certificates_from_pem(base::as_text(quote->certification.data)).value()[0].sgx_extension.value();
}

Bytes der(std::uint8_t tag, ByteView content) {
  Bytes out{tag};
  if (content.size() >= 0x100) {
    out.insert(out.end(), {0x82, static_cast<std::uint8_t>(content.size() >> 8)});
  } else if (content.size() >= 0x80) {
    out.push_back(0x81);
  }
  out.push_back(static_cast<std::uint8_t>(content.size()));
  base::append(out, content);
  return out;
}

Bytes item(std::initializer_list<std::uint8_t> arcs, const Bytes& value) {
  Bytes oid{0x2a, 0x86, 0x48, 0x86, 0xf8, 0x4d, 0x01, 0x0d, 0x01};
  oid.insert(oid.end(), arcs);
  Bytes out = der(0x06, oid);
  base::append(out, value);
  return der(0x30, out);
}

Bytes joined(const std::vector<Bytes>& items) {
  Bytes content;
  for (const Bytes& one : items) base::append(content, one);
  return der(0x30, content);
}

Bytes octets(std::size_t size) { return der(0x04, Bytes(size, 0xab)); }
Bytes number(Bytes digits) { return der(0x02, digits); }

std::vector<Bytes> tcb_items() {
  std::vector<Bytes> items;
  for (std::uint8_t i = 1; i <= 16; ++i) items.push_back(item({2, i}, number({i})));
  items.push_back(item({2, 17}, number({0x01, 0x00})));
  items.push_back(item({2, 18}, octets(16)));
  return items;
}

std::vector<Bytes> five_items() {
  return {item({1}, octets(16)), item({2}, joined(tcb_items())), item({3}, octets(2)), item({4}, octets(6)),
          item({5}, der(0x0a, Bytes{0}))};
}

std::vector<Bytes> seven_items() {
  std::vector<Bytes> items = five_items();
  items.push_back(item({6}, octets(16)));
  items.push_back(item({7}, joined({item({7, 1}, der(0x01, Bytes{0xff})), item({7, 2}, der(0x01, Bytes{0})),
                                    item({7, 3}, der(0x01, Bytes{0xff}))})));
  return items;
}

TEST(PckExtension, processor_certificate_has_five_items) {
  auto e = parse_pck_extension(extension("A_phala_sgx_processor"));
  ASSERT_TRUE(e) << e.error().message();
  EXPECT_EQ(base::to_hex(e->fmspc), "00a067110000");
  EXPECT_EQ(e->tcb.components, (ByteArray<16>{11, 11, 2, 2, 255, 1}));
  EXPECT_EQ(e->tcb.pce_svn, 13);
  EXPECT_EQ(e->sgx_type, 0);
  EXPECT_FALSE(e->platform_instance_id);
}

TEST(PckExtension, platform_certificate_has_seven_items) {
  auto e = parse_pck_extension(extension("C_automata_sgx_platform"));
  ASSERT_TRUE(e) << e.error().message();
  EXPECT_EQ(base::to_hex(e->fmspc), "00606a000000");
  EXPECT_EQ(e->sgx_type, 1);
  EXPECT_EQ(base::to_hex(*e->platform_instance_id), "7f96822f9d6421e505d4f256f65c5338");
  EXPECT_EQ(e->dynamic_platform, true);
  EXPECT_EQ(e->cached_keys, false);
  EXPECT_EQ(e->smt_enabled, false);
}

TEST(PckExtension, numbers_of_two_digits_are_read_big_endian) {
  auto e = parse_pck_extension(joined(seven_items()));
  ASSERT_TRUE(e) << e.error().message();
  EXPECT_EQ(e->tcb.pce_svn, 256);
  EXPECT_EQ(e->tcb.components[15], 16);
  EXPECT_EQ(e->smt_enabled, true);
}

TEST(PckExtension, exactly_the_five_or_the_seven_items_are_accepted) {
  std::vector<Bytes> seven = seven_items();
  EXPECT_TRUE(parse_pck_extension(joined(five_items())));
  EXPECT_TRUE(parse_pck_extension(joined(seven)));
  for (std::size_t left_out = 0; left_out < seven.size(); ++left_out) {
    std::vector<Bytes> six = seven;
    six.erase(six.begin() + static_cast<std::ptrdiff_t>(left_out));
    EXPECT_FALSE(parse_pck_extension(joined(six))) << left_out;
  }
  for (std::size_t again = 0; again < seven.size(); ++again) {
    std::vector<Bytes> eight = seven;
    eight.push_back(seven[again]);
    EXPECT_FALSE(parse_pck_extension(joined(eight))) << again;
  }
  std::vector<Bytes> reversed(seven.rbegin(), seven.rend());
  EXPECT_TRUE(parse_pck_extension(joined(reversed))) << "an item is known by its identifier, not by its place";
  seven.push_back(item({8}, octets(1)));
  EXPECT_FALSE(parse_pck_extension(joined(seven)));
  EXPECT_FALSE(parse_pck_extension(joined({})));
  EXPECT_FALSE(parse_pck_extension({}));
}

TEST(PckExtension, item_of_another_size_or_type_is_refused) {
  auto with = [](std::size_t at, const Bytes& changed) {
    std::vector<Bytes> items = seven_items();
    items[at] = changed;
    return parse_pck_extension(joined(items));
  };
  EXPECT_FALSE(with(0, item({1}, octets(15))));
  EXPECT_FALSE(with(0, item({1}, der(0x02, Bytes(16, 1)))));
  EXPECT_FALSE(with(1, item({2}, octets(16))));
  EXPECT_FALSE(with(2, item({3}, octets(3))));
  EXPECT_FALSE(with(3, item({4}, octets(7))));
  EXPECT_FALSE(with(4, item({5}, der(0x0a, Bytes{3}))));
  EXPECT_FALSE(with(4, item({5}, number({0}))));
  EXPECT_FALSE(with(6, item({7}, joined({item({7, 4}, der(0x01, Bytes{0}))}))));
  EXPECT_FALSE(with(6, item({7}, joined({item({7, 1}, der(0x01, Bytes{1}))}))));
  EXPECT_FALSE(with(0, item({2, 1}, octets(16)))) << "an identifier of another level";
}

TEST(PckExtension, svn_out_of_range_or_not_in_shortest_form_and_missing_svn_are_refused) {
  auto with = [](std::size_t at, const Bytes& value) {
    std::vector<Bytes> tcb = tcb_items();
    tcb[at] = item({2, static_cast<std::uint8_t>(at + 1)}, value);
    std::vector<Bytes> items = five_items();
    items[1] = item({2}, joined(tcb));
    return parse_pck_extension(joined(items));
  };
  EXPECT_TRUE(with(0, number({0x00, 0xff})));
  EXPECT_FALSE(with(0, number({0x01, 0x00}))) << "256";
  EXPECT_FALSE(with(0, number({0xff}))) << "-1";
  EXPECT_FALSE(with(0, number({0x00, 0x01}))) << "not the shortest form";
  EXPECT_FALSE(with(0, number({})));
  EXPECT_TRUE(with(16, number({0x00, 0xff, 0xff})));
  EXPECT_FALSE(with(16, number({0x01, 0x00, 0x00})));
  EXPECT_FALSE(with(17, octets(15)));
  std::vector<Bytes> items = five_items(), tcb = tcb_items();
  tcb.pop_back();
  items[1] = item({2}, joined(tcb));
  EXPECT_FALSE(parse_pck_extension(joined(items)));
}

TEST(PckExtension, every_cut_and_trailing_byte_is_refused) {
  for (const char* name : {"A_phala_sgx_processor", "C_automata_sgx_platform"}) {
    Bytes whole = extension(name);
    for (std::size_t length = 0; length < whole.size(); ++length)
      EXPECT_FALSE(parse_pck_extension(ByteView(whole).first(length))) << length;
    whole.push_back(0);
    EXPECT_FALSE(parse_pck_extension(whole));
  }
}

TEST(PlatformTcb, reaches_a_level_only_with_all_seventeen_numbers) {
  PlatformTcb level;
  level.components.fill(5);
  level.pce_svn = 10;
  EXPECT_TRUE(level.reaches(level));
  for (std::size_t i = 0; i < 16; ++i) {
    PlatformTcb lower = level;
    lower.components.fill(200);
    lower.components[i] = 4;
    EXPECT_FALSE(lower.reaches(level)) << i;
  }
  PlatformTcb old_pce = level;
  old_pce.components.fill(200);
  old_pce.pce_svn = 9;
  EXPECT_FALSE(old_pce.reaches(level));
}

TEST(DerReader, lengths_that_are_indefinite_long_winded_or_too_long_are_refused) {
  auto reads = [](Bytes bytes) { return DerReader(bytes).next().has_value(); };
  EXPECT_TRUE(reads({0x04, 0x00}));
  EXPECT_TRUE(reads({0x04, 0x01, 0xaa}));
  EXPECT_FALSE(reads({}));
  EXPECT_FALSE(reads({0x04}));
  EXPECT_FALSE(reads({0x04, 0x01}));
  EXPECT_FALSE(reads({0x04, 0x80, 0x00, 0x00}));
  EXPECT_FALSE(reads({0x04, 0x81, 0x01, 0xaa}));
  EXPECT_FALSE(reads({0x04, 0x82, 0x00, 0x01, 0xaa}));
  EXPECT_FALSE(reads({0x04, 0x84, 0xff, 0xff, 0xff, 0xff}));
  EXPECT_FALSE(reads({0x1f, 0x81, 0x01, 0x00}));
}

TEST(PlatformTcb, is_written_as_intels_service_writes_a_tcbm_and_read_again) {
  PlatformTcb tcb;
  for (std::size_t i = 0; i < tcb.components.size(); ++i) tcb.components[i] = static_cast<std::uint8_t>(i + 1);
  tcb.pce_svn = 0x010d;
  EXPECT_EQ(to_string(tcb), "0102030405060708090a0b0c0d0e0f100d01");
  EXPECT_EQ(platform_tcb_from(to_string(tcb)), tcb);
  for (const char* other :
       {"", "0102", "0102030405060708090a0b0c0d0e0f100d0101", "x102030405060708090a0b0c0d0e0f100d01"})
    EXPECT_EQ(platform_tcb_from(other), std::nullopt) << other;
}

}  // namespace
}  // namespace enclayer::attestation
