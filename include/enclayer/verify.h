// SPDX-License-Identifier: Apache-2.0
// Verification: is every signature, chain, revocation list, date and identity right, and how up to date is the
// platform? Whether that is good enough is another question, for policy.h.
//
//   auto collateral = parse_collateral_json(text);
//   Verification v = verify(quote_bytes, *collateral, TrustedRoot::intel(), now);
//   Verdict verdict = judge(v, Policy{});
//
// A pure function: the same quote, collateral, root and time give the same answer, on any machine. Who verifies many
// quotes takes a Verifier (verifier.h), which gives the same answers sooner.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "enclayer/bytes.h"
#include "enclayer/collateral.h"
#include "enclayer/error.h"
#include "enclayer/quote.h"
#include "enclayer/time.h"

namespace enclayer {

// How far a platform is up to date, as TCB Info spells it; the two TDRelaunchAdvised are no platform's, but what becomes
// of a TD whose platform was updated under it: it would be good if it were launched again.
enum class TcbStatus {
  kUpToDate,
  kSwHardeningNeeded,
  kConfigurationNeeded,
  kConfigurationAndSwHardeningNeeded,
  kOutOfDate,
  kOutOfDateConfigurationNeeded,
  kTdRelaunchAdvised,
  kTdRelaunchAdvisedConfigurationNeeded,
  kRevoked,
};
std::string_view to_string(TcbStatus status);                        // "UpToDate"
std::optional<TcbStatus> tcb_status_from(std::string_view spelled);  // exactly as it is spelled

// Why a quote is judged as it is. Names and numbers are those of Intel's Quote Verification Library (its enum Status),
// so that answers can be compared; the ones from 1000 on are ours. Where something is "expired", "not valid yet" is
// meant too.
enum class Reason {
  kOk = 0,  // everything is right and the status is UpToDate
  kUnsupportedCertFormat = 1,
  kSgxRootCaMissing = 2,
  kSgxRootCaInvalid = 3,
  kSgxRootCaInvalidExtensions = 4,
  kSgxRootCaInvalidIssuer = 5,
  kSgxIntermediateCaMissing = 7,
  kSgxIntermediateCaInvalid = 8,
  kSgxIntermediateCaInvalidExtensions = 9,
  kSgxIntermediateCaInvalidIssuer = 10,
  kSgxIntermediateCaRevoked = 11,
  kSgxPckMissing = 12,
  kSgxPckInvalid = 13,
  kSgxPckInvalidExtensions = 14,
  kSgxPckInvalidIssuer = 15,
  kSgxPckRevoked = 16,
  kTrustedRootCaInvalid = 17,
  kSgxPckCertChainUntrusted = 18,
  kSgxTcbInfoUnsupportedFormat = 19,
  kSgxTcbInfoInvalid = 20,
  kTcbInfoInvalidSignature = 21,
  kSgxTcbSigningCertMissing = 22,
  kSgxTcbSigningCertInvalid = 23,
  kSgxTcbSigningCertInvalidExtensions = 24,
  kSgxTcbSigningCertInvalidIssuer = 25,
  kSgxTcbSigningCertChainUntrusted = 26,
  kSgxTcbSigningCertRevoked = 27,
  kSgxCrlUnsupportedFormat = 28,
  kSgxCrlUnknownIssuer = 29,
  kSgxCrlInvalidExtensions = 31,
  kSgxCrlInvalidSignature = 32,
  kSgxCaCertUnsupportedFormat = 33,
  kSgxCaCertInvalid = 34,
  kTrustedRootCaUnsupportedFormat = 35,
  kUnsupportedQuoteFormat = 37,
  kTcbInfoMismatch = 44,
  kTcbOutOfDate = 45,
  kTcbRevoked = 46,
  kTcbConfigurationNeeded = 47,
  kTcbOutOfDateConfigurationNeeded = 48,
  kTcbNotSupported = 49,
  kTcbUnrecognizedStatus = 50,
  kInvalidQeReportSignature = 55,
  kInvalidQeReportData = 56,
  kInvalidQuoteSignature = 57,
  kSgxEnclaveIdentityUnsupportedFormat = 62,
  kSgxEnclaveIdentityInvalid = 63,
  kSgxEnclaveIdentityUnsupportedVersion = 64,
  kQeIdentityMismatch = 74,
  kSgxTcbInfoExpired = 75,
  kSgxEnclaveIdentityInvalidSignature = 76,
  kSgxPckCertChainExpired = 78,
  kSgxCrlExpired = 79,
  kSgxSigningCertChainExpired = 80,
  kSgxEnclaveIdentityExpired = 81,
  kTcbSwHardeningNeeded = 82,
  kTcbConfigurationAndSwHardeningNeeded = 83,
  kTdxModuleMismatch = 85,
  kSgxEnclaveReportIsvsvnNotSupported = 86,
  kTcbTdRelaunchAdvised = 87,
  kTcbTdRelaunchAdvisedConfigurationNeeded = 88,

  kUnsupportedCollateralFormat = 1001,  // the collateral file cannot be parsed
  kDebugEnclave,                        // policy: a debugger can read the enclave's memory
  kSimulatedPlatform,                   // policy, and so are the others from here on (policy.h)
  kMrEnclaveNotAccepted,
  kMrSignerNotAccepted,
  kIsvProdIdNotAccepted,
  kIsvSvnTooLow,
  kReportDataNotAccepted,
  kFmspcNotAccepted,
  kAdvisoryNotAccepted,
  kTcbEvaluationNumberTooLow,
  kDebugTd,  // a debugger can read the TD's memory
  kTdAttributesNotAccepted,
  kServiceTdNotAccepted,
  kMrTdNotAccepted,
  kRtmrNotAccepted,
  kMrConfigIdNotAccepted,
  kMrOwnerNotAccepted,
  kMrOwnerConfigNotAccepted,
  kXfamNotAccepted,
  kMrSeamNotAccepted,
  kPpidNotAccepted,
  kPlatformInstanceIdNotAccepted,
  kSgxTypeNotAccepted,
  kPlatformConfigurationNotAccepted,  // dynamic platform, cached keys, SMT
  kTcbDateTooOld,
  kCollateralTooOld,

  kUnsupportedRaTlsFormat = 1101,  // the certificate, or the evidence in it, cannot be parsed (ra_tls.h)
  kRaTlsCertificateInvalid,        // it has not signed itself
  kRaTlsCertificateExpired,
  kRaTlsKeyNotBound,  // a quote in it does not speak for its key
};
std::string_view to_string(Reason reason);  // "SGX_CRL_EXPIRED"

// The key that everything has to lead up to. It is the PUBLIC KEY that counts: Intel's root has two certificates (until
// 2033, until 2049) with one key.
class TrustedRoot {
 public:
  // Intel SGX Root CA, built in.
  static const TrustedRoot& intel();

  // One PEM certificate: a CA with a P-256 key that signed itself; else kMalformed or kInvalidArgument.
  static Result<TrustedRoot> from_pem(std::string_view pem);

  // False for Intel's key, wherever it was read from.
  bool custom() const { return custom_; }
  // Its name says SIMULATED: what leads up to it proves nothing.
  bool simulated() const { return simulated_; }
  const ByteArray<64>& public_key() const { return public_key_; }  // x || y

  // SHA-256 sums of certificates of this key that are known to have signed themselves: Intel's two, or the one that was
  // read. Any other certificate of the key is as good, it only takes one more signature to check.
  const std::vector<ByteArray<32>>& known_certificates() const { return known_certificates_; }

 private:
  TrustedRoot(const ByteArray<64>& public_key, std::vector<ByteArray<32>> known_certificates, bool custom,
              bool simulated)
      : public_key_(public_key),
        known_certificates_(std::move(known_certificates)),
        custom_(custom),
        simulated_(simulated) {}

  ByteArray<64> public_key_;
  std::vector<ByteArray<32>> known_certificates_;
  bool custom_;
  bool simulated_;
};

// Which platform made a quote, as its PCK certificate says (Intel "SGX PCK Certificate Profile Specification" 1.3.5).
// PPID and platform instance id name one machine for as long as it lives: treat them as personal data.
struct PlatformIdentity {
  enum class SgxType : std::uint8_t { kStandard, kScalable, kScalableWithIntegrity };

  ByteArray<16> ppid{};
  ByteArray<6> fmspc{};
  ByteArray<2> pce_id{};
  SgxType sgx_type = SgxType::kStandard;

  // Of platforms with several packages alone (Platform CA).
  std::optional<ByteArray<16>> platform_instance_id{};
  std::optional<bool> dynamic_platform{};  // packages can be added and replaced
  std::optional<bool> cached_keys{};       // Intel's registration service keeps the platform's root keys
  std::optional<bool> smt_enabled{};       // simultaneous multithreading

  // Its patch level, which many machines share: what TCB Info is searched with, component 1 first.
  ByteArray<16> tcb_components{};
  std::uint16_t pce_svn = 0;

  bool operator==(const PlatformIdentity&) const = default;
};
std::string_view to_string(PlatformIdentity::SgxType type);  // "Standard", "Scalable", "ScalableWithIntegrity"

// A number that keeps a platform from the best TCB status that TCB Info or QE Identity has a level of, mostly UpToDate:
// for people who have to patch it.
struct Shortfall {
  std::string part;  // "SGX TCB component 1", "PCESVN", "TDX module 1 minor version", "QE ISVSVN"
  std::uint16_t has, needs;
  Time since;  // date of the TCB level that needs it

  bool operator==(const Shortfall&) const = default;
};

// One part of a platform at its TCB level.
struct TcbPart {
  TcbStatus status;
  Time date;  // of the level: patched against all that was public then
  std::vector<std::string> advisory_ids;

  bool operator==(const TcbPart&) const = default;
};

// A platform's parts, and what they come to (Intel QVL, EvaluateTcb.cpp).
struct TcbEvaluation {
  TcbPart platform;
  std::optional<TcbPart> tdx_module;  // of major version 1 or more: older ones are part of the platform's level
  TcbPart qe;                         // the Quoting Enclave, of SGX or of TDX

  TcbStatus status;
  Time date() const;                              // the oldest of all
  std::vector<std::string> advisory_ids() const;  // of all, in this order, each once

  bool operator==(const TcbEvaluation&) const = default;
};

// The key that a TLS peer's certificate and the quotes in it speak for (ra_tls.h).
struct AttestedKey {
  ByteArray<32> sha256{};             // of its SubjectPublicKeyInfo in DER
  Time valid_until;                   // the certificate's
  std::vector<std::string> evidence;  // "gramine", "dice": what binds it
  std::optional<Bytes> nonce;         // that the certificate was made for
};

// Something that stands against a quote.
struct Miss {
  Reason reason;
  std::string detail;  // for people: which object, both values, the remedy
};

// What is known after verify(). Everything but `reason`, `detail` and `tcb_status` is a mere claim unless verified().
struct Verification {
  Reason reason = Reason::kUnsupportedQuoteFormat;
  std::string detail;  // for people: which object, both values, the remedy
  // What else is expired, when that is the reason, so that all of it can be renewed at once.
  std::vector<Miss> also_expired;

  // Set when every check passed and all TCB levels were found; `reason` then names the same status. Never UpToDate by
  // default.
  std::optional<TcbStatus> tcb_status;
  std::vector<std::string> advisory_ids;  // of `tcb`, then of `current_tcb`, each once: "INTEL-SA-00615"

  std::optional<TcbEvaluation> tcb;          // of a TD: as it was launched
  std::optional<TcbEvaluation> current_tcb;  // of a TD of TDX 1.5: with the TDX module that runs now

  bool custom_root = false;  // verified against a root that is not Intel's
  bool simulated = false;  // the trusted root or a certificate in the quote says SIMULATED in its name: proves nothing

  std::optional<Quote> quote;                          // when it could be parsed
  std::optional<ByteArray<6>> fmspc;                   // of the PCK certificate
  std::optional<Time> tcb_date;                        // tcb->platform.date
  std::optional<std::uint32_t> tcb_evaluation_number;  // the lower one of TCB Info's and QE Identity's
  std::optional<Time> earliest_expiry;                 // the last second at which this same evidence still verifies
  std::optional<Time> earliest_issue;                  // of the oldest of TCB Info, QE Identity and the two CRLs
  std::optional<PlatformIdentity> platform;
  std::vector<Shortfall> shortfalls;  // of a TD: of the platform as it was launched on
  std::optional<Time> lacking_since;  // date of the oldest TCB level that it lacks: its grace is counted from there
  Time at{};                          // the time that verify() was asked about
  std::optional<AttestedKey> attested_key;  // when a certificate was verified, and not a bare quote

  bool verified() const { return tcb_status.has_value(); }
};

// Checks in the order of docs/verification.md and stops at the first failure; only after something that has expired the
// dates of the rest are looked at, too.
Verification verify(ByteView quote, const Collateral& collateral, const TrustedRoot& root, Time at);

}  // namespace enclayer
