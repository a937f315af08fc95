// SPDX-License-Identifier: Apache-2.0
#include "base/quantity.h"

#include <gtest/gtest.h>

#include <string>

namespace enclayer::base {
namespace {

TEST(Quantity, binary_units_and_plain_bytes_are_read) {
  EXPECT_EQ(parse_quantity("0").value(), 0u);
  EXPECT_EQ(parse_quantity("1048576").value(), 1u << 20);
  EXPECT_EQ(parse_quantity("1Ki").value(), 1024u);
  EXPECT_EQ(parse_quantity("512Mi").value(), 512ull << 20);
  EXPECT_EQ(parse_quantity("8Gi").value(), 8ull << 30);
  EXPECT_EQ(parse_quantity("1Ti").value(), 1ull << 40);
  EXPECT_EQ(parse_quantity("18446744073709551615").value(), ~0ull);
}

TEST(Quantity, everything_else_is_refused_and_named) {
  for (const char* text : {"",
                           "Gi",
                           "-1",
                           "+1",
                           " 8Gi",
                           "8Gi ",
                           "8 Gi",
                           "8G",
                           "8M",
                           "8k",
                           "8gi",
                           "8GiB",
                           "0x10",
                           "1.5Gi",
                           "1e3",
                           "8Gi8",
                           "18446744073709551616",
                           "99999999999999999999Ki",
                           "17179869184Gi",
                           "16777216Ti"}) {
    auto read = parse_quantity(text);
    ASSERT_FALSE(read) << text;
    EXPECT_EQ(read.error().kind(), ErrorKind::kInvalidArgument);
    EXPECT_NE(read.error().message().find("'" + std::string(text) + "'"), std::string::npos) << read.error().message();
  }
}

TEST(WholeQuantity, is_read_as_kubernetes_writes_it) {
  EXPECT_EQ(whole_quantity("10"), 10);
  EXPECT_EQ(whole_quantity("10Mi"), 10 << 20);
  EXPECT_EQ(whole_quantity("8Gi"), std::int64_t{8} << 30);
  EXPECT_EQ(whole_quantity("10k"), 10'000);
  EXPECT_EQ(whole_quantity("5e3"), 5'000);
  EXPECT_EQ(whole_quantity("1500m"), 2) << "fractions are rounded up";
  EXPECT_EQ(whole_quantity("2E"), 2'000'000'000'000'000'000);
  for (const char* bad : {"", "Mi", "10X", "10 Mi", "99999999999999999999Ei", "9223372036854775807", "nan", "1Mi2"})
    EXPECT_EQ(whole_quantity(bad), std::nullopt) << bad;
}

}  // namespace
}  // namespace enclayer::base
