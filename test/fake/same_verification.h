// SPDX-License-Identifier: Apache-2.0
// Compares two answers of verification, field by field.
#pragma once

#include <gtest/gtest.h>

#include "enclayer/verify.h"
#include "fake/print_reason.h"

namespace enclayer::fake {

inline void expect_same(const Verification& found, const Verification& wanted) {
  EXPECT_EQ(found.reason, wanted.reason) << found.detail << "\ninstead of: " << wanted.detail;
  EXPECT_EQ(found.detail, wanted.detail);
  EXPECT_EQ(found.tcb_status, wanted.tcb_status);
  EXPECT_EQ(found.advisory_ids, wanted.advisory_ids);
  EXPECT_EQ(found.custom_root, wanted.custom_root);
  EXPECT_EQ(found.simulated, wanted.simulated);
  EXPECT_EQ(found.fmspc, wanted.fmspc);
  EXPECT_EQ(found.tcb_date, wanted.tcb_date);
  EXPECT_TRUE(found.tcb == wanted.tcb);
  EXPECT_TRUE(found.current_tcb == wanted.current_tcb);
  EXPECT_EQ(found.tcb_evaluation_number, wanted.tcb_evaluation_number);
  EXPECT_EQ(found.earliest_expiry, wanted.earliest_expiry);
  ASSERT_EQ(found.quote.has_value(), wanted.quote.has_value());
  if (!found.quote) return;
  EXPECT_EQ(found.quote->signed_bytes, wanted.quote->signed_bytes);
  EXPECT_EQ(found.quote->signature, wanted.quote->signature);
}

}  // namespace enclayer::fake
