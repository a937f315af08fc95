// SPDX-License-Identifier: Apache-2.0
#include "kubelet/epc_accounts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "fake/logged.h"
#include "fake/pod_resources.h"
#include "fake/temp_folder.h"
#include "kubelet/pod_resources.h"

namespace enclayer::kubelet {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;

constexpr auto kEpc = "example.com/epc";
const EpcAccounts::Clock::time_point kStart{};

// The lines of the page that hold values, sorted.
std::vector<std::string> page(const base::Metrics& metrics) {
  std::vector<std::string> lines;
  std::string text = metrics.text();
  for (std::size_t at = 0, end; (end = text.find('\n', at)) != std::string::npos; at = end + 1)
    if (text[at] != '#') lines.push_back(text.substr(at, end - at));
  std::sort(lines.begin(), lines.end());
  return lines;
}
using Lines = std::vector<std::string>;

TEST(EpcAccounts, shows_what_the_kubelet_says_and_nothing_of_pods_that_are_gone) {
  fake::TempFolder folder;
  fake::PodResources kubelet(folder.path());
  ASSERT_TRUE(kubelet.start());
  kubelet.set({{"default", "web", "app", kEpc, 10}, {"prod", "db", "db", kEpc, 3}});
  base::Metrics metrics;
  EpcAccounts accounts({[&] { return list_pod_devices(folder.path(), kEpc, {}, 60s); }, {}}, metrics);
  accounts.refresh(kStart);
  EXPECT_EQ(page(metrics), (Lines{"enclayer_epc_allocated_mib 13",
                                  "enclayer_epc_requested_mib{container=\"app\",namespace=\"default\",pod=\"web\"} 10",
                                  "enclayer_epc_requested_mib{container=\"db\",namespace=\"prod\",pod=\"db\"} 3"}));
  kubelet.set({{"prod", "db", "db", kEpc, 4}});
  accounts.refresh(kStart + 10s);
  EXPECT_EQ(page(metrics), (Lines{"enclayer_epc_allocated_mib 4",
                                  "enclayer_epc_requested_mib{container=\"db\",namespace=\"prod\",pod=\"db\"} 4"}));
  kubelet.set({});
  accounts.refresh(kStart + 20s);
  EXPECT_EQ(page(metrics), Lines{"enclayer_epc_allocated_mib 0"});

  kubelet.stop();
  accounts.refresh(kStart + 30s);
  EXPECT_EQ(page(metrics), Lines{"enclayer_accounting_errors_total{source=\"pod-resources\"} 1"});
}

TEST(EpcAccounts, containers_without_epc_have_no_series) {
  base::Metrics metrics;
  EpcAccounts accounts({[] {
                          return Result<std::vector<ContainerDevices>>(std::vector<ContainerDevices>{
                              {"default", "web", "app", 2, {0}}, {"default", "quotes-only", "app", 0, {1}}});
                        },
                        {}},
                       metrics);
  accounts.refresh(kStart);
  EXPECT_EQ(page(metrics),
            (Lines{"enclayer_epc_allocated_mib 2",
                   "enclayer_epc_requested_mib{container=\"app\",namespace=\"default\",pod=\"web\"} 2"}));
}

TEST(EpcAccounts, asks_at_most_once_in_an_interval_and_shows_the_last_figures_in_between) {
  int asked = 0;
  base::Metrics metrics;
  EpcAccounts accounts(
      {[&]() -> Result<std::vector<ContainerDevices>> {
         ++asked;
         return std::vector<ContainerDevices>{{"default", "web", "app", static_cast<std::uint64_t>(asked)}};
       },
       {}},
      metrics, 5s);
  for (auto after : {0ms, 1ms, 4999ms}) accounts.refresh(kStart + after);
  EXPECT_EQ(asked, 1);
  EXPECT_THAT(metrics.text(), HasSubstr("enclayer_epc_allocated_mib 1\n"));
  accounts.refresh(kStart + 5s);
  EXPECT_EQ(asked, 2);
  EXPECT_THAT(metrics.text(), HasSubstr("enclayer_epc_allocated_mib 2\n"));
}

TEST(EpcAccounts, mapped_bytes_are_shown_by_pod_with_the_hosts_and_the_sum) {
  base::Metrics metrics;
  EpcAccounts accounts(
      {[] { return Result<std::vector<ContainerDevices>>(std::vector<ContainerDevices>()); },
       []() -> Result<EpcAccounts::Mapped> {
         return EpcAccounts::Mapped{{{"uid-a", 1'048'576}, {"uid-b", 4096}}, 100, 2, {{"uid-a", 3}}, 1};
       }},
      metrics);
  accounts.refresh(kStart);
  EXPECT_EQ(
      page(metrics),
      (Lines{"enclayer_epc_allocated_mib 0", "enclayer_epc_committed_bytes 1052772",
             "enclayer_epc_mapped_bytes{pod_uid=\"host\"} 100", "enclayer_epc_mapped_bytes{pod_uid=\"uid-a\"} 1048576",
             "enclayer_epc_mapped_bytes{pod_uid=\"uid-b\"} 4096", "enclayer_epc_open_processes{pod_uid=\"host\"} 1",
             "enclayer_epc_open_processes{pod_uid=\"uid-a\"} 3", "enclayer_epc_unread_processes 2"}));
}

TEST(EpcAccounts, a_source_that_fails_takes_its_own_figures_off_the_page_and_no_others) {
  bool devices_fail = false, mapped_fails = false;
  base::Metrics metrics;
  EpcAccounts accounts({[&]() -> Result<std::vector<ContainerDevices>> {
                          if (devices_fail) return Error(ErrorKind::kUnavailable, "no kubelet");
                          return std::vector<ContainerDevices>{{"default", "web", "app", 1}};
                        },
                        [&]() -> Result<EpcAccounts::Mapped> {
                          if (mapped_fails) return Error(ErrorKind::kPermissionDenied, "no /proc");
                          return EpcAccounts::Mapped{{{"uid", 4096}}, 0, 0, {}, 0};
                        }},
                       metrics);
  accounts.refresh(kStart);
  devices_fail = true;
  accounts.refresh(kStart + 10s);
  EXPECT_THAT(metrics.text(), Not(HasSubstr("enclayer_epc_requested_mib")));
  EXPECT_THAT(metrics.text(), HasSubstr("enclayer_epc_mapped_bytes{pod_uid=\"uid\"} 4096"));
  devices_fail = false;
  mapped_fails = true;
  accounts.refresh(kStart + 20s);
  accounts.refresh(kStart + 30s);
  EXPECT_THAT(metrics.text(), HasSubstr("enclayer_epc_requested_mib{"));
  EXPECT_THAT(metrics.text(), Not(testing::ContainsRegex("enclayer_epc_(mapped_bytes|open_processes)")));
  EXPECT_THAT(metrics.text(), HasSubstr("enclayer_accounting_errors_total{source=\"maps\"} 2\n"));
  EXPECT_THAT(metrics.text(), HasSubstr("enclayer_accounting_errors_total{source=\"pod-resources\"} 1\n"));
}

TEST(EpcAccounts, an_error_is_logged_once_until_it_changes) {
  std::optional<Error> error;
  base::Metrics metrics;
  EpcAccounts accounts({[&]() -> Result<std::vector<ContainerDevices>> {
                          if (error) return *error;
                          return std::vector<ContainerDevices>();
                        },
                        {}},
                       metrics);
  auto now = kStart;
  auto lines_of_refresh = [&](std::optional<Error> with) {
    error = std::move(with);
    std::string text = fake::logged([&] { accounts.refresh(now += 10s); });
    return std::count(text.begin(), text.end(), '\n');
  };
  EXPECT_EQ(lines_of_refresh(std::nullopt), 0);
  EXPECT_EQ(lines_of_refresh(Error(ErrorKind::kUnavailable, "a")), 1);
  EXPECT_EQ(lines_of_refresh(Error(ErrorKind::kUnavailable, "b")), 0);
  EXPECT_EQ(lines_of_refresh(Error(ErrorKind::kTimedOut, "c")), 1);
  EXPECT_EQ(lines_of_refresh(std::nullopt), 1);
  EXPECT_EQ(lines_of_refresh(std::nullopt), 0);
}

TEST(EpcAccounts, series_are_bounded_and_the_rest_is_summed_up) {
  std::vector<ContainerDevices> containers;
  for (std::uint64_t i = 1; i <= EpcAccounts::kMostSeries + 10; ++i)
    containers.push_back({"default", "pod-" + std::to_string(i), "app", i});
  containers.push_back({"default", "pod-522", "app", 1000});  // the same container again: one series, or no page at all
  base::Metrics metrics;
  EpcAccounts accounts({[&] { return Result<std::vector<ContainerDevices>>(containers); }, {}}, metrics);
  accounts.refresh(kStart);
  Lines lines = page(metrics);
  EXPECT_EQ(lines.size(), 1 + EpcAccounts::kMostSeries + 1);
  EXPECT_THAT(lines, testing::Contains("enclayer_epc_requested_mib{container=\"\",namespace=\"\",pod=\"other\"} 55"));
  EXPECT_THAT(lines, testing::Contains(
                         "enclayer_epc_requested_mib{container=\"app\",namespace=\"default\",pod=\"pod-522\"} 1522"));
  EXPECT_THAT(lines, testing::Contains("enclayer_epc_allocated_mib 137503"));
}

}  // namespace
}  // namespace enclayer::kubelet
