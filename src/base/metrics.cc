#include "base/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <mutex>

namespace enclayer::base {

struct Metrics::Impl {
  prometheus::Registry registry;
  std::mutex mutex;
  std::map<void*, std::unique_ptr<Counter>> counters;
  std::map<void*, std::unique_ptr<Gauge>> gauges;
};

Metrics::Metrics() : impl_(std::make_unique<Impl>()) {}
Metrics::~Metrics() = default;

Counter& Metrics::counter(const std::string& name, const std::string& help, const Labels& labels) {
  std::lock_guard lock(impl_->mutex);
  auto& metric = prometheus::BuildCounter().Name(name).Help(help).Register(impl_->registry).Add(labels);
  auto& slot = impl_->counters[&metric];
  if (!slot) slot.reset(new Counter(&metric));
  return *slot;
}

Gauge& Metrics::gauge(const std::string& name, const std::string& help, const Labels& labels) {
  std::lock_guard lock(impl_->mutex);
  auto& metric = prometheus::BuildGauge().Name(name).Help(help).Register(impl_->registry).Add(labels);
  auto& slot = impl_->gauges[&metric];
  if (!slot) slot.reset(new Gauge(&metric));
  return *slot;
}

std::string Metrics::text() const { return prometheus::TextSerializer().Serialize(impl_->registry.Collect()); }

void Counter::add(double amount) { static_cast<prometheus::Counter*>(impl_)->Increment(amount); }
void Gauge::set(double value) { static_cast<prometheus::Gauge*>(impl_)->Set(value); }
void Gauge::add(double amount) { static_cast<prometheus::Gauge*>(impl_)->Increment(amount); }

}  // namespace enclayer::base
