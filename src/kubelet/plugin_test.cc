// SPDX-License-Identifier: Apache-2.0
#include "kubelet/plugin.h"

#include <gtest/gtest.h>

namespace enclayer::kubelet {
namespace {

TEST(ResourceName, names_that_a_kubelet_takes_are_taken) {
  for (const char* name : {"kubernetes.azure.com/sgx_epc_mem_in_MiB", "enclayer.io/quote", "sgx.intel.com/epc",
                           "localhost/x", "a-b.example/A", "notkubernetes.io/x"})
    EXPECT_TRUE(check_resource_name(name)) << name;
  EXPECT_TRUE(check_resource_name("example.com/" + std::string(63, 'x')));
}

TEST(ResourceName, all_others_are_refused_by_name) {
  for (const std::string& name :
       {std::string("cpu"), std::string(""), std::string("/x"), std::string("example.com/"),
        std::string("kubernetes.io/x"), std::string("foo.kubernetes.io/x"), std::string("requests.example.com/x"),
        std::string("Example.com/x"), std::string("example..com/x"), std::string("-example.com/x"),
        std::string("example.com/x/y"), std::string("example.com/-x"), std::string("example.com/x_"),
        std::string("example.com/a b"), "example.com/" + std::string(64, 'x'), std::string(64, 'x') + ".com/x", [] {
          std::string domain = "x";
          while (domain.size() < 250) domain += ".x";
          return domain + "/x";
        }()}) {
    auto checked = check_resource_name(name);
    ASSERT_FALSE(checked) << name;
    EXPECT_EQ(checked.error().kind(), ErrorKind::kInvalidArgument);
    EXPECT_NE(checked.error().message().find("'" + name + "'"), std::string::npos) << checked.error().message();
  }
}

}  // namespace
}  // namespace enclayer::kubelet
