// SPDX-License-Identifier: Apache-2.0
#include "aesm/codes.h"

namespace enclayer::aesm {
namespace {

const char* name(Code code) {
  switch (code) {
    case kSuccess: return "SUCCESS";
    case kUnexpected: return "UNEXPECTED";
    case kNoDevice: return "NO_DEVICE";
    case kParameter: return "PARAMETER";
    case kNetwork: return "NETWORK";
    case kNetworkBusy: return "NETWORK_BUSY";
    case kServiceStopped: return "SERVICE_STOPPED";
    case kBusy: return "BUSY";
    case kOutOfMemory: return "OUT_OF_MEMORY";
    case kOutOfEpc: return "OUT_OF_EPC";
    case kServiceUnavailable: return "SERVICE_UNAVAILABLE";
    case kUnsupportedAttKeyId: return "UNSUPPORTED_ATT_KEY_ID";
    case kAttKeyNotInitialized: return "ATT_KEY_NOT_INITIALIZED";
    case kNoPlatformCertData: return "NO_PLATFORM_CERT_DATA";
    case kErrorReport: return "ERROR_REPORT";
    case kEnclaveLost: return "ENCLAVE_LOST";
    case kInvalidReport: return "INVALID_REPORT";
    case kEnclaveLoadError: return "ENCLAVE_LOAD_ERROR";
  }
  return nullptr;
}

}  // namespace

std::string to_string(Code code) {
  const char* known = name(code);
  std::string number = std::to_string(static_cast<std::uint32_t>(code));
  return known ? std::string(known) + " (" + number + ")" : "code " + number;
}

ErrorKind kind_of(Code code) {
  switch (code) {
    case kAttKeyNotInitialized:  // what our helper says of a report with a wrong MAC, and Intel's in other words
    case kErrorReport:
    case kInvalidReport: return ErrorKind::kPermissionDenied;
    case kParameter:
    case kUnsupportedAttKeyId: return ErrorKind::kUnsupported;
    case kBusy:
    case kOutOfMemory:
    case kOutOfEpc: return ErrorKind::kExhausted;
    default: return ErrorKind::kUnavailable;
  }
}

}  // namespace enclayer::aesm
