// SPDX-License-Identifier: Apache-2.0
#include "dra/slice_watch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <mutex>

#include "fake/http_service.h"
#include "fake/temp_folder.h"

namespace enclayer::dra {
namespace {

using namespace std::chrono_literals;
using fake::HttpAnswer;
using testing::HasSubstr;

// An API server whose first watch brings an event, and whose second one nothing.
TEST(SliceWatch, rings_at_the_start_and_when_a_slice_changes_and_ends_while_nothing_happens) {
  fake::TempFolder account;
  account.write("token", "secret");
  account.write("ca.crt", "none is needed");
  std::atomic<int> watches = 0;
  fake::HttpService service([&](const std::string& target) {
    if (target.find("&watch=1&") == target.npos)
      return fake::http_answer(200, R"({"metadata": {"resourceVersion": "7"}, "items": []})");
    const std::string head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    return HttpAnswer{head + (++watches == 1 ? "2\r\n{}\r\n" : ""), HttpAnswer::Then::kHang};
  });
  std::mutex mutex;
  std::condition_variable rung;
  int times = 0;
  {
    SliceWatch watch({service.url(), account.path()}, "n1", [&] {
      std::lock_guard lock(mutex);
      ++times;
      rung.notify_all();
    });
    std::unique_lock lock(mutex);
    EXPECT_TRUE(rung.wait_for(lock, 60s, [&] { return times == 2; })) << times;
  }
  const auto asked = service.requests();
  ASSERT_GE(asked.size(), 3U);
  EXPECT_EQ(asked[0],
            "/apis/resource.k8s.io/v1/resourceslices?fieldSelector=spec.nodeName%3Dn1%2Cspec.driver%3Dsgx.enclayer.io");
  EXPECT_THAT(asked[1], HasSubstr("&resourceVersion=7"));
}

}  // namespace
}  // namespace enclayer::dra
