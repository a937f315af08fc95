// Counters and gauges of one process, and the page that Prometheus reads. Safe from any thread.
// A counter or gauge that was asked for once stays where it is for the life of Metrics.
#pragma once

#include <map>
#include <memory>
#include <string>

namespace enclayer::base {

class Counter;
class Gauge;

class Metrics {
 public:
  using Labels = std::map<std::string, std::string>;

  Metrics();
  ~Metrics();

  // The same name and labels give the same object again. Names follow Prometheus: enclayer_..._total for counters.
  Counter& counter(const std::string& name, const std::string& help, const Labels& labels = {});
  Gauge& gauge(const std::string& name, const std::string& help, const Labels& labels = {});

  // The Prometheus text format, version 0.0.4.
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

}  // namespace enclayer::base
