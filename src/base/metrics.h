// SPDX-License-Identifier: Apache-2.0
// Counters, gauges and histograms of one process, and the page that Prometheus reads. Safe from any thread.
// What was asked for once stays where it is for the life of Metrics. What the daemons publish is in metric_names.h.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace enclayer::base {

class Counter;
class Gauge;
class Histogram;

enum class MetricType { kCounter, kGauge, kHistogram };

// One metric of the page: what a caller says of it besides the values of its labels.
struct MetricName {
  const char* name;  // "enclayer_allocations_total"
  MetricType type;
  const char* labels;  // the labels that every series of it has, as "resource, result"; "" for none
  const char* daemon;  // who publishes it: "device plugin", "quote helper"
  const char* help;
};

class Metrics {
 public:
  using Labels = std::map<std::string, std::string>;

  struct Series {
    Labels labels;
    double value = 0;
  };

  Metrics();
  ~Metrics();

  // The same name and labels give the same object again. `labels` are exactly those that the name lists, and the type
  // is the name's: a debug build ends when they are not.
  Counter& counter(const MetricName& name, const Labels& labels = {});
  Gauge& gauge(const MetricName& name, const Labels& labels = {});

  // `bounds`: the buckets' upper bounds, ascending; one above all of them comes by itself. Who asks first decides.
  Histogram& histogram(const MetricName& name, const std::vector<double>& bounds, const Labels& labels = {});

  // For a gauge or a counter whose series come and go, one a pod: these are all that it has from now on, and a page
  // shows the old ones or the new ones, never some of both. A name that is replaced is not asked for by gauge() or
  // counter() too.
  void replace(const MetricName& name, const std::vector<Series>& all);

  // The Prometheus text format, version 0.0.4. The log's dropped lines are on the page without being asked for.
  std::string text() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

class Counter {
 public:
  void add(double amount = 1);

 private:
  friend class Metrics;
  explicit Counter(void* impl) : impl_(impl) {}
  void* impl_;
};

class Gauge {
 public:
  void set(double value);
  void add(double amount = 1);

 private:
  friend class Metrics;
  explicit Gauge(void* impl) : impl_(impl) {}
  void* impl_;
};

class Histogram {
 public:
  void observe(double value);

 private:
  friend class Metrics;
  explicit Histogram(void* impl) : impl_(impl) {}
  void* impl_;
};

}  // namespace enclayer::base
