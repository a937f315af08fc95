// SPDX-License-Identifier: Apache-2.0
// What collateral says of itself: for which platforms it is and until when it holds. Read, not believed: verify()
// judges. This is the check that everything passes before it is kept or handed on.
#pragma once

#include <string>
#include <string_view>

#include "attestation/window.h"
#include "enclayer/bytes.h"
#include "enclayer/collateral.h"
#include "enclayer/error.h"
#include "enclayer/verify.h"

namespace enclayer::collateral {

// Which of Intel's two authorities issued a platform's PCK certificate: one for servers with several packages
// (Platform), one for everything else (Processor).
enum class PckCa { kProcessor, kPlatform };
std::string_view to_string(PckCa ca);              // "processor", "platform", as the service spells them
Result<PckCa> pck_ca_from(std::string_view text);  // kInvalidArgument for anything else

// What of a platform is judged: the same machine has other TCB Info and another Quoting Enclave for its TDs.
enum class Tee { kSgx, kTdx };
std::string_view to_string(Tee tee);          // "sgx", "tdx", as the service spells them
Result<Tee> tee_from(std::string_view text);  // kInvalidArgument for anything else

// All platforms that share one set of collateral.
struct PlatformKind {
  ByteArray<6> fmspc{};
  PckCa ca = PckCa::kProcessor;
  Tee tee = Tee::kSgx;

  bool operator==(const PlatformKind&) const = default;
};
std::string to_string(const PlatformKind& kind);  // "FMSPC 00606a000000, platform CA"; of TDX ", TDX" follows

// Exactly 12 hexadecimal digits of either case; else kInvalidArgument.
Result<ByteArray<6>> fmspc_from(std::string_view hex);

// Which collateral a quote needs: TEE of the quote, FMSPC and authority of the PCK certificate in it. kUnsupported for a
// quote that carries no PCK chain (certification data type 5). Nothing is verified.
struct QuotedPlatform {
  PlatformKind kind;
  bool simulated = false;  // a certificate says so; no service knows such a platform
};
Result<QuotedPlatform> platform_of_quote(ByteView quote);

struct Contents {
  PlatformKind platform;
  std::uint32_t evaluation_number = 0;  // the lower one of TCB Info's and QE Identity's
  attestation::Window validity;         // of all parts together: from the latest issue until the earliest expiry
  std::string first_to_expire;          // the part that ends it: "TCB Info"

  bool operator==(const Contents&) const = default;
};

// Reads every part: CRLs, issuer chains (at least one certificate, leaf first), TCB Info of SGX or TDX, identity of that
// one's QE, signatures of 64 bytes; all of it together fits into a file that parse_collateral_json() reads. kMalformed
// or kUnsupported name the part that is wrong.
Result<Contents> contents_of(const Collateral& collateral);

// Where the root's certificate, the last of a chain in PEM, says that its CRL is. Only a certificate that the trusted
// root's key signed may send us anywhere; for any other one, and for one that names no http(s) URL, kMalformed.
Result<std::string> root_crl_url(std::string_view issuer_chain, const TrustedRoot& trusted);

}  // namespace enclayer::collateral
