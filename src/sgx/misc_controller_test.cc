// SPDX-License-Identifier: Apache-2.0
#include "sgx/misc_controller.h"

#include <gtest/gtest.h>

#include <fstream>

#include "fake/temp_folder.h"

namespace enclayer::sgx {
namespace {

namespace fs = std::filesystem;

class MiscController : public testing::Test {
 protected:
  void write(const char* name, const char* text) {
    fs::create_directories((folder_.path() / name).parent_path());
    std::ofstream(folder_.path() / name) << text;
  }
  fake::TempFolder folder_;
  base::Root sys_{folder_.path()};
};

TEST_F(MiscController, capacity_is_read_from_cgroup_v2_and_v1) {
  write("fs/cgroup/misc/misc.capacity", "sgx_epc 98566144\n");
  EXPECT_EQ(misc_epc_capacity(sys_), 98'566'144u);
  write("fs/cgroup/misc.capacity", "sev 509\nsgx_epc 274877906944\ntdx 31\n");
  EXPECT_EQ(misc_epc_capacity(sys_), 274'877'906'944u);
}

TEST_F(MiscController, there_is_none_without_a_line_that_says_so) {
  EXPECT_EQ(misc_epc_capacity(sys_), std::nullopt);
  for (const char* text : {"", "sev 509\n", "sgx_epc_other 5\n", "sgx_epc\n", "sgx_epc max\n", "sgx_epc 12x\n",
                           " sgx_epc 5\n", "sgx_epc 99999999999999999999\n"}) {
    write("fs/cgroup/misc.capacity", text);
    EXPECT_EQ(misc_epc_capacity(sys_), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace enclayer::sgx
