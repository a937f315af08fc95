// SPDX-License-Identifier: Apache-2.0
// A Quoting Enclave in software. Its quotes have the format of Intel's QE (version 3, certification data type 5), and
// it checks the MAC of the reports it is given; but the keys of simulated reports are public: IT PROVES NOTHING.
#pragma once

#include <memory>
#include <string>

#include "quoting/quote_source.h"
#include "sim/ca.h"

namespace enclayer::sim {

// Safe from several threads: everything but the signature is made once, and nothing is locked.
class QuotingEnclave final : public quoting::QuoteSource {
 public:
  // `qe` is the QE's own report body (report data is filled in); another one than qe_body() makes a QE that the
  // simulation's QE Identity does not know.
  static Result<std::unique_ptr<QuotingEnclave>> make(const Ca& ca, SigningKey attestation_key,
                                                      const ReportBody& qe = qe_body());

  std::optional<quoting::QuoteTerms> terms_now() override { return quoting::QuoteTerms{target_, *quote_size()}; }
  bool only_computes() const override { return true; }
  Result<quoting::QuoteTarget> target() override { return target_; }
  Result<std::uint32_t> quote_size() override;
  Result<quoting::QuoteReply> quote(const sgx::Report& report,
                                    const std::optional<quoting::QeReportRequest>& qe_report) override;

 private:
  explicit QuotingEnclave(SigningKey attestation_key) : attestation_key_(std::move(attestation_key)) {}

  SigningKey attestation_key_;
  ReportBody qe_;
  quoting::QuoteTarget target_;
  ByteArray<48> header_{};
  Bytes tail_;  // what follows the signature, the same in every quote: key, QE report and its signature, certificates
};

}  // namespace enclayer::sim
