// SPDX-License-Identifier: Apache-2.0
#include "enclayer/quote.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/bytes.h"
#include "base/hex.h"
#include "fake/quote_case.h"

namespace enclayer {
namespace {

using base::append;
using testing::HasSubstr;

Bytes real(const char* name) { return fake::quote_case(name).quote; }

void put(Bytes& out, std::size_t at, std::uint32_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out[at + static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(value >> 8 * i);
}

Bytes le(std::uint64_t value, std::size_t bytes) {
  Bytes out(bytes);
  for (std::size_t i = 0; i < bytes; ++i) out[i] = static_cast<std::uint8_t>(value >> 8 * i);
  return out;
}

// A quote with `body` in versions 4 and 5, made from the parts of A; its signatures are nonsense.
Bytes made(std::uint16_t version, std::uint32_t tee, ByteView descriptor, ByteView body) {
  Bytes a = real("A_phala_sgx_processor");
  Bytes inner(a.begin() + 564, a.end());  // QE report .. certification data
  Bytes out = le(version, 2);
  append(out, le(2, 2));
  append(out, le(tee, 4));
  append(out, ByteView(a).subspan(8, 40));
  append(out, descriptor);
  append(out, body);
  append(out, le(128 + 6 + inner.size(), 4));
  append(out, ByteView(a).subspan(436, 128));
  append(out, le(6, 2));
  append(out, le(inner.size(), 4));
  append(out, inner);
  return out;
}

Bytes descriptor(std::uint16_t type, std::uint32_t size) {
  Bytes out = le(type, 2);
  append(out, le(size, 4));
  return out;
}

// Version 5 of a TD, all zeros.
Bytes of_a_td(std::uint16_t type, std::uint32_t size) {
  return made(5, QuoteHeader::kTdx, descriptor(type, size), Bytes(size));
}

TEST(Quote, version_3_is_taken_apart) {
  auto quote = parse_quote(real("A_phala_sgx_processor"));
  ASSERT_TRUE(quote) << quote.error().message();
  EXPECT_TRUE(quote->sgx());
  EXPECT_EQ(quote->header.version, 3);
  EXPECT_EQ(quote->header.vendor_id, QuoteHeader::kIntelVendor);
  EXPECT_EQ(quote->header.qe_svn, 10);
  EXPECT_EQ(quote->signed_bytes.size(), 432U);
  EXPECT_EQ(base::to_hex(quote->report().mr_enclave),
            "33d8736db756ed4997e04ba358d27833188f1932ff7b1d156904d3f560452fbb");
  EXPECT_EQ(base::to_hex(quote->qe_report().mr_signer),
            "8c4f5775d796503e96137f77c68a829a0056ac8ded70140b081b094490c57bff");
  EXPECT_EQ(quote->qe_auth_data.size(), 32U);
  EXPECT_EQ(quote->certification.type, CertificationData::kPckChain);
  EXPECT_EQ(quote->certification.data.size(), 4600U - 1052);
  EXPECT_EQ(quote->size, 4600U);
}

TEST(Quote, version_4_of_a_trust_domain_is_taken_apart) {
  auto quote = parse_quote(real("T4_phala_tdx_v4"));
  ASSERT_TRUE(quote) << quote.error().message();
  EXPECT_FALSE(quote->sgx());
  const TdReportBody& td = quote->td_report();
  EXPECT_EQ(base::to_hex(td.mr_td).substr(0, 16), "91eb2b44d141d4ec");
  EXPECT_EQ(td.td_attributes, TdReportBody::kSeptVeDisable);
  EXPECT_EQ(td.xfam, 0x602e7U);
  EXPECT_FALSE(td.tdx15);
  EXPECT_EQ(quote->signed_bytes.size(), 48U + 584);
  EXPECT_EQ(quote->certification.type, CertificationData::kPckChain);
}

TEST(Quote, versions_4_and_5_of_an_enclave_are_taken_apart) {
  Bytes a = real("A_phala_sgx_processor");
  ByteView body = ByteView(a).subspan(48, 384);
  auto v4 = parse_quote(made(4, QuoteHeader::kSgx, {}, body));
  ASSERT_TRUE(v4) << v4.error().message();
  EXPECT_EQ(v4->report(), parse_quote(a)->report());
  EXPECT_EQ(v4->header.qe_svn, 0) << "reserved bytes in version 4";
  EXPECT_EQ(v4->signed_bytes.size(), 432U);
  EXPECT_EQ(v4->certification, parse_quote(a)->certification);
  auto v5 = parse_quote(made(5, QuoteHeader::kSgx, descriptor(1, 384), body));
  ASSERT_TRUE(v5) << v5.error().message();
  EXPECT_EQ(v5->report(), parse_quote(a)->report());
  EXPECT_EQ(v5->signed_bytes.size(), 438U);
}

TEST(Quote, version_5_of_a_trust_domain_says_which_body_it_has) {
  for (auto [type, size] : {std::pair<std::uint16_t, std::uint32_t>(2, 584), {3, 648}, {4, 885}}) {
    Bytes body(size, 0);
    body.back() = 0xaa;
    auto quote = parse_quote(made(5, QuoteHeader::kTdx, descriptor(type, size), body));
    ASSERT_TRUE(quote) << quote.error().message();
    EXPECT_EQ(quote->td_report().to_bytes(), body);
    EXPECT_EQ(quote->td_report().tdx15.has_value(), type >= 3);
    EXPECT_EQ(quote->td_report().partitioned.has_value(), type == 4);
    EXPECT_EQ(quote->signed_bytes.size(), 54 + size);
  }
}

TEST(Quote, body_that_contradicts_its_descriptor_or_tee_is_refused) {
  Bytes body(648, 0);
  ByteView b(body);
  EXPECT_FALSE(parse_quote(made(5, QuoteHeader::kTdx, descriptor(1, 384), b.first(384))));
  EXPECT_FALSE(parse_quote(made(5, QuoteHeader::kSgx, descriptor(2, 584), b.first(584))));
  EXPECT_FALSE(parse_quote(made(5, QuoteHeader::kSgx, descriptor(1, 385), b.first(385))));
  EXPECT_FALSE(parse_quote(made(5, QuoteHeader::kTdx, descriptor(3, 584), b.first(584))));
  EXPECT_FALSE(parse_quote(made(5, QuoteHeader::kTdx, descriptor(4, 648), b)));
  for (std::uint16_t type : {0, 5, 6, 0xffff})
    EXPECT_EQ(parse_quote(made(5, QuoteHeader::kTdx, descriptor(type, 648), b)).error().kind(),
              ErrorKind::kUnsupported);
  EXPECT_FALSE(parse_quote(made(4, QuoteHeader::kTdx, {}, b.first(384))));
}

TEST(Quote, unknown_version_key_type_tee_and_certification_type_are_unsupported) {
  auto kind_with = [](std::size_t at, std::uint32_t value, int bytes) {
    Bytes quote = real("A_phala_sgx_processor");
    put(quote, at, value, bytes);
    auto parsed = parse_quote(quote);
    EXPECT_FALSE(parsed);
    return parsed ? ErrorKind::kInternal : parsed.error().kind();
  };
  for (std::uint32_t version : {0, 1, 2, 6, 0xffff}) EXPECT_EQ(kind_with(0, version, 2), ErrorKind::kUnsupported);
  for (std::uint32_t key : {0, 1, 3}) EXPECT_EQ(kind_with(2, key, 2), ErrorKind::kUnsupported);
  for (std::uint32_t tee : {1U, 0x81U, 0xffffffffU}) EXPECT_EQ(kind_with(4, tee, 4), ErrorKind::kUnsupported);
  for (std::uint32_t type : {0, 6, 7}) EXPECT_EQ(kind_with(1046, type, 2), ErrorKind::kUnsupported);
  for (std::uint32_t type : {1, 2, 3}) EXPECT_EQ(kind_with(1046, type, 2), ErrorKind::kMalformed);
}

TEST(Quote, every_prefix_is_malformed_and_says_which_field_is_cut) {
  for (const Bytes& quote :
       {real("A_phala_sgx_processor"), real("T4_phala_tdx_v4"), of_a_td(2, 584), of_a_td(3, 648), of_a_td(4, 885)}) {
    std::size_t size = parse_quote(quote)->size;
    for (std::size_t length = 0; length < size; ++length) {
      auto parsed = parse_quote(ByteView(quote).first(length));
      ASSERT_FALSE(parsed) << length;
      ASSERT_EQ(parsed.error().kind(), ErrorKind::kMalformed) << length;
      ASSERT_THAT(parsed.error().message(), HasSubstr("it ends in its ")) << length;
    }
  }
}

TEST(Quote, signature_data_has_to_be_used_up_exactly) {
  Bytes quote = real("A_phala_sgx_processor");
  quote.push_back(0);
  ASSERT_TRUE(parse_quote(quote)) << "trailing bytes are no part of the quote";
  put(quote, 432, 4600 - 436 + 1, 4);
  auto parsed = parse_quote(quote);
  ASSERT_FALSE(parsed);
  EXPECT_THAT(parsed.error().message(), HasSubstr("1 bytes after"));
}

TEST(Quote, versions_4_and_5_have_certification_data_of_type_6) {
  Bytes a = real("A_phala_sgx_processor");
  Bytes v4 = made(4, QuoteHeader::kSgx, {}, ByteView(a).subspan(48, 384));
  for (std::uint32_t type : {1, 5, 7}) {
    Bytes changed = v4;
    put(changed, 564, type, 2);
    EXPECT_FALSE(parse_quote(changed)) << type;
  }
  Bytes shorter = v4;
  put(shorter, 566, static_cast<std::uint32_t>(base::load_le32(v4.data() + 566) - 1), 4);
  EXPECT_FALSE(parse_quote(shorter));
}

TEST(Quote, ppid_of_each_kind_is_certification_data) {
  Bytes a = real("A_phala_sgx_processor");
  for (auto [type, size] : {std::pair(1, 36), {1, 34}, {2, 276}, {3, 404}}) {
    Bytes quote(a.begin(), a.begin() + 1052);
    quote.resize(quote.size() + static_cast<std::size_t>(size));
    put(quote, 432, static_cast<std::uint32_t>(1052 - 436 + size), 4);
    put(quote, 1046, static_cast<std::uint32_t>(type), 2);
    put(quote, 1048, static_cast<std::uint32_t>(size), 4);
    auto parsed = parse_quote(quote);
    ASSERT_TRUE(parsed) << type << " " << parsed.error().message();
    EXPECT_EQ(parsed->size, quote.size());
    EXPECT_NE(certification_type_name(parsed->certification.type), "unknown");
  }
  EXPECT_EQ(certification_type_name(8), "unknown");
}

TEST(Quote, platform_manifest_is_read_where_it_may_stand) {
  Bytes a = real("A_phala_sgx_processor");
  std::size_t inner = a.size() - 564;  // in version 4 after 564 bytes and the 6 of type 6
  Bytes v4 = made(4, QuoteHeader::kSgx, {}, ByteView(a).subspan(48, 384));
  put(v4, 564 + 6 + (1046 - 564), CertificationData::kPlatformManifest, 2);
  auto parsed = parse_quote(v4);
  ASSERT_TRUE(parsed) << parsed.error().message();
  EXPECT_EQ(parsed->certification.type, CertificationData::kPlatformManifest);
  EXPECT_EQ(parsed->certification.data.size(), inner - (1052 - 564));
  EXPECT_EQ(certification_type_name(7), "platform manifest");
  put(a, 1046, CertificationData::kPlatformManifest, 2);
  EXPECT_EQ(parse_quote(a).error().kind(), ErrorKind::kUnsupported) << "not in version 3";
}

TEST(Quote, certification_data_is_bounded) {
  auto sized = [](std::size_t size) {
    Bytes quote = real("A_phala_sgx_processor");
    quote.resize(1052 + size, 'x');
    put(quote, 432, static_cast<std::uint32_t>(1052 - 436 + size), 4);
    put(quote, 1048, static_cast<std::uint32_t>(size), 4);
    return parse_quote(quote);
  };
  EXPECT_TRUE(sized(CertificationData::kMaxSize));
  auto too_long = sized(CertificationData::kMaxSize + 1);
  ASSERT_FALSE(too_long);
  EXPECT_THAT(too_long.error().message(), HasSubstr("at most 65536"));
}

TEST(Quote, every_value_of_each_length_field_is_refused_or_fits) {
  Bytes a = real("A_phala_sgx_processor");
  auto refused_unless = [&](const Bytes& quote, std::size_t at, int bytes, std::uint32_t good) {
    std::vector<std::uint32_t> values;
    for (std::uint32_t v = 0; v < (bytes == 2 ? 0x10000U : 0x1800U); ++v) values.push_back(v);
    for (int bit = 16; bit < 32 && bytes == 4; ++bit)
      for (std::uint32_t near : {0U, 1U, 0xffffffffU, good}) values.push_back((1U << bit) + near);
    for (std::uint32_t near = 0; near < 2000 && bytes == 4; ++near) values.push_back(0xffffffffU - near);
    for (std::uint32_t value : values) {
      Bytes changed = quote;
      put(changed, at, value, bytes);
      bool parsed = parse_quote(changed).has_value();
      ASSERT_EQ(parsed, value == good) << "offset " << at << ", value " << value;
    }
  };
  refused_unless(a, 432, 4, 4600 - 436);
  refused_unless(a, 1012, 2, 32);
  refused_unless(a, 1048, 4, 4600 - 1052);
  Bytes v5 = made(5, QuoteHeader::kSgx, descriptor(1, 384), ByteView(a).subspan(48, 384));
  ASSERT_TRUE(parse_quote(v5));
  refused_unless(v5, 50, 4, 384);
  refused_unless(v5, 438, 4, static_cast<std::uint32_t>(v5.size() - 442));
  refused_unless(v5, 442 + 128 + 2, 4, static_cast<std::uint32_t>(v5.size() - 442 - 134));
  for (auto [type, size] : {std::pair<std::uint16_t, std::uint32_t>(2, 584), {3, 648}, {4, 885}}) {
    Bytes td = of_a_td(type, size);
    const std::size_t rest = 54 + size + 4;
    refused_unless(td, 48, 2, type);
    refused_unless(td, 50, 4, size);
    refused_unless(td, 54 + size, 4, static_cast<std::uint32_t>(td.size() - rest));
    refused_unless(td, rest + 128 + 2, 4, static_cast<std::uint32_t>(td.size() - rest - 134));
  }
}

TEST(Quote, open_enclave_header_is_recognised_and_its_size_is_a_limit) {
  Bytes a = real("A_phala_sgx_processor");
  auto wrapped = [&](std::uint64_t size) {
    Bytes out = le(1, 4);
    append(out, le(2, 4));
    append(out, le(size, 8));
    append(out, a);
    return out;
  };
  auto quote = parse_quote(wrapped(4600));
  ASSERT_TRUE(quote);
  EXPECT_TRUE(quote->open_enclave_header);
  EXPECT_EQ(quote->size, 4600U);
  for (std::uint64_t size : {std::uint64_t{0}, std::uint64_t{4599}, std::uint64_t{4601}, ~std::uint64_t{0}})
    EXPECT_FALSE(parse_quote(wrapped(size))) << size;
}

}  // namespace
}  // namespace enclayer
