// SPDX-License-Identifier: Apache-2.0
// TdReportBody::from_bytes: what it reads it writes as the same bytes, and the size alone says which parts there are.
#include <cstdlib>

#include "enclayer/td_report.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using enclayer::TdReportBody;
  auto td = TdReportBody::from_bytes({data, size});
  const bool right =
      size == TdReportBody::kSize || size == TdReportBody::kSize15 || size == TdReportBody::kSize15Partitioned;
  if (td.has_value() != right) std::abort();
  if (!td) return 0;
  if (td->to_bytes() != enclayer::Bytes(data, data + size)) std::abort();
  if (td->tdx15.has_value() != (size > TdReportBody::kSize)) std::abort();
  if (td->has_service_td() && !td->tdx15) std::abort();
  return 0;
}
