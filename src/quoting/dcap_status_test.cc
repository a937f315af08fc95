// SPDX-License-Identifier: Apache-2.0
#include "quoting/dcap_status.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

namespace enclayer::quoting {
namespace {

using testing::HasSubstr;

// Low byte of 0xE0nn -> AESM error code, as aesmd has it, and the ones that it loses (specification of the AESM
// protocol, "quote3 to AESM"); 42 for what aesmd calls 45 and 47. Everything that is not here is 1.
const std::map<std::uint32_t, std::uint32_t>& expected() {
  static const std::map<std::uint32_t, std::uint32_t> kExpected = {
      {0x01, 1},  {0x02, 3},  {0x03, 21}, {0x04, 32}, {0x05, 33}, {0x06, 15}, {0x07, 34}, {0x08, 35}, {0x09, 36},
      {0x0A, 37}, {0x0B, 38}, {0x0C, 39}, {0x0D, 40}, {0x0E, 41}, {0x0F, 42}, {0x10, 43}, {0x11, 44}, {0x12, 29},
      {0x13, 42}, {0x14, 46}, {0x15, 42}, {0x16, 48}, {0x17, 49}, {0x18, 50}, {0x19, 12}, {0x1A, 22}, {0x35, 30},
      {0x3F, 2},  {0x40, 30}, {0x41, 13}, {0x42, 13}, {0x43, 18}, {0x47, 30}, {0x49, 30}};
  return kExpected;
}

TEST(DcapStatus, every_value_becomes_the_aesm_code_of_the_table) {
  for (std::uint32_t low = 0; low <= 0xFF; ++low)
    for (DcapCall call : {DcapCall::kInit, DcapCall::kSize, DcapCall::kQuote}) {
      auto found = expected().find(low);
      std::uint32_t wanted = found == expected().end() ? 1 : found->second;
      if (call == DcapCall::kInit && (low == 0x47 || low == 0x49)) wanted = 44;
      EXPECT_EQ(aesm_code(0xE000 | low, call), wanted) << std::hex << low;
    }
}

TEST(DcapStatus, success_is_0_and_values_of_other_families_are_unexpected) {
  EXPECT_EQ(aesm_code(0, DcapCall::kQuote), 0u);
  for (std::uint32_t other : {1u, 0x15u, 0xB011u, 0xE115u, 0x1E015u, 0xFFFFFFFFu})
    EXPECT_EQ(aesm_code(other, DcapCall::kQuote), 1u) << std::hex << other;
}

TEST(DcapStatus, an_error_carries_its_aesm_code_a_kind_and_a_remedy) {
  Error bad_report = dcap_error(kDcapInvalidReport, DcapCall::kQuote);
  EXPECT_EQ(bad_report.kind(), ErrorKind::kPermissionDenied);
  EXPECT_EQ(bad_report.code(), 42u);
  EXPECT_THAT(bad_report.message(), HasSubstr("quoting failed with INVALID_REPORT (0xE015): "));

  Error load = dcap_error(kDcapEnclaveLoadError, DcapCall::kInit);
  EXPECT_EQ(load.kind(), ErrorKind::kUnavailable);
  EXPECT_EQ(load.code(), 48u);
  EXPECT_THAT(load.message(), HasSubstr("libsgx-ae-qe3"));

  EXPECT_THAT(dcap_error(kDcapEnclaveLoadError, DcapCall::kInit, "no such file").message(),
              testing::EndsWith("ENCLAVE_LOAD_ERROR (0xE016): no such file"));
  EXPECT_EQ(dcap_error(0xE0AB, DcapCall::kSize).message(), "asking for the quote's size failed with 0xE0AB");
  EXPECT_EQ(dcap_error(0xE0AB, DcapCall::kSize).with_context("x").code(), 1u);
}

TEST(DcapStatus, only_the_librarys_own_failures_ask_for_a_new_process) {
  EXPECT_EQ(fault_of(kDcapInvalidReport), Fault::kCaller);
  EXPECT_EQ(fault_of(kDcapErrorReport), Fault::kCaller);
  EXPECT_EQ(fault_of(kDcapInvalidParameter), Fault::kCaller);
  EXPECT_EQ(fault_of(0xE019), Fault::kOutside);
  EXPECT_EQ(fault_of(0xE047), Fault::kOutside);
  EXPECT_EQ(fault_of(kDcapEnclaveLost), Fault::kEnclave);
  EXPECT_EQ(fault_of(kDcapNoDevice), Fault::kEnclave);
  EXPECT_EQ(fault_of(kDcapUnexpected), Fault::kLibrary);
  EXPECT_EQ(fault_of(0xE0AB), Fault::kLibrary);
}

}  // namespace
}  // namespace enclayer::quoting
