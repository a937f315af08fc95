// SPDX-License-Identifier: Apache-2.0
// The quotes that the simulation issues. An order is a plain value: as it is it makes what an honest Quoting Enclave
// makes; with one field changed it makes what none would, signed nevertheless, for the tests of a verifier.
// Layouts: enclayer/quote.h.
#pragma once

#include <optional>

#include "enclayer/quote.h"
#include "sim/ca.h"
#include "sim/enclave.h"

namespace enclayer::sim {

// The authentication data of Intel's Quoting Enclave: the 32 bytes 00 01 .. 1f. Some verifiers accept no other size.
Bytes usual_auth_data();

struct QuoteOrder {
  std::uint16_t version = 3;  // 3, 4 or 5
  std::uint16_t att_key_type = QuoteHeader::kEcdsaP256;
  ByteArray<16> vendor_id = QuoteHeader::kIntelVendor;

  ReportBody enclave = enclave_body({});
  std::optional<TdReportBody> td;  // instead of the enclave; version 4 (TDX 1.0 only) or 5

  ReportBody qe = qe_body();  // its report data is filled in: SHA-256(attestation key || auth_data) || 32 zero bytes
  std::uint8_t qe_report_data_end = 0;  // instead of the last of these zero bytes
  Bytes auth_data = usual_auth_data();  // 65,535 bytes at most

  std::optional<ByteArray<64>> attestation_key;  // in the quote and in the hash, instead of the one that signs
  std::uint16_t certification_type = CertificationData::kPckChain;
  std::optional<Bytes> certification_data;  // instead of the CA's PCK chain
};

// The body is signed by `attestation_key`, the QE's report by the CA's PCK. The QE's id is a hash of the key.
Result<Bytes> issue_quote(const QuoteOrder& order, const Ca& ca, const SigningKey& attestation_key);

}  // namespace enclayer::sim
