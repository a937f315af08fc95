#include "base/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <cassert>
#include <mutex>

#include "base/log.h"
#include "base/metric_names.h"

namespace enclayer::base {
namespace {

[[maybe_unused]] bool fits(const MetricName& name, MetricType type, const Metrics::Labels& labels) {
  std::string listed = name.labels;
  std::size_t expected = listed.empty() ? 0 : 1;
  for (char c : listed) expected += c == ',';
  if (name.type != type || labels.size() != expected) return false;
  listed = ", " + listed + ",";
  for (const auto& label : labels)
    if (listed.find(", " + label.first + ",") == std::string::npos) return false;
  return true;
}

prometheus::MetricFamily family_of(const MetricName& name, const std::vector<Metrics::Series>& all) {
  bool is_counter = name.type == MetricType::kCounter;
  prometheus::MetricFamily family{
      name.name, name.help, is_counter ? prometheus::MetricType::Counter : prometheus::MetricType::Gauge, {}};
  family.metric.reserve(all.size());
  for (const Metrics::Series& series : all) {
    assert(name.type != MetricType::kHistogram && fits(name, name.type, series.labels));
    prometheus::ClientMetric& metric = family.metric.emplace_back();
    for (const auto& [label, value] : series.labels) metric.label.push_back({label, value});
    (is_counter ? metric.counter.value : metric.gauge.value) = series.value;
  }
  return family;
}

}  // namespace

struct Metrics::Impl {
  prometheus::Registry registry;
  mutable std::mutex mutex;
  std::map<void*, std::unique_ptr<Counter>> counters;
  std::map<void*, std::unique_ptr<Gauge>> gauges;
  std::map<void*, std::unique_ptr<Histogram>> histograms;
  std::map<std::string, prometheus::MetricFamily> replaced;  // beside the registry, which could not swap a whole family
};

Metrics::Metrics() : impl_(std::make_unique<Impl>()) {}
Metrics::~Metrics() = default;

Counter& Metrics::counter(const MetricName& name, const Labels& labels) {
  assert(fits(name, MetricType::kCounter, labels));
  std::lock_guard lock(impl_->mutex);
  auto& metric = prometheus::BuildCounter().Name(name.name).Help(name.help).Register(impl_->registry).Add(labels);
  auto& slot = impl_->counters[&metric];
  if (!slot) slot.reset(new Counter(&metric));
  return *slot;
}

Gauge& Metrics::gauge(const MetricName& name, const Labels& labels) {
  assert(fits(name, MetricType::kGauge, labels));
  std::lock_guard lock(impl_->mutex);
  auto& metric = prometheus::BuildGauge().Name(name.name).Help(name.help).Register(impl_->registry).Add(labels);
  auto& slot = impl_->gauges[&metric];
  if (!slot) slot.reset(new Gauge(&metric));
  return *slot;
}

Histogram& Metrics::histogram(const MetricName& name, const std::vector<double>& bounds, const Labels& labels) {
  assert(fits(name, MetricType::kHistogram, labels));
  std::lock_guard lock(impl_->mutex);
  auto& metric =
      prometheus::BuildHistogram().Name(name.name).Help(name.help).Register(impl_->registry).Add(labels, bounds);
  auto& slot = impl_->histograms[&metric];
  if (!slot) slot.reset(new Histogram(&metric));
  return *slot;
}

void Metrics::replace(const MetricName& name, const std::vector<Series>& all) {
  prometheus::MetricFamily family = family_of(name, all);
  std::lock_guard lock(impl_->mutex);
  impl_->replaced[name.name] = std::move(family);
}

std::string Metrics::text() const {
  std::vector<prometheus::MetricFamily> families = impl_->registry.Collect();
  {
    std::lock_guard lock(impl_->mutex);
    for (const auto& family : impl_->replaced)
      if (!family.second.metric.empty()) families.push_back(family.second);
  }
  if (auto dropped = log::dropped_lines())
    families.push_back(family_of(metric::kLogLinesDropped, {{{}, static_cast<double>(dropped)}}));
  return prometheus::TextSerializer().Serialize(families);
}

void Counter::add(double amount) { static_cast<prometheus::Counter*>(impl_)->Increment(amount); }
void Gauge::set(double value) { static_cast<prometheus::Gauge*>(impl_)->Set(value); }
void Gauge::add(double amount) { static_cast<prometheus::Gauge*>(impl_)->Increment(amount); }
void Histogram::observe(double value) { static_cast<prometheus::Histogram*>(impl_)->Observe(value); }

}  // namespace enclayer::base
