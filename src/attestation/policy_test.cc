#include "enclayer/policy.h"

#include <gtest/gtest.h>

#include "attestation/tcb_status.h"
#include "fake/print_reason.h"
#include "fake/quote_case.h"

namespace enclayer {
namespace {

Verification verified(TcbStatus status, bool debug = false) {
  Verification v;
  v.quote = parse_quote(fake::quote_case("A_phala_sgx_processor").quote).value();
  if (debug) std::get<ReportBody>(v.quote->body).attributes.flags |= Attributes::kDebug;
  v.tcb_status = status;
  v.reason = attestation::reason_of(status);
  return v;
}

TEST(Policy, only_up_to_date_is_trusted_by_default) {
  Verdict good = judge(verified(TcbStatus::kUpToDate), {});
  EXPECT_TRUE(good.trusted);
  EXPECT_EQ(good.reason, Reason::kOk);
  EXPECT_TRUE(good.misses.empty());
  for (TcbStatus status :
       {TcbStatus::kSwHardeningNeeded, TcbStatus::kConfigurationNeeded, TcbStatus::kConfigurationAndSwHardeningNeeded,
        TcbStatus::kOutOfDate, TcbStatus::kOutOfDateConfigurationNeeded, TcbStatus::kRevoked}) {
    Verdict verdict = judge(verified(status), {});
    EXPECT_FALSE(verdict.trusted);
    EXPECT_EQ(verdict.reason, attestation::reason_of(status));
  }
}

TEST(Policy, named_status_is_trusted_and_keeps_its_reason) {
  Verdict verdict = judge(verified(TcbStatus::kOutOfDate), {{TcbStatus::kOutOfDate}, false});
  EXPECT_TRUE(verdict.trusted);
  EXPECT_EQ(verdict.reason, Reason::kTcbOutOfDate);
  EXPECT_FALSE(judge(verified(TcbStatus::kUpToDate), {{TcbStatus::kOutOfDate}, false}).trusted) << "not in this list";
}

TEST(Policy, revoked_is_never_trusted) {
  EXPECT_FALSE(judge(verified(TcbStatus::kRevoked), {{TcbStatus::kRevoked}, true}).trusted);
}

TEST(Policy, debug_enclave_is_refused_unless_allowed) {
  Verdict refused = judge(verified(TcbStatus::kUpToDate, true), {});
  EXPECT_FALSE(refused.trusted);
  EXPECT_EQ(to_string(refused.reason), "DEBUG_ENCLAVE");
  EXPECT_TRUE(judge(verified(TcbStatus::kUpToDate, true), {{TcbStatus::kUpToDate}, true}).trusted);
}

TEST(Policy, all_misses_are_told) {
  Verdict verdict = judge(verified(TcbStatus::kOutOfDate, true), {});
  ASSERT_EQ(verdict.misses.size(), 2U);
  EXPECT_EQ(verdict.misses[0].reason, Reason::kTcbOutOfDate);
  EXPECT_EQ(verdict.misses[1].reason, Reason::kDebugEnclave);
  EXPECT_EQ(verdict.reason, Reason::kTcbOutOfDate);
}

TEST(Policy, quote_that_did_not_verify_is_never_trusted) {
  Verification failed;
  failed.reason = Reason::kSgxCrlExpired;
  failed.detail = "why";
  Policy everything{{TcbStatus::kUpToDate, TcbStatus::kOutOfDate, TcbStatus::kRevoked}, true};
  Verdict verdict = judge(failed, everything);
  EXPECT_FALSE(verdict.trusted);
  EXPECT_EQ(verdict.reason, Reason::kSgxCrlExpired);
  ASSERT_EQ(verdict.misses.size(), 1U);
  EXPECT_EQ(verdict.misses[0].detail, "why");
  EXPECT_FALSE(judge(Verification{}, everything).trusted) << "nothing was verified at all";
}

}  // namespace
}  // namespace enclayer
