// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <utility>

#include "enclayer/verify.h"

namespace enclayer {
namespace {

constexpr std::array<std::pair<TcbStatus, std::string_view>, 9> kStatuses{{
    {TcbStatus::kUpToDate, "UpToDate"},
    {TcbStatus::kSwHardeningNeeded, "SWHardeningNeeded"},
    {TcbStatus::kConfigurationNeeded, "ConfigurationNeeded"},
    {TcbStatus::kConfigurationAndSwHardeningNeeded, "ConfigurationAndSWHardeningNeeded"},
    {TcbStatus::kOutOfDate, "OutOfDate"},
    {TcbStatus::kOutOfDateConfigurationNeeded, "OutOfDateConfigurationNeeded"},
    {TcbStatus::kTdRelaunchAdvised, "TDRelaunchAdvised"},
    {TcbStatus::kTdRelaunchAdvisedConfigurationNeeded, "TDRelaunchAdvisedConfigurationNeeded"},
    {TcbStatus::kRevoked, "Revoked"},
}};

}  // namespace

std::string_view to_string(TcbStatus status) {
  for (const auto& [value, name] : kStatuses)
    if (value == status) return name;
  return "";
}

std::optional<TcbStatus> tcb_status_from(std::string_view spelled) {
  for (const auto& [value, name] : kStatuses)
    if (name == spelled) return value;
  return std::nullopt;
}

std::string_view to_string(Reason reason) {
  switch (reason) {
    case Reason::kOk: return "OK";
    case Reason::kUnsupportedCertFormat: return "UNSUPPORTED_CERT_FORMAT";
    case Reason::kSgxRootCaMissing: return "SGX_ROOT_CA_MISSING";
    case Reason::kSgxRootCaInvalid: return "SGX_ROOT_CA_INVALID";
    case Reason::kSgxRootCaInvalidExtensions: return "SGX_ROOT_CA_INVALID_EXTENSIONS";
    case Reason::kSgxRootCaInvalidIssuer: return "SGX_ROOT_CA_INVALID_ISSUER";
    case Reason::kSgxIntermediateCaMissing: return "SGX_INTERMEDIATE_CA_MISSING";
    case Reason::kSgxIntermediateCaInvalid: return "SGX_INTERMEDIATE_CA_INVALID";
    case Reason::kSgxIntermediateCaInvalidExtensions: return "SGX_INTERMEDIATE_CA_INVALID_EXTENSIONS";
    case Reason::kSgxIntermediateCaInvalidIssuer: return "SGX_INTERMEDIATE_CA_INVALID_ISSUER";
    case Reason::kSgxIntermediateCaRevoked: return "SGX_INTERMEDIATE_CA_REVOKED";
    case Reason::kSgxPckMissing: return "SGX_PCK_MISSING";
    case Reason::kSgxPckInvalid: return "SGX_PCK_INVALID";
    case Reason::kSgxPckInvalidExtensions: return "SGX_PCK_INVALID_EXTENSIONS";
    case Reason::kSgxPckInvalidIssuer: return "SGX_PCK_INVALID_ISSUER";
    case Reason::kSgxPckRevoked: return "SGX_PCK_REVOKED";
    case Reason::kTrustedRootCaInvalid: return "TRUSTED_ROOT_CA_INVALID";
    case Reason::kSgxPckCertChainUntrusted: return "SGX_PCK_CERT_CHAIN_UNTRUSTED";
    case Reason::kSgxTcbInfoUnsupportedFormat: return "SGX_TCB_INFO_UNSUPPORTED_FORMAT";
    case Reason::kSgxTcbInfoInvalid: return "SGX_TCB_INFO_INVALID";
    case Reason::kTcbInfoInvalidSignature: return "TCB_INFO_INVALID_SIGNATURE";
    case Reason::kSgxTcbSigningCertMissing: return "SGX_TCB_SIGNING_CERT_MISSING";
    case Reason::kSgxTcbSigningCertInvalid: return "SGX_TCB_SIGNING_CERT_INVALID";
    case Reason::kSgxTcbSigningCertInvalidExtensions: return "SGX_TCB_SIGNING_CERT_INVALID_EXTENSIONS";
    case Reason::kSgxTcbSigningCertInvalidIssuer: return "SGX_TCB_SIGNING_CERT_INVALID_ISSUER";
    case Reason::kSgxTcbSigningCertChainUntrusted: return "SGX_TCB_SIGNING_CERT_CHAIN_UNTRUSTED";
    case Reason::kSgxTcbSigningCertRevoked: return "SGX_TCB_SIGNING_CERT_REVOKED";
    case Reason::kSgxCrlUnsupportedFormat: return "SGX_CRL_UNSUPPORTED_FORMAT";
    case Reason::kSgxCrlUnknownIssuer: return "SGX_CRL_UNKNOWN_ISSUER";
    case Reason::kSgxCrlInvalidExtensions: return "SGX_CRL_INVALID_EXTENSIONS";
    case Reason::kSgxCrlInvalidSignature: return "SGX_CRL_INVALID_SIGNATURE";
    case Reason::kSgxCaCertUnsupportedFormat: return "SGX_CA_CERT_UNSUPPORTED_FORMAT";
    case Reason::kSgxCaCertInvalid: return "SGX_CA_CERT_INVALID";
    case Reason::kTrustedRootCaUnsupportedFormat: return "TRUSTED_ROOT_CA_UNSUPPORTED_FORMAT";
    case Reason::kUnsupportedQuoteFormat: return "UNSUPPORTED_QUOTE_FORMAT";
    case Reason::kTcbInfoMismatch: return "TCB_INFO_MISMATCH";
    case Reason::kTcbOutOfDate: return "TCB_OUT_OF_DATE";
    case Reason::kTcbRevoked: return "TCB_REVOKED";
    case Reason::kTcbConfigurationNeeded: return "TCB_CONFIGURATION_NEEDED";
    case Reason::kTcbOutOfDateConfigurationNeeded: return "TCB_OUT_OF_DATE_CONFIGURATION_NEEDED";
    case Reason::kTcbNotSupported: return "TCB_NOT_SUPPORTED";
    case Reason::kTcbUnrecognizedStatus: return "TCB_UNRECOGNIZED_STATUS";
    case Reason::kInvalidQeReportSignature: return "INVALID_QE_REPORT_SIGNATURE";
    case Reason::kInvalidQeReportData: return "INVALID_QE_REPORT_DATA";
    case Reason::kInvalidQuoteSignature: return "INVALID_QUOTE_SIGNATURE";
    case Reason::kSgxEnclaveIdentityUnsupportedFormat: return "SGX_ENCLAVE_IDENTITY_UNSUPPORTED_FORMAT";
    case Reason::kSgxEnclaveIdentityInvalid: return "SGX_ENCLAVE_IDENTITY_INVALID";
    case Reason::kSgxEnclaveIdentityUnsupportedVersion: return "SGX_ENCLAVE_IDENTITY_UNSUPPORTED_VERSION";
    case Reason::kQeIdentityMismatch: return "QE_IDENTITY_MISMATCH";
    case Reason::kSgxTcbInfoExpired: return "SGX_TCB_INFO_EXPIRED";
    case Reason::kSgxEnclaveIdentityInvalidSignature: return "SGX_ENCLAVE_IDENTITY_INVALID_SIGNATURE";
    case Reason::kSgxPckCertChainExpired: return "SGX_PCK_CERT_CHAIN_EXPIRED";
    case Reason::kSgxCrlExpired: return "SGX_CRL_EXPIRED";
    case Reason::kSgxSigningCertChainExpired: return "SGX_SIGNING_CERT_CHAIN_EXPIRED";
    case Reason::kSgxEnclaveIdentityExpired: return "SGX_ENCLAVE_IDENTITY_EXPIRED";
    case Reason::kTcbSwHardeningNeeded: return "TCB_SW_HARDENING_NEEDED";
    case Reason::kTcbConfigurationAndSwHardeningNeeded: return "TCB_CONFIGURATION_AND_SW_HARDENING_NEEDED";
    case Reason::kTdxModuleMismatch: return "TDX_MODULE_MISMATCH";
    case Reason::kSgxEnclaveReportIsvsvnNotSupported: return "SGX_ENCLAVE_REPORT_ISVSVN_NOT_SUPPORTED";
    case Reason::kTcbTdRelaunchAdvised: return "TCB_TD_RELAUNCH_ADVISED";
    case Reason::kTcbTdRelaunchAdvisedConfigurationNeeded: return "TCB_TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED";
    case Reason::kUnsupportedCollateralFormat: return "UNSUPPORTED_COLLATERAL_FORMAT";
    case Reason::kDebugEnclave: return "DEBUG_ENCLAVE";
    case Reason::kSimulatedPlatform: return "SIMULATED_PLATFORM";
    case Reason::kMrEnclaveNotAccepted: return "MRENCLAVE_NOT_ACCEPTED";
    case Reason::kMrSignerNotAccepted: return "MRSIGNER_NOT_ACCEPTED";
    case Reason::kIsvProdIdNotAccepted: return "ISVPRODID_NOT_ACCEPTED";
    case Reason::kIsvSvnTooLow: return "ISVSVN_TOO_LOW";
    case Reason::kReportDataNotAccepted: return "REPORT_DATA_NOT_ACCEPTED";
    case Reason::kFmspcNotAccepted: return "FMSPC_NOT_ACCEPTED";
    case Reason::kAdvisoryNotAccepted: return "ADVISORY_NOT_ACCEPTED";
    case Reason::kTcbEvaluationNumberTooLow: return "TCB_EVALUATION_NUMBER_TOO_LOW";
    case Reason::kDebugTd: return "DEBUG_TD";
    case Reason::kTdAttributesNotAccepted: return "TD_ATTRIBUTES_NOT_ACCEPTED";
    case Reason::kServiceTdNotAccepted: return "SERVICE_TD_NOT_ACCEPTED";
    case Reason::kMrTdNotAccepted: return "MRTD_NOT_ACCEPTED";
    case Reason::kRtmrNotAccepted: return "RTMR_NOT_ACCEPTED";
    case Reason::kMrConfigIdNotAccepted: return "MRCONFIGID_NOT_ACCEPTED";
    case Reason::kMrOwnerNotAccepted: return "MROWNER_NOT_ACCEPTED";
    case Reason::kMrOwnerConfigNotAccepted: return "MROWNERCONFIG_NOT_ACCEPTED";
    case Reason::kXfamNotAccepted: return "XFAM_NOT_ACCEPTED";
    case Reason::kMrSeamNotAccepted: return "MRSEAM_NOT_ACCEPTED";
    case Reason::kPpidNotAccepted: return "PPID_NOT_ACCEPTED";
    case Reason::kPlatformInstanceIdNotAccepted: return "PLATFORM_INSTANCE_ID_NOT_ACCEPTED";
    case Reason::kSgxTypeNotAccepted: return "SGX_TYPE_NOT_ACCEPTED";
    case Reason::kPlatformConfigurationNotAccepted: return "PLATFORM_CONFIGURATION_NOT_ACCEPTED";
    case Reason::kTcbDateTooOld: return "TCB_DATE_TOO_OLD";
    case Reason::kCollateralTooOld: return "COLLATERAL_TOO_OLD";
    case Reason::kUnsupportedRaTlsFormat: return "UNSUPPORTED_RA_TLS_FORMAT";
    case Reason::kRaTlsCertificateInvalid: return "RA_TLS_CERTIFICATE_INVALID";
    case Reason::kRaTlsCertificateExpired: return "RA_TLS_CERTIFICATE_EXPIRED";
    case Reason::kRaTlsKeyNotBound: return "RA_TLS_KEY_NOT_BOUND";
  }
  return "UNKNOWN";
}

}  // namespace enclayer
