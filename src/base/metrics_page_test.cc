// SPDX-License-Identifier: Apache-2.0
#include "base/metrics_page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/metric_names.h"

namespace enclayer::base {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// "name{a=b} 1", one for each sample; what is wrong, at the end.
std::vector<std::string> read(std::string_view page) {
  std::vector<std::string> out;
  auto done = read_page(page, [&](std::string_view name, const Metrics::Labels& labels, double value) {
    std::string line(name);
    for (const auto& [label, text] : labels) line += "{" + label + "=" + text + "}";
    out.push_back(line + " " + std::to_string(value));
  });
  if (!done) out.push_back(done.error().message());
  return out;
}

TEST(MetricsPage, what_metrics_write_is_read_back) {
  Metrics metrics;
  metrics.counter(metric::kAllocations, {{"resource", "a \"b\" \\ c\nd"}, {"result", "ok"}}).add(3);
  metrics.gauge(metric::kEpcMib).set(262144.5);
  metrics.histogram(metric::kQuoteQueueSeconds, {0.5}).observe(1);
  EXPECT_THAT(read(metrics.text()),
              ElementsAre("enclayer_allocations_total{resource=a \"b\" \\ c\nd}{result=ok} 3.000000",
                          "enclayer_epc_mib 262144.500000", "enclayer_quote_queue_seconds_bucket{le=0.5} 0.000000",
                          "enclayer_quote_queue_seconds_bucket{le=+Inf} 1.000000",
                          "enclayer_quote_queue_seconds_sum 1.000000", "enclayer_quote_queue_seconds_count 1.000000"));
}

TEST(MetricsPage, what_else_the_format_allows_is_read) {
  EXPECT_THAT(read("# HELP x y\n\n \t\n  a:b { l = \"x\" , } 1e3 1700000000000\nb{} -2\nc\t+Inf\n"),
              ElementsAre("a:b{l=x} 1000.000000", "b -2.000000", "c inf"));
  EXPECT_THAT(read("a NaN\n"), ElementsAre(testing::AnyOf("a nan", "a -nan")));
}

TEST(MetricsPage, what_breaks_the_format_is_named_with_its_line) {
  for (const auto& [line, why] : std::vector<std::pair<std::string, std::string>>{
           {"{l=\"x\"} 1", "no metric's name"},
           {"9a 1", "no metric's name"},
           {"a", "no number"},
           {"a 1x", "no number"},
           {"a{l=\"x\"}", "no number"},
           {"a{l=\"x\" 1", "labels have no end"},
           {"a{l=\"x", "labels break the format"},
           {"a{l=\"\\x\"} 1", "labels break the format"},
           {"a{l:m=\"x\"} 1", "labels break the format"},
           {"a{l=x} 1", "labels break the format"},
           {"a{,} 1", "labels break the format"},
           {"a{l=\"x\",l=\"y\"} 1", "a label twice"},
           {"a 1 2 3", "something follows"},
           {"a 1 x", "something follows"},
           {"a{l=\"" + std::string(kMostLine, 'x') + "\"} 1", "longer than a line may be"}})
    EXPECT_THAT(read("good 1\n" + line + "\n"),
                ElementsAre("good 1.000000", testing::AllOf(HasSubstr("line 2 of"), HasSubstr(why))))
        << line;
  std::string many = "a{";
  for (std::size_t i = 0; i <= kMostSampleLabels; ++i) many += "l" + std::to_string(i) + "=\"\",";
  EXPECT_THAT(read(many + "} 1\n"), ElementsAre(HasSubstr("more labels")));
}

TEST(MetricsPage, a_page_that_was_cut_off_or_has_no_end_is_refused) {
  EXPECT_THAT(read("a 1\nb 2"), ElementsAre(HasSubstr("cut off")));
  EXPECT_THAT(read(""), ElementsAre(HasSubstr("cut off")));
  EXPECT_THAT(read(std::string(kMostPage + 1, '\n')), ElementsAre(HasSubstr("more than the 4194304")));
}

}  // namespace
}  // namespace enclayer::base
