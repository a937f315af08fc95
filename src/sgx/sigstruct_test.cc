// SPDX-License-Identifier: Apache-2.0
#include "sgx/sigstruct.h"

#include <gtest/gtest.h>

#include "base/hex.h"
#include "fake/enclave_file.h"

namespace enclayer::sgx {
namespace {

Sigstruct one(std::uint8_t fill, std::uint16_t svn) {
  Sigstruct made;
  made.mr_enclave.fill(fill);
  made.isv_prod_id = 1;
  made.isv_svn = svn;
  return made;
}

TEST(Sigstruct, every_one_in_a_file_is_found_wherever_it_is) {
  Bytes file = fake::enclave_file({one(0xAA, 10), one(0xBB, 0x0123)});
  EXPECT_EQ(find_sigstructs(file, 8), (std::vector{one(0xAA, 10), one(0xBB, 0x0123)}));
  EXPECT_EQ(find_sigstructs(file, 1), std::vector{one(0xAA, 10)});
}

TEST(Sigstruct, what_is_cut_off_or_has_only_the_first_header_is_none) {
  Bytes file = fake::enclave_file({one(0xAA, 10)});
  for (std::size_t size : {std::size_t{0}, std::size_t{15}, std::size_t{16}, file.size() - fake::kAfterSigstruct - 1})
    EXPECT_TRUE(find_sigstructs(ByteView(file).first(size), 8).empty()) << size;
  EXPECT_EQ(find_sigstructs(ByteView(file).first(file.size() - fake::kAfterSigstruct), 8).size(), 1u);
  file[fake::kBeforeSigstruct + 24] ^= 1;
  EXPECT_TRUE(find_sigstructs(file, 8).empty());
  EXPECT_TRUE(find_sigstructs({}, 8).empty());
}

}  // namespace
}  // namespace enclayer::sgx
