// SPDX-License-Identifier: Apache-2.0
#include "enclayer/td_report.h"

#include <gtest/gtest.h>

namespace enclayer {
namespace {

// Every byte differs from its neighbours, so that a field that is read from a wrong place is seen.
Bytes pattern(std::size_t size) {
  Bytes out(size);
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<std::uint8_t>(i * 7 + i / 256);
  return out;
}

TEST(TdReportBody, every_field_lies_where_intel_puts_it) {
  const Bytes bytes = pattern(885);
  const TdReportBody td = TdReportBody::from_bytes(bytes).value();
  auto at = [&](const auto& field, std::size_t offset) {
    EXPECT_TRUE(std::equal(field.begin(), field.end(), bytes.begin() + static_cast<std::ptrdiff_t>(offset))) << offset;
  };
  auto number_at = [&](std::uint64_t number, std::size_t offset) {
    for (int i = 0; i < 8; ++i)
      EXPECT_EQ(static_cast<std::uint8_t>(number >> 8 * i), bytes[offset + static_cast<std::size_t>(i)]) << offset;
  };
  at(td.tee_tcb_svn, 0);
  at(td.mr_seam, 16);
  at(td.mr_signer_seam, 64);
  number_at(td.seam_attributes, 112);
  number_at(td.td_attributes, 120);
  number_at(td.xfam, 128);
  at(td.mr_td, 136);
  at(td.mr_config_id, 184);
  at(td.mr_owner, 232);
  at(td.mr_owner_config, 280);
  for (std::size_t i = 0; i < 4; ++i) at(td.rtmr[i], 328 + 48 * i);
  at(td.report_data, 520);
  ASSERT_TRUE(td.tdx15);
  at(td.tdx15->tee_tcb_svn2, 584);
  at(td.tdx15->mr_service_td, 600);
  ASSERT_TRUE(td.partitioned);
  const auto& more = *td.partitioned;
  EXPECT_EQ(more.vmid, bytes[648]);
  at(more.td_id, 649);
  at(more.dev_info, 681);
  at(more.init_service_td_hash, 729);
  number_at(more.init_service_td_attributes, 777);
  at(more.init_cpu_svn, 785);
  at(more.init_tee_tcb_svn, 801);
  at(more.init_tee_fmspc, 817);
  at(more.current_service_td_hash, 829);
  number_at(more.current_service_td_attributes, 877);
}

TEST(TdReportBody, is_written_as_it_was_read) {
  for (std::size_t size : {584, 648, 885})
    EXPECT_EQ(TdReportBody::from_bytes(pattern(size))->to_bytes(), pattern(size)) << size;
}

TEST(TdReportBody, has_one_of_three_sizes) {
  for (std::size_t size = 0; size < 1000; ++size)
    EXPECT_EQ(TdReportBody::from_bytes(Bytes(size)).has_value(), size == 584 || size == 648 || size == 885) << size;
}

TEST(TdReportBody, service_td_is_seen_in_each_place_where_it_may_stand) {
  TdReportBody td;
  EXPECT_FALSE(td.has_service_td());
  td.tdx15.emplace();
  td.partitioned.emplace();
  EXPECT_FALSE(td.has_service_td());
  for (auto* place :
       {&td.tdx15->mr_service_td, &td.partitioned->init_service_td_hash, &td.partitioned->current_service_td_hash}) {
    place->back() = 1;
    EXPECT_TRUE(td.has_service_td());
    place->back() = 0;
  }
}

}  // namespace
}  // namespace enclayer
