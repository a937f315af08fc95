// SPDX-License-Identifier: Apache-2.0
// A quote source that says what the test told it to, and remembers what it was asked.
#pragma once

#include <atomic>

#include "quoting/quote_source.h"

namespace enclayer::fake {

class QuoteSource : public quoting::QuoteSource {
 public:
  Result<quoting::QuoteTarget> next_target = quoting::QuoteTarget{};
  Result<std::uint32_t> next_size = 0;
  Result<quoting::QuoteReply> next_quote = quoting::QuoteReply{};

  std::atomic<int> calls = 0;
  sgx::Report last_report;
  std::optional<quoting::QeReportRequest> last_qe_report;

  std::optional<quoting::QuoteTerms> terms_now() override {
    if (!next_target || !next_size) return std::nullopt;
    return ++calls, quoting::QuoteTerms{*next_target, *next_size};
  }
  Result<quoting::QuoteTarget> target() override { return ++calls, next_target; }
  Result<std::uint32_t> quote_size() override { return ++calls, next_size; }
  Result<quoting::QuoteReply> quote(const sgx::Report& report,
                                    const std::optional<quoting::QeReportRequest>& qe_report) override {
    ++calls;
    last_report = report;
    last_qe_report = qe_report;
    return next_quote;
  }
};

}  // namespace enclayer::fake
