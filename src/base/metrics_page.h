// SPDX-License-Identifier: Apache-2.0
// A page of metrics, as Metrics::text() writes it, read back: the Prometheus text format, version 0.0.4. Who wrote it is
// not trusted: everything is bounded before it is believed, and a page that breaks the format is refused as a whole.
#pragma once

#include <cstddef>
#include <functional>
#include <string_view>

#include "base/metrics.h"
#include "enclayer/error.h"

namespace enclayer::base {

// Bytes of a page: a quote helper with 1,000 slots writes 400 KB. Bytes of a line, labels of a sample.
inline constexpr std::size_t kMostPage = 4 << 20, kMostLine = 8 << 10, kMostSampleLabels = 16;

// Calls `each` for every sample, in the order of the page; a line of a histogram is a sample called
// "<name>_bucket", "_sum" or "_count". Values are what the format allows, NaN and infinities too. kMalformed, with the
// line's number: it breaks the format, has a label twice, or does not end with a line feed, as one that was cut off.
// Samples before that line were given.
using EachSample = std::function<void(std::string_view name, const Metrics::Labels& labels, double value)>;
Result<> read_page(std::string_view page, const EachSample& each);

}  // namespace enclayer::base
