// SPDX-License-Identifier: Apache-2.0
// A quote: an enclave's report or a TD's, signed by a Quoting Enclave, with what says who certified that signature.
// Versions 3 (SGX), 4 and 5 (SGX and TDX) are parsed. docs/formats/quote.md shows the layouts.
// Sources: Intel "SGX ECDSA QuoteLibReference DCAP API" (v3), "TDX DCAP Quoting Library API" (v4, v5).
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <variant>

#include "enclayer/bytes.h"
#include "enclayer/error.h"
#include "enclayer/report.h"
#include "enclayer/td_report.h"

namespace enclayer {

// The first 48 bytes of every version.
struct QuoteHeader {
  static constexpr std::size_t kSize = 48;
  static constexpr std::uint16_t kEcdsaP256 = 2;
  static constexpr std::uint32_t kSgx = 0x00;
  static constexpr std::uint32_t kTdx = 0x81;
  // The vendor id of Intel's Quoting Enclaves, 939a7233-f79c-4ca9-940a-0db3957f0607; the simulation uses it too.
  static constexpr ByteArray<16> kIntelVendor{0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9,
                                              0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07};

  std::uint16_t version = 0;
  std::uint16_t att_key_type = 0;
  std::uint32_t tee_type = 0;  // version 3: always kSgx
  std::uint16_t qe_svn = 0;    // versions 4 and 5 have reserved bytes in the place of these two
  std::uint16_t pce_svn = 0;
  ByteArray<16> vendor_id{};
  ByteArray<20> user_data{};  // first 16 bytes: QE_ID, constant for a platform and an owner

  bool operator==(const QuoteHeader&) const = default;
};

// Who certifies the Quoting Enclave's report.
struct CertificationData {
  enum Type : std::uint16_t {
    kPpidClear = 1,              // PPID 16 | CPUSVN 16 | PCESVN u16 | PCEID u16; 36 bytes (34 in old samples: no PCEID)
    kPpidRsa2048 = 2,            // encrypted PPID 256 | the same 20 bytes
    kPpidRsa3072 = 3,            // encrypted PPID 384 | the same 20 bytes; what a QE gives without a provider library
    kPckLeaf = 4,                // the PCK certificate alone
    kPckChain = 5,               // PEM: PCK certificate, its CA, root; often with a NUL counted in
    kQeReportCertification = 6,  // versions 4 and 5: wraps the QE report and one of the others
    kPlatformManifest = 7,  // versions 4 and 5: what a multi-package server registers itself with; not read further
  };
  static constexpr std::size_t kMaxSize = 64 << 10;  // bytes; real chains have 3.5 to 3.7 KB

  std::uint16_t type = 0;
  Bytes data;

  bool operator==(const CertificationData&) const = default;
};

// "PCK certificate chain (PEM)" for 5, and so on; "unknown" for what is not listed above.
std::string_view certification_type_name(std::uint16_t type);

struct Quote {
  QuoteHeader header;
  std::variant<ReportBody, TdReportBody> body;
  Bytes signed_bytes;               // header, (version 5: body descriptor,) body: what `signature` is over
  ByteArray<64> signature{};        // r || s by the attestation key
  ByteArray<64> attestation_key{};  // x || y on P-256
  ByteArray<ReportBody::kSize> qe_report_bytes{};  // as they were signed, reserved ones too
  ByteArray<64> qe_report_signature{};             // r || s by the PCK
  Bytes qe_auth_data;                              // Intel's QE: the 32 bytes 00 01 .. 1f
  CertificationData certification;                 // any type but 6: of versions 4 and 5 the inner one

  bool open_enclave_header = false;  // Open Enclave's 16 bytes (version 1, type 2, size) stood before the quote
  std::size_t size = 0;              // bytes of the quote itself; a buffer may go on after it

  bool sgx() const { return std::holds_alternative<ReportBody>(body); }
  // The enclave's report; only when sgx().
  const ReportBody& report() const { return std::get<ReportBody>(body); }
  // The TD's; only when not sgx().
  const TdReportBody& td_report() const { return std::get<TdReportBody>(body); }
  ReportBody qe_report() const { return ReportBody::from_bytes(qe_report_bytes); }
};

// Reads a quote and checks every length and type against every other; nothing is verified. Bytes after the quote are
// allowed and ignored. kMalformed: lengths or types contradict each other; kUnsupported: a version, key type or TEE
// that is not known here.
Result<Quote> parse_quote(ByteView bytes);

}  // namespace enclayer
