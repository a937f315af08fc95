// SPDX-License-Identifier: Apache-2.0
// Collateral: what a relying party needs beside a quote, as Intel's Provisioning Certification Service serves it.
#pragma once

#include <string>
#include <string_view>

#include "enclayer/bytes.h"
#include "enclayer/error.h"

namespace enclayer {

// Nothing in here is believed: verify() checks every part. PEM chains are leaf first.
struct Collateral {
  std::string pck_crl_issuer_chain;      // PEM: PCK CA (Processor or Platform), root
  Bytes root_ca_crl;                     // DER; one NUL may follow, as of a C string
  Bytes pck_crl;                         // likewise
  std::string tcb_info_issuer_chain;     // PEM: TCB Signing, root
  std::string tcb_info;                  // the inner JSON object, byte for byte as it was signed
  Bytes tcb_info_signature;              // r || s, 64 bytes
  std::string qe_identity_issuer_chain;  // PEM: TCB Signing, root
  std::string qe_identity;               // the inner JSON object, byte for byte as it was signed
  Bytes qe_identity_signature;           // r || s, 64 bytes
  // PEM: PCK certificate, its CA, root. For a quote that carries no chain (certification data of types 1 to 4); of one
  // that does, the chain in it counts. Empty: there is none.
  std::string pck_certificate_chain;

  bool operator==(const Collateral&) const = default;

  // The most that is read of a collateral file, in bytes. Real ones have 14 to 23 KB.
  static constexpr std::size_t kMaxJsonSize = 1 << 20;
};

// The JSON layout that dcap-qvl reads too: strings with the names above, CRLs and signatures in hexadecimal digits;
// pck_certificate_chain where there is one.
std::string to_json(const Collateral& collateral);

// Collateral for this quote in any of the forms that people have it, each as bytes of a text file:
//
//   the layout above         CRLs also as PEM; one NUL after a CRL, TCB Info, QE Identity or all of it; TCB Info and QE
//                            Identity also with their signature, as the service sends them, as text or as an object;
//                            CRLs and signatures also as lists of numbers; "pck_certificate_chain" may be there
//   {"collaterals": {...}}   platform_collaterals.json of Intel's PcsClientTool, which has many platforms: that of the
//                            quote is taken, "standard" before "early"
//
// A missing or wrongly typed part, duplicate keys, more than kMaxJsonSize bytes and anything else are kMalformed, as is a
// file for other platforms than the quote's.
Result<Collateral> collateral_for(ByteView quote, std::string_view text);

// The same of one platform's collateral, for which no quote is needed.
Result<Collateral> parse_collateral_json(std::string_view json);

}  // namespace enclayer
