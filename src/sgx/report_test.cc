#include "sgx/report.h"

#include <gtest/gtest.h>

#include "base/file.h"
#include "base/hex.h"

namespace enclayer::sgx {
namespace {

// test/data/quotes/simreport_kat: output of Intel's unmodified simulated EREPORT.
TargetInfo kat_target() {
  TargetInfo target;
  for (std::uint8_t i = 0; i < 32; ++i) target.mr_enclave[i] = i;
  target.attributes = {5, 3};
  return target;
}

Report kat_report() {
  auto text = base::read_text(ENCLAYER_TEST_DATA "/quotes/simreport_kat/ereport.txt", 4096);
  auto hex = text->substr(text->find('=') + 1, 2 * Report::kSize);
  auto bytes = base::from_hex(hex);
  Report report;
  std::copy(bytes->begin(), bytes->end(), report.raw.begin());
  return report;
}

TEST(SimReport, key_is_the_one_of_intels_simulation) {
  ByteArray<32> key_id{};
  for (std::size_t i = 0; i < 16; i += 2) key_id[i] = 0xff;
  EXPECT_EQ(base::to_hex(sim::report_key(kat_target(), sim::cpu_svns()[0], key_id)),
            "eef504ff824eba3d02eb48bebc6bf116");
}

TEST(SimReport, known_report_is_accepted_and_made_again_byte_for_byte) {
  Report known = kat_report();
  EXPECT_TRUE(sim::report_is_for(known, kat_target()));
  EXPECT_EQ(sim::ereport(known.body(), kat_target()).raw, known.raw);
}

TEST(SimReport, every_flipped_bit_of_body_key_id_and_mac_is_refused) {
  Report known = kat_report();
  for (std::size_t bit = 0; bit < Report::kSize * 8; ++bit) {
    Report changed = known;
    changed.raw[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
    EXPECT_FALSE(sim::report_is_for(changed, kat_target())) << "bit " << bit;
  }
}

TEST(SimReport, report_for_another_target_is_refused) {
  TargetInfo other = kat_target();
  other.attributes.flags ^= Attributes::kDebug;
  EXPECT_FALSE(sim::report_is_for(kat_report(), other));
}

TEST(TargetInfo, bytes_go_round) {
  TargetInfo target = kat_target();
  target.config_svn = 0x1234;
  target.misc_select = 0xa0b0c0d0;
  target.config_id.fill(7);
  EXPECT_EQ(TargetInfo::from_bytes(target.to_bytes()), target);
}

TEST(ReportBody, bytes_go_round) {
  Report known = kat_report();
  ReportBody body = known.body();
  EXPECT_EQ(body.isv_prod_id, 1);
  EXPECT_EQ(body.isv_svn, 2);
  EXPECT_EQ(body.attributes, (Attributes{7, 3}));
  EXPECT_TRUE(body.attributes.debug());
  EXPECT_EQ(ReportBody::from_bytes(body.to_bytes()), body);
}

}  // namespace
}  // namespace enclayer::sgx
