// SPDX-License-Identifier: Apache-2.0
#include "addon/figures.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

namespace enclayer::addon {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

constexpr double kEver = std::numeric_limits<double>::infinity();

TEST(Figures, of_a_quote_helper_are_who_asked_and_how_long_requests_waited) {
  auto read = read_figures(
      "# TYPE enclayer_pod_quotes_total counter\n"
      "enclayer_socket_ours 1\n"
      "enclayer_quote_queue_depth 3\n"
      "enclayer_quotes_total 999\n"
      "enclayer_pod_quotes_total{slot=\"p0\",namespace=\"bank\",pod=\"a\",container=\"c\",result=\"made\"} 5\n"
      "enclayer_pod_quotes_total{slot=\"p0\",namespace=\"bank\",pod=\"a\",container=\"c\",result=\"refused\"} 2\n"
      "enclayer_pod_quotes_total{slot=\"gone\",namespace=\"\",pod=\"\",container=\"\",result=\"made\"} 7\n"
      "enclayer_pod_quotes_total{slot=\"legacy\",namespace=\"\",pod=\"\",container=\"\",result=\"made\"} 1\n"
      "enclayer_quote_queue_seconds_bucket{le=\"0.5\"} 4\n"
      "enclayer_quote_queue_seconds_bucket{le=\"+Inf\"} 5\n"
      "enclayer_quote_queue_seconds_sum 9\n");
  ASSERT_TRUE(read) << read.error().message();
  EXPECT_EQ(read->serves, true);
  EXPECT_EQ(read->mapped, std::nullopt);
  EXPECT_EQ(read->waiting, 3);
  ASSERT_EQ(read->quotes.size(), 2U);
  EXPECT_EQ((read->quotes[{"bank", "a", "c"}].made), 5);
  EXPECT_EQ((read->quotes[{"bank", "a", "c"}].refused), 2);
  EXPECT_EQ(read->quotes[{}].made, 8);
  EXPECT_EQ(read->waited, (std::map<double, double>{{0.5, 4}, {kEver, 5}}));
}

TEST(Figures, of_a_device_plugin_are_what_is_mapped_where_it_may_look) {
  auto read = read_figures(
      "enclayer_epc_committed_bytes 30\nenclayer_epc_mapped_bytes{pod_uid=\"u\"} 10\n"
      "enclayer_epc_mapped_bytes{pod_uid=\"host\"} 20\n");
  ASSERT_TRUE(read);
  EXPECT_EQ(read->mapped, 30);
  EXPECT_EQ(read->mapped_by_pod, (std::map<std::string, double>{{"host", 20}, {"u", 10}}));
  EXPECT_EQ(read->serves, std::nullopt);
  auto silent = read_figures("enclayer_epc_mib 94\n");
  ASSERT_TRUE(silent);
  EXPECT_EQ(silent->mapped, std::nullopt);
}

TEST(Figures, that_cannot_be_true_are_refused) {
  auto why = [](const std::string& page) {
    auto read = read_figures(page);
    return read ? "nothing" : read.error().message();
  };
  EXPECT_THAT(why("enclayer_epc_committed_bytes -1\n"), HasSubstr("enclayer_epc_committed_bytes is -1"));
  EXPECT_THAT(why("enclayer_quote_queue_depth NaN\n"), HasSubstr("enclayer_quote_queue_depth is "));
  EXPECT_THAT(why("enclayer_quote_queue_depth 1e300\n"), HasSubstr("enclayer_quote_queue_depth is 1"));
  EXPECT_THAT(why("enclayer_quote_queue_depth 1\nenclayer_quote"), HasSubstr("cut off"));
  for (const std::string bound : {"soon", "-1", "inf", "1s", ""})
    EXPECT_THAT(why("enclayer_quote_queue_seconds_bucket{le=\"" + bound + "\"} 1\n"), HasSubstr("of no time")) << bound;
  EXPECT_THAT(why("enclayer_epc_mapped_bytes{pod_uid=\"" + std::string(254, 'x') + "\"} 1\n"), HasSubstr("253 bytes"));
  std::string many;
  for (std::size_t i = 0; i <= kMostFigures; ++i)
    many += "enclayer_epc_mapped_bytes{pod_uid=\"" + std::to_string(i) + "\"} 1\n";
  EXPECT_THAT(why(many), HasSubstr("more than 4096 times"));
  EXPECT_EQ(why("enclayer_epc_mib -1\nsomething_else NaN\n"), "nothing") << "what is not read may be anything";
}

TEST(Figures, a_counter_that_is_lower_began_anew) {
  EXPECT_EQ(per_minute(100, 110, 5s), 120);
  EXPECT_EQ(per_minute(100, 100, 5s), 0);
  EXPECT_EQ(per_minute(100, 3, 60s), 3);
}

TEST(Figures, the_wait_of_99_in_100_is_that_of_the_requests_between_two_looks) {
  const std::map<double, double> before = {{0.1, 1000}, {1, 1000}, {kEver, 1000}};
  EXPECT_EQ(wait_of_99(before, before), std::nullopt) << "nobody came";
  EXPECT_EQ(wait_of_99(before, {{0.1, 1099}, {1, 1100}, {kEver, 1100}}), 0.1);
  EXPECT_EQ(wait_of_99(before, {{0.1, 1098}, {1, 1100}, {kEver, 1100}}), 1);
  EXPECT_EQ(wait_of_99(before, {{0.1, 1000}, {1, 1000}, {kEver, 1100}}), 1) << "longer than any that is counted";
  EXPECT_EQ(wait_of_99(before, {{0.1, 0}, {1, 9}, {kEver, 9}}), 1) << "it began anew";
  EXPECT_EQ(wait_of_99({}, {}), std::nullopt);
}

}  // namespace
}  // namespace enclayer::addon
