// SPDX-License-Identifier: Apache-2.0
// What Intel's quoting libraries answer (quote3_error_t: 0, or 0xE000 and a number), and what an AESM client is told.
//
// The table is that of aesmd's ECDSA part, which knows 0x01 to 0x1A and calls everything else UNEXPECTED. Ours also
// keeps what is lost there: no device, busy, the certificate service out of reach, a platform that it does not know.
//
// One answer is another than aesmd's. A report with a wrong MAC is ATT_KEY_NOT_INITIALIZED (42) here, where aesmd says
// INVALID_REPORT (47). Honest enclaves come with one when the Quoting Enclave has changed since they asked for the
// target (an update of microcode or enclaves), and only 42 brings them back: Gramine asks for the target again, five
// times at most, and Intel's API says to do so; 47 is final. Who forges reports learns nothing from either.
#pragma once

#include <cstdint>
#include <string>

#include "enclayer/error.h"

namespace enclayer::quoting {

// The calls into the library; the numbers go over the socket to the worker (dcap_protocol.h).
enum class DcapCall : std::uint8_t { kInit = 1, kSize = 2, kQuote = 3, kFiles = 4 };

// The few values that something depends on.
enum DcapStatus : std::uint32_t {
  kDcapSuccess = 0,
  kDcapUnexpected = 0xE001,
  kDcapInvalidParameter = 0xE002,
  kDcapUnsupportedAttKeyId = 0xE00B,
  kDcapInterfaceUnavailable = 0xE00D,
  kDcapAttKeyNotInitialized = 0xE00F,  // no key yet, or the platform's certificate is now for another TCB
  kDcapOutOfEpc = 0xE012,
  kDcapErrorReport = 0xE013,
  kDcapEnclaveLost = 0xE014,    // after a suspend of the machine
  kDcapInvalidReport = 0xE015,  // the report's MAC is wrong: it was made for another enclave or another machine
  kDcapEnclaveLoadError = 0xE016,
  kDcapUnableToGenerateQeReport = 0xE017,
  kDcapInvalidPrivilege = 0xE035,
  kDcapNoDevice = 0xE03F,
};

// "INVALID_REPORT (0xE015)"; "0xE0FF" for one without a name.
std::string dcap_status_name(std::uint32_t status);

// The AESM error code for it; 1 (UNEXPECTED) for what nobody knows.
std::uint32_t aesm_code(std::uint32_t status, DcapCall call);

// The same as an Error: kind, the AESM code as its code(), and a sentence. `explanation` is what the worker found out
// about the cause (a missing file, a device that may not be opened); without it the sentence has a remedy of its own.
Error dcap_error(std::uint32_t status, DcapCall call, const std::string& explanation = {});

// Whose fault a failed call was.
enum class Fault {
  kCaller,   // a report or an argument that no library can help with
  kOutside,  // network, certificate service, platform not registered: a new process would not change it
  kEnclave,  // the enclaves are gone or cannot be loaded: only a new process can load them again
  kLibrary,  // everything else; a library that goes on failing so is loaded afresh
};
Fault fault_of(std::uint32_t status);

}  // namespace enclayer::quoting
