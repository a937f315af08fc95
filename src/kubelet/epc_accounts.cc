// SPDX-License-Identifier: Apache-2.0
#include "kubelet/epc_accounts.h"

#include <algorithm>

#include "base/log.h"
#include "base/metric_names.h"

namespace enclayer::kubelet {
namespace {

namespace log = base::log;
namespace metric = base::metric;
using Series = base::Metrics::Series;

// One series for each set of labels, the largest first, and what is beyond kMostSeries summed up as `other`.
std::vector<Series> bounded(const std::map<base::Metrics::Labels, double>& all, const base::Metrics::Labels& other) {
  std::vector<Series> series;
  series.reserve(all.size());
  for (const auto& [labels, value] : all) series.push_back({labels, value});
  if (series.size() <= EpcAccounts::kMostSeries) return series;
  std::stable_sort(series.begin(), series.end(), [](const Series& a, const Series& b) { return a.value > b.value; });
  Series rest{other, 0};
  for (std::size_t i = EpcAccounts::kMostSeries; i < series.size(); ++i) rest.value += series[i].value;
  series.resize(EpcAccounts::kMostSeries);
  series.push_back(std::move(rest));
  return series;
}

}  // namespace

void EpcAccounts::refresh(Clock::time_point now) {
  std::lock_guard lock(mutex_);
  if (refreshed_ && now - *refreshed_ < interval_) return;
  refreshed_ = now;

  if (auto containers = sources_.devices()) {
    put(*containers);
    worked("pod-resources", devices_failed_);
  } else {
    for (const base::MetricName& name : {metric::kEpcRequestedMib, metric::kEpcAllocatedMib})
      metrics_.replace(name, {});
    failed("pod-resources", containers.error(), devices_failed_);
  }
  if (!sources_.mapped) return;
  if (auto mapped = sources_.mapped()) {
    put(*mapped);
    worked("maps", mapped_failed_);
  } else {
    for (const base::MetricName& name :
         {metric::kEpcMappedBytes, metric::kEpcCommittedBytes, metric::kEpcUnreadProcesses, metric::kEpcOpenProcesses})
      metrics_.replace(name, {});
    failed("maps", mapped.error(), mapped_failed_);
  }
}

void EpcAccounts::put(const std::vector<ContainerDevices>& containers) {
  std::map<base::Metrics::Labels, double> series;  // a pod that is deleted and made again can be listed twice
  double sum = 0;
  for (const ContainerDevices& container : containers) {
    if (container.devices == 0) continue;  // it has quotes only
    auto mib = static_cast<double>(container.devices);
    series[{{"namespace", container.pod_namespace}, {"pod", container.pod}, {"container", container.container}}] += mib;
    sum += mib;
  }
  metrics_.replace(metric::kEpcRequestedMib, bounded(series, {{"namespace", ""}, {"pod", "other"}, {"container", ""}}));
  metrics_.replace(metric::kEpcAllocatedMib, {{{}, sum}});
}

void EpcAccounts::put(const Mapped& mapped) {
  std::map<base::Metrics::Labels, double> series;
  double sum = static_cast<double>(mapped.host);
  for (const auto& [uid, bytes] : mapped.pods) {
    series[{{"pod_uid", uid}}] = static_cast<double>(bytes);
    sum += static_cast<double>(bytes);
  }
  auto all = bounded(series, {{"pod_uid", "other"}});
  all.push_back({{{"pod_uid", "host"}}, static_cast<double>(mapped.host)});
  metrics_.replace(metric::kEpcMappedBytes, all);
  metrics_.replace(metric::kEpcCommittedBytes, {{{}, sum}});
  metrics_.replace(metric::kEpcUnreadProcesses, {{{}, static_cast<double>(mapped.unread)}});

  series.clear();
  for (const auto& [uid, processes] : mapped.open_by_pod) series[{{"pod_uid", uid}}] = static_cast<double>(processes);
  all = bounded(series, {{"pod_uid", "other"}});
  all.push_back({{{"pod_uid", "host"}}, static_cast<double>(mapped.open_by_host)});
  metrics_.replace(metric::kEpcOpenProcesses, all);
}

void EpcAccounts::worked(const char* source, std::optional<ErrorKind>& last) {
  if (last) log::info("EPC is accounted again", {{"source", source}});
  last.reset();
}

void EpcAccounts::failed(const char* source, const Error& error, std::optional<ErrorKind>& last) {
  metrics_.counter(metric::kAccountingErrors, {{"source", source}}).add();
  if (last != error.kind()) log::warn("EPC is not accounted", {{"source", source}, {"reason", error.message()}});
  last = error.kind();
}

}  // namespace enclayer::kubelet
