// SPDX-License-Identifier: Apache-2.0
// Where quotes come from. Two kinds exist: `sim`, a software Quoting Enclave, and `dcap`, Intel's libraries in a
// worker.
#pragma once

#include <optional>

#include "enclayer/bytes.h"
#include "enclayer/error.h"
#include "sgx/report.h"

namespace enclayer::quoting {

// What a client learns before it makes its report.
struct QuoteTarget {
  sgx::TargetInfo qe;          // the Quoting Enclave that the report has to be made for
  ByteArray<32> pub_key_id{};  // SHA-256(attestation public key || QE authentication data)

  bool operator==(const QuoteTarget&) const = default;
};

// The asking enclave's wish for a QE report of its own: nonce and target info (sgx_ql_qe_report_info_t, first 528
// bytes).
struct QeReportRequest {
  ByteArray<16> nonce{};
  sgx::TargetInfo target;
};

// What it may ask before it asks for a quote.
struct QuoteTerms {
  QuoteTarget target;
  std::uint32_t quote_size = 0;  // bytes
};

struct QuoteReply {
  Bytes quote;  // exactly 436 + signature_data_len bytes
  std::optional<sgx::Report>
      qe_report;  // where one was asked for; report data = SHA-256(nonce || quote) || 32 zero bytes
};

// Safe to call from several threads.
class QuoteSource {
 public:
  virtual ~QuoteSource() = default;

  // What target() and quote_size() would answer, without waiting for anybody; nullopt: they would have to wait.
  virtual std::optional<QuoteTerms> terms_now() = 0;

  // Whether quote() waits for nobody: it takes processor time, and the same for every quote.
  virtual bool only_computes() const { return false; }

  virtual Result<QuoteTarget> target() = 0;

  // The size in bytes of the quotes that quote() makes now.
  virtual Result<std::uint32_t> quote_size() = 0;

  // kPermissionDenied when the report was not made for this Quoting Enclave on this machine (its MAC is wrong).
  virtual Result<QuoteReply> quote(const sgx::Report& report, const std::optional<QeReportRequest>& qe_report) = 0;
};

}  // namespace enclayer::quoting
