// SPDX-License-Identifier: Apache-2.0
#include "addon/figures.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "base/malformed.h"
#include "base/metric_names.h"
#include "base/metrics_page.h"

namespace enclayer::addon {
namespace {

namespace metric = base::metric;
using Labels = base::Metrics::Labels;

constexpr double kMostTrue = 1e15;      // a petabyte, a million quotes a second for thirty years
constexpr std::size_t kMostName = 253;  // of a pod or a namespace (Kubernetes' "Object Names and IDs")

std::string text_of(const Labels& labels, const char* label) {
  const auto found = labels.find(label);
  return found == labels.end() ? "" : found->second;
}

double seconds_of(const std::string& bound) {
  if (bound == "+Inf") return std::numeric_limits<double>::infinity();
  double out = 0;
  const auto [end, error] = std::from_chars(bound.data(), bound.data() + bound.size(), out);
  const bool is_time = error == std::errc() && end == bound.data() + bound.size() && out >= 0 && std::isfinite(out);
  return is_time ? out : std::numeric_limits<double>::quiet_NaN();
}

}  // namespace

Result<Figures> read_figures(std::string_view page) {
  static const std::string kWaitedBucket = std::string(metric::kQuoteQueueSeconds.name) + "_bucket";
  Figures out;
  std::string wrong;
  auto read = base::read_page(page, [&](std::string_view name, const Labels& labels, double value) {
    const bool is_read = name == metric::kSocketOurs.name || name == metric::kEpcCommittedBytes.name ||
                         name == metric::kEpcMappedBytes.name || name == metric::kEpcOpenProcesses.name ||
                         name == metric::kEpcUnreadProcesses.name || name == metric::kPodQuotes.name ||
                         name == kWaitedBucket || name == metric::kQuoteQueueDepth.name;
    if (!is_read || !wrong.empty()) return;
    if (!(value >= 0 && value <= kMostTrue)) {
      wrong = std::string(name) + " is " + std::to_string(value);
    } else if (std::any_of(labels.begin(), labels.end(),
                           [](const auto& one) { return one.second.size() > kMostName; })) {
      wrong = std::string(name) + " has a label of more than " + std::to_string(kMostName) + " bytes";
    } else if (name == metric::kSocketOurs.name) {
      out.serves = value > 0;
    } else if (name == metric::kEpcCommittedBytes.name) {
      out.mapped = value;
    } else if (name == metric::kEpcUnreadProcesses.name) {
      out.unread = value;
    } else if (name == metric::kEpcMappedBytes.name) {
      out.mapped_by_pod[text_of(labels, "pod_uid")] += value;
    } else if (name == metric::kEpcOpenProcesses.name) {
      out.open_by_pod[text_of(labels, "pod_uid")] += value;
    } else if (name == metric::kPodQuotes.name) {
      QuoteCounts& counts =
          out.quotes[{text_of(labels, "namespace"), text_of(labels, "pod"), text_of(labels, "container")}];
      (text_of(labels, "result") == "made" ? counts.made : counts.refused) += value;
    } else if (name == kWaitedBucket) {
      const double seconds = seconds_of(text_of(labels, "le"));
      if (std::isnan(seconds))
        wrong = std::string(name) + " is of no time";
      else
        out.waited[seconds] += value;
    } else {
      out.waiting += value;
    }
    if (std::max({out.mapped_by_pod.size(), out.open_by_pod.size(), out.quotes.size(), out.waited.size()}) >
        kMostFigures)
      wrong = std::string(name) + " is there more than " + std::to_string(kMostFigures) + " times";
  });
  ENCLAYER_CHECK(read);
  if (!wrong.empty()) return base::malformed("the page of metrics: " + wrong);
  return out;
}

double per_minute(double before, double now, std::chrono::duration<double> between) {
  return (now < before ? now : now - before) * 60 / between.count();
}

std::optional<double> wait_of_99(const std::map<double, double>& before, const std::map<double, double>& now) {
  std::map<double, double> came = now;
  if (!now.empty() && !before.empty() && now.rbegin()->second >= before.rbegin()->second)  // else it began anew
    for (auto& [seconds, count] : came)
      if (const auto found = before.find(seconds); found != before.end()) count -= found->second;
  if (came.empty() || came.rbegin()->second <= 0) return std::nullopt;
  const double most = came.rbegin()->second * 0.99;
  double longest = 0;
  for (const auto& [seconds, count] : came) {
    if (std::isfinite(seconds)) longest = seconds;
    if (count >= most) break;
  }
  return longest;
}

}  // namespace enclayer::addon
