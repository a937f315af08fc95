// SPDX-License-Identifier: Apache-2.0
#include "quoting/dcap_launch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "base/file.h"
#include "fake/temp_folder.h"

namespace enclayer::quoting {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

TEST(DcapLaunch, sgx_aesm_addr_is_not_handed_on_and_the_rest_is) {
  auto launch = prepare_dcap_launch({}, "/bin/helper", {"A=1", "SGX_AESM_ADDR=1", "SGX_AESM_ADDRESS=kept"}).value();
  EXPECT_THAT(launch.environment, testing::ElementsAre("A=1", "SGX_AESM_ADDRESS=kept"));
  EXPECT_EQ(launch.command.front(), "/bin/helper");
}

TEST(DcapLaunch, the_url_becomes_a_configuration_with_few_retries) {
  fake::TempFolder folder;
  DcapOptions options;
  options.cache_dir = folder.path() / "cache";
  options.pccs_url = "https://pccs.example/sgx/certification/v4";
  auto launch = prepare_dcap_launch(options, "/bin/helper", {"AZDCAP_CACHE=/elsewhere"}).value();
  std::string file = (folder.path() / "cache/dcap/sgx_default_qcnl.conf").string();
  EXPECT_THAT(launch.environment, Contains("QCNL_CONF_PATH=" + file));
  EXPECT_THAT(launch.environment, Contains("AZDCAP_CACHE=" + (folder.path() / "cache/dcap").string()));
  EXPECT_THAT(launch.environment, Not(Contains("AZDCAP_CACHE=/elsewhere")));
  std::string content = base::read_text(file, 4096).value();
  EXPECT_THAT(content, HasSubstr("\"pccs_url\": \"https://pccs.example/sgx/certification/v4/\""));
  EXPECT_THAT(content, HasSubstr("\"retry_times\": 2"));
  struct stat found {};
  ASSERT_EQ(::stat((folder.path() / "cache/dcap").c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 07777, 0700u);
}

TEST(DcapLaunch, a_configuration_behind_a_symbolic_link_is_copied) {
  fake::TempFolder folder;
  std::ofstream(folder.path() / "real.conf") << "{\"pccs_url\": \"mine\"}";
  std::filesystem::create_symlink("real.conf", folder.path() / "linked.conf");
  DcapOptions options;
  options.cache_dir = folder.path();
  options.qcnl_conf = folder.path() / "linked.conf";
  ASSERT_TRUE(prepare_dcap_launch(options, "/bin/helper", {}));
  auto copy = folder.path() / "dcap/sgx_default_qcnl.conf";
  EXPECT_TRUE(std::filesystem::is_regular_file(std::filesystem::symlink_status(copy)));
  EXPECT_EQ(base::read_text(copy, 100).value(), "{\"pccs_url\": \"mine\"}");
}

TEST(DcapLaunch, the_folder_of_the_libraries_is_where_the_linker_looks_first) {
  fake::TempFolder folder;
  DcapOptions options;
  options.lib_dir = folder.path();
  EXPECT_THAT(prepare_dcap_launch(options, "/bin/helper", {})->environment,
              Contains("LD_LIBRARY_PATH=" + folder.path().string()));
  EXPECT_THAT(prepare_dcap_launch(options, "/bin/helper", {"LD_LIBRARY_PATH=/x:/y"})->environment,
              testing::ElementsAre("LD_LIBRARY_PATH=" + folder.path().string() + ":/x:/y"));
}

TEST(DcapLaunch, an_error_names_the_flag) {
  fake::TempFolder folder;
  auto message = [](const DcapOptions& options) {
    auto launch = prepare_dcap_launch(options, "/bin/helper", {});
    return launch ? "no error" : launch.error().message();
  };
  DcapOptions both;
  both.pccs_url = "https://a/";
  both.qcnl_conf = "/b";
  EXPECT_THAT(message(both), HasSubstr("--pccs-url and --qcnl-conf exclude each other"));
  DcapOptions no_cache;
  no_cache.pccs_url = "https://a/";
  EXPECT_THAT(message(no_cache), HasSubstr("need --cache-dir"));
  DcapOptions bad_url;
  bad_url.pccs_url = "a.example";
  bad_url.cache_dir = folder.path();
  EXPECT_THAT(message(bad_url), StartsWith("--pccs-url is \"a.example\""));
  DcapOptions no_file;
  no_file.qcnl_conf = folder.path() / "missing";
  no_file.cache_dir = folder.path();
  EXPECT_THAT(message(no_file), StartsWith("--qcnl-conf: cannot open"));
  DcapOptions no_folder;
  no_folder.lib_dir = folder.path() / "missing";
  EXPECT_THAT(message(no_folder), StartsWith("--dcap-lib-dir is"));
  DcapOptions not_a_folder;
  std::ofstream(folder.path() / "file") << "x";
  not_a_folder.cache_dir = folder.path() / "file";
  EXPECT_THAT(message(not_a_folder), StartsWith("--cache-dir: "));
}

}  // namespace
}  // namespace enclayer::quoting
