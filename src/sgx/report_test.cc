// SPDX-License-Identifier: Apache-2.0
#include "sgx/report.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/file.h"
#include "base/hex.h"

namespace enclayer::sgx {
namespace {

// test/data/quotes/simreport_kat: output of Intel's unmodified simulated EREPORT.
Report kat_report() {
  auto text = base::read_text(ENCLAYER_TEST_DATA "/quotes/simreport_kat/ereport.txt", 4096);
  auto hex = text->substr(text->find('=') + 1, 2 * Report::kSize);
  auto bytes = base::from_hex(hex);
  Report report;
  std::copy(bytes->begin(), bytes->end(), report.raw.begin());
  return report;
}

TEST(TargetInfo, bytes_go_round) {
  TargetInfo target;
  for (std::uint8_t i = 0; i < 32; ++i) target.mr_enclave[i] = i;
  target.attributes = {5, 3};
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
