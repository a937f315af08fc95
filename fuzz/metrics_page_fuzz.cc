// SPDX-License-Identifier: Apache-2.0
// A daemon's page of metrics: what is read of it is within bounds, and what it says of waits is a time that it counts.
#include <cmath>
#include <cstdlib>

#include "addon/figures.h"
#include "base/metrics_page.h"

using namespace enclayer;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view page(reinterpret_cast<const char*>(data), size);
  std::size_t samples = 0;
  const bool is_page = bool(base::read_page(page, [&](auto name, const base::Metrics::Labels& labels, double) {
    ++samples;
    if (name.empty() || labels.size() > base::kMostSampleLabels) std::abort();
  }));
  if (samples > size / 4) std::abort();  // "a 1\n"
  const auto figures = addon::read_figures(page);
  if (!figures) return 0;
  if (!is_page || figures->quotes.size() > addon::kMostFigures || figures->mapped.value_or(0) < 0) std::abort();
  for (const auto& [holder, counts] : figures->quotes)
    if (!(counts.made >= 0 && counts.refused >= 0) || !std::isfinite(counts.made + counts.refused)) std::abort();
  if (const auto wait = addon::wait_of_99({}, figures->waited); wait && !std::isfinite(*wait)) std::abort();
  return 0;
}
