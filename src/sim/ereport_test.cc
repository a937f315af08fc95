// SPDX-License-Identifier: Apache-2.0
#include "sim/ereport.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/file.h"
#include "base/hex.h"

namespace enclayer::sim {
namespace {

// test/data/quotes/simreport_kat: output of Intel's unmodified simulated EREPORT.
sgx::TargetInfo kat_target() {
  sgx::TargetInfo target;
  for (std::uint8_t i = 0; i < 32; ++i) target.mr_enclave[i] = i;
  target.attributes = {5, 3};
  return target;
}

sgx::Report kat_report() {
  auto text = base::read_text(ENCLAYER_TEST_DATA "/quotes/simreport_kat/ereport.txt", 4096);
  auto hex = text->substr(text->find('=') + 1, 2 * sgx::Report::kSize);
  auto bytes = base::from_hex(hex);
  sgx::Report report;
  std::copy(bytes->begin(), bytes->end(), report.raw.begin());
  return report;
}

TEST(SimReport, key_is_the_one_of_intels_simulation) {
  ByteArray<32> key_id{};
  for (std::size_t i = 0; i < 16; i += 2) key_id[i] = 0xff;
  EXPECT_EQ(base::to_hex(report_key(kat_target(), cpu_svns()[0], key_id)), "eef504ff824eba3d02eb48bebc6bf116");
}

TEST(SimReport, known_report_is_accepted_and_made_again_byte_for_byte) {
  sgx::Report known = kat_report();
  EXPECT_TRUE(report_is_for(known, kat_target()));
  EXPECT_EQ(ereport(known.body(), kat_target()).raw, known.raw);
}

TEST(SimReport, every_flipped_bit_of_body_key_id_and_mac_is_refused) {
  sgx::Report known = kat_report();
  for (std::size_t bit = 0; bit < sgx::Report::kSize * 8; ++bit) {
    sgx::Report changed = known;
    changed.raw[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
    EXPECT_FALSE(report_is_for(changed, kat_target())) << "bit " << bit;
  }
}

TEST(SimReport, report_for_another_target_is_refused) {
  sgx::TargetInfo other = kat_target();
  other.attributes.flags ^= Attributes::kDebug;
  EXPECT_FALSE(report_is_for(kat_report(), other));
}

}  // namespace
}  // namespace enclayer::sim
