// SPDX-License-Identifier: Apache-2.0
// The error codes that stand in every AESM reply (aesm_error.h of the SGX PSW). What each becomes in Intel's client API
// is in docs/formats/aesm.md; only the codes that we send, or explain when another service sends them, have a name
// here.
#pragma once

#include <cstdint>
#include <string>

#include "enclayer/error.h"

namespace enclayer::aesm {

enum Code : std::uint32_t {
  kSuccess = 0,
  kUnexpected = 1,
  kNoDevice = 2,
  kParameter = 3,
  kNetwork = 12,
  kNetworkBusy = 13,
  kServiceStopped = 17,
  kBusy = 18,
  kOutOfMemory = 21,
  kOutOfEpc = 29,
  kServiceUnavailable = 30,
  kUnsupportedAttKeyId = 38,
  kAttKeyNotInitialized = 42,
  kNoPlatformCertData = 44,
  kErrorReport = 45,
  kEnclaveLost = 46,
  kInvalidReport = 47,
  kEnclaveLoadError = 48,
};

// "INVALID_REPORT (47)"; "code 99" for one without a name.
std::string to_string(Code code);

// What a client makes of a service's refusal.
ErrorKind kind_of(Code code);

}  // namespace enclayer::aesm
