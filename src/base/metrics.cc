// SPDX-License-Identifier: Apache-2.0
#include "base/metrics.h"

#include <algorithm>
#include <atomic>
#include <cassert>
#include <cstdint>
#include <cstdio>
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

struct Distribution {
  std::mutex mutex;
  std::vector<double> bounds;
  std::vector<std::uint64_t> counts;  // one a bound, and one for what is above all of them
  double sum = 0;
};

std::string text_of(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.16g", value);
  return text;
}

std::string head(const MetricName& name) {
  static constexpr const char* kTypes[] = {"counter", "gauge", "histogram"};
  return std::string("# HELP ") + name.name + " " + name.help + "\n# TYPE " + name.name + " " +
         kTypes[static_cast<int>(name.type)] + "\n";
}

// `bound`: of a histogram's bucket.
std::string line(const std::string& name, const Metrics::Labels& labels, double value, const std::string& bound = {}) {
  std::string all;
  auto add = [&](const std::string& label, const std::string& text) {
    all += (all.empty() ? "{" : ",") + label + "=\"";
    for (char c : text) all += c == '\n' ? "\\n" : c == '"' ? "\\\"" : c == '\\' ? "\\\\" : std::string(1, c);
    all += '"';
  };
  for (const auto& [label, text] : labels) add(label, text);
  if (!bound.empty()) add("le", bound);
  return name + all + (all.empty() ? " " : "} ") + text_of(value) + "\n";
}

std::string lines(const std::string& name, const Metrics::Labels& labels, Distribution& distribution) {
  std::lock_guard lock(distribution.mutex);
  std::string out;
  double count = 0;
  for (std::size_t i = 0; i < distribution.counts.size(); ++i) {
    count += static_cast<double>(distribution.counts[i]);
    out += line(name + "_bucket", labels, count,
                i < distribution.bounds.size() ? text_of(distribution.bounds[i]) : "+Inf");
  }
  return out + line(name + "_sum", labels, distribution.sum) + line(name + "_count", labels, count);
}

}  // namespace

struct Metrics::Impl {
  struct Slot {
    std::atomic<double> value = 0;
    Distribution distribution;
    Counter counter{&value};
    Gauge gauge{&value};
    Histogram histogram{&distribution};
  };
  struct Family {
    MetricName name{};
    std::map<Labels, Slot> slots;
  };
  struct Replaced {
    MetricName name{};
    std::vector<Series> all;
  };

  std::mutex mutex;
  std::map<std::string, Family> families;
  std::map<std::string, Replaced> replaced;

  Slot& slot(const MetricName& name, [[maybe_unused]] MetricType type, const Labels& labels) {
    assert(fits(name, type, labels));
    std::lock_guard lock(mutex);
    Family& family = families[name.name];
    family.name = name;
    return family.slots[labels];
  }
};

Metrics::Metrics() : impl_(std::make_unique<Impl>()) {}
Metrics::~Metrics() = default;

Counter& Metrics::counter(const MetricName& name, const Labels& labels) {
  return impl_->slot(name, MetricType::kCounter, labels).counter;
}

Gauge& Metrics::gauge(const MetricName& name, const Labels& labels) {
  return impl_->slot(name, MetricType::kGauge, labels).gauge;
}

Histogram& Metrics::histogram(const MetricName& name, const std::vector<double>& bounds, const Labels& labels) {
  Impl::Slot& slot = impl_->slot(name, MetricType::kHistogram, labels);
  std::lock_guard lock(slot.distribution.mutex);
  if (slot.distribution.counts.empty()) {
    slot.distribution.bounds = bounds;
    slot.distribution.counts.resize(bounds.size() + 1);
  }
  return slot.histogram;
}

void Metrics::replace(const MetricName& name, const std::vector<Series>& all) {
  for ([[maybe_unused]] const Series& series : all)
    assert(name.type != MetricType::kHistogram && fits(name, name.type, series.labels));
  std::lock_guard lock(impl_->mutex);
  impl_->replaced[name.name] = {name, all};
}

std::string Metrics::text() const {
  std::lock_guard lock(impl_->mutex);
  std::string out;
  for (auto& [name, family] : impl_->families) {
    out += head(family.name);
    for (auto& [labels, slot] : family.slots)
      out += family.name.type == MetricType::kHistogram ? lines(name, labels, slot.distribution)
                                                        : line(name, labels, slot.value);
  }
  for (const auto& [name, replaced] : impl_->replaced) {
    if (replaced.all.empty()) continue;
    out += head(replaced.name);
    for (const Series& series : replaced.all) out += line(name, series.labels, series.value);
  }
  if (auto dropped = log::dropped_lines())
    out += head(metric::kLogLinesDropped) + line(metric::kLogLinesDropped.name, {}, static_cast<double>(dropped));
  return out;
}

void Counter::add(double amount) { *static_cast<std::atomic<double>*>(impl_) += amount; }
void Gauge::set(double value) { *static_cast<std::atomic<double>*>(impl_) = value; }
void Gauge::add(double amount) { *static_cast<std::atomic<double>*>(impl_) += amount; }

void Histogram::observe(double value) {
  auto& distribution = *static_cast<Distribution*>(impl_);
  std::lock_guard lock(distribution.mutex);
  auto bucket = std::lower_bound(distribution.bounds.begin(), distribution.bounds.end(), value);
  ++distribution.counts[static_cast<std::size_t>(bucket - distribution.bounds.begin())];
  distribution.sum += value;
}

}  // namespace enclayer::base
