// SPDX-License-Identifier: Apache-2.0
#include "quoting/dcap_status.h"

#include <algorithm>
#include <array>
#include <cstdio>

namespace enclayer::quoting {
namespace {

using enum Fault;

struct Row {
  std::uint8_t low;  // of 0xE0nn
  std::uint8_t aesm;
  Fault fault;
  ErrorKind kind;
  const char* name;
  const char* remedy;  // what the owner of the node can do; "" where the name says it
};

constexpr auto kUnavailable = ErrorKind::kUnavailable;
constexpr auto kExhausted = ErrorKind::kExhausted;
constexpr auto kInternal = ErrorKind::kInternal;
constexpr auto kPermissionDenied = ErrorKind::kPermissionDenied;

constexpr char kReinstall[] = "reinstall libsgx-dcap-ql, libsgx-qe3-logic and libsgx-ae-qe3 of one release";
constexpr char kReach[] = "see that the certificate service of --pccs-url can be reached from this node";
constexpr char kAskAgain[] =
    "the enclave has to ask for the target info again and make its report for what this node's helper gives";
constexpr char kRegister[] = "register the platform with the certificate service (PCCS, or the cloud's own)";

// Sorted by `low`. Values: sgx_ql_lib_common.h of Intel DCAP; AESM codes: aesm_error.h of the SGX PSW.
constexpr Row kTable[] = {
    {0x01, 1, kLibrary, kUnavailable, "ERROR_UNEXPECTED", ""},
    {0x02, 3, kCaller, kInternal, "ERROR_INVALID_PARAMETER", ""},
    {0x03, 21, kLibrary, kExhausted, "ERROR_OUT_OF_MEMORY", "raise the memory limit of the quote helper"},
    {0x04, 32, kLibrary, kUnavailable, "ERROR_ECDSA_ID_MISMATCH", kReinstall},
    {0x05, 33, kLibrary, kUnavailable, "PATHNAME_BUFFER_OVERFLOW_ERROR", "use a shorter --cache-dir"},
    {0x06, 15, kLibrary, kUnavailable, "FILE_ACCESS_ERROR", "see that --cache-dir can be written"},
    {0x07, 34, kLibrary, kUnavailable, "ERROR_STORED_KEY", ""},
    {0x08, 35, kLibrary, kUnavailable, "ERROR_PUB_KEY_ID_MISMATCH", ""},
    {0x09, 36, kLibrary, kUnavailable, "ERROR_INVALID_PCE_SIG_SCHEME", kReinstall},
    {0x0A, 37, kLibrary, kUnavailable, "ATT_KEY_BLOB_ERROR", ""},
    {0x0B, 38, kCaller, ErrorKind::kUnsupported, "UNSUPPORTED_ATT_KEY_ID", ""},
    {0x0C, 39, kLibrary, kUnavailable, "UNSUPPORTED_LOADING_POLICY", ""},
    {0x0D, 40, kEnclave, kUnavailable, "INTERFACE_UNAVAILABLE",
     "the PCE could not be loaded: install libsgx-ae-pce and give the helper /dev/sgx_enclave and /dev/sgx_provision"},
    {0x0E, 41, kOutside, kUnavailable, "PLATFORM_LIB_UNAVAILABLE",
     "install a quote provider: libsgx-dcap-default-qpl, or az-dcap-client on Azure"},
    {0x0F, 42, kLibrary, kUnavailable, "ATT_KEY_NOT_INITIALIZED", "ask for the target info again"},
    {0x10, 43, kOutside, kUnavailable, "ATT_KEY_CERT_DATA_INVALID", kRegister},
    {0x11, 44, kOutside, kUnavailable, "NO_PLATFORM_CERT_DATA", kRegister},
    {0x12, 29, kLibrary, kExhausted, "OUT_OF_EPC", "give the quote helper more EPC (10 MiB carry one worker)"},
    {0x13, 42, kCaller, kPermissionDenied, "ERROR_REPORT", kAskAgain},
    {0x14, 46, kEnclave, kUnavailable, "ENCLAVE_LOST", ""},
    {0x15, 42, kCaller, kPermissionDenied, "INVALID_REPORT", kAskAgain},
    {0x16, 48, kEnclave, kUnavailable, "ENCLAVE_LOAD_ERROR",
     "install libsgx-ae-qe3, libsgx-ae-id-enclave and libsgx-ae-pce, and give the helper /dev/sgx_enclave"},
    {0x17, 49, kCaller, ErrorKind::kUnsupported, "UNABLE_TO_GENERATE_QE_REPORT", ""},
    {0x18, 50, kOutside, kUnavailable, "KEY_CERTIFICATION_ERROR",
     "the certificate is for a higher TCB than this machine has: update its microcode or registration"},
    {0x19, 12, kOutside, kUnavailable, "NETWORK_ERROR", kReach},
    {0x1A, 22, kOutside, kUnavailable, "MESSAGE_ERROR", kReach},
    // From here on aesmd knows nothing but UNEXPECTED.
    {0x35, 30, kEnclave, kUnavailable, "ERROR_INVALID_PRIVILEGE",
     "give the helper /dev/sgx_provision (group sgx_prv on the host)"},
    {0x3F, 2, kEnclave, kUnavailable, "NO_DEVICE", "this node has no /dev/sgx_enclave for the helper"},
    {0x40, 30, kOutside, kUnavailable, "SERVICE_UNAVAILABLE", kReach},
    {0x41, 13, kOutside, kUnavailable, "NETWORK_FAILURE", kReach},
    {0x42, 13, kOutside, kUnavailable, "SERVICE_TIMEOUT", kReach},
    {0x43, 18, kOutside, kExhausted, "ERROR_BUSY", ""},
    {0x44, 1, kOutside, kUnavailable, "UNKNOWN_MESSAGE_RESPONSE", kReach},
    {0x45, 1, kOutside, kUnavailable, "PERSISTENT_STORAGE_ERROR", "see that --cache-dir can be written"},
    {0x46, 1, kOutside, kUnavailable, "ERROR_MESSAGE_PARSING_ERROR", kReach},
    {0x47, 30, kOutside, kUnavailable, "PLATFORM_UNKNOWN", kRegister},
    {0x48, 1, kOutside, kUnavailable, "UNKNOWN_API_VERSION", "see that --pccs-url ends in .../certification/v4/"},
    {0x49, 30, kOutside, kUnavailable, "CERTS_UNAVAILABLE", kRegister},
};

const Row* find(std::uint32_t status) {
  if ((status & ~std::uint32_t{0xFF}) != 0xE000) return nullptr;
  auto low = static_cast<std::uint8_t>(status);
  const Row* row = std::lower_bound(std::begin(kTable), std::end(kTable), low,
                                    [](const Row& entry, std::uint8_t value) { return entry.low < value; });
  return row != std::end(kTable) && row->low == low ? row : nullptr;
}

const char* name_of(DcapCall call) {
  switch (call) {
    case DcapCall::kInit: return "preparing the attestation key";
    case DcapCall::kSize: return "asking for the quote's size";
    case DcapCall::kQuote: return "quoting";
    case DcapCall::kFiles: return "looking for the libraries";
  }
  return "calling";
}

}  // namespace

std::string dcap_status_name(std::uint32_t status) {
  if (status == kDcapSuccess) return "SUCCESS";
  const Row* row = find(status);
  char number[16];
  std::snprintf(number, sizeof number, "0x%04X", status);
  return row ? std::string(row->name) + " (" + number + ")" : number;
}

std::uint32_t aesm_code(std::uint32_t status, DcapCall call) {
  if (status == kDcapSuccess) return 0;
  constexpr std::uint32_t kUnexpected = 1, kNoPlatformCertData = 44;
  const Row* row = find(status);
  if (row == nullptr) return kUnexpected;
  // 44 tells a client something only where it prepares its key; in every other call Intel's client makes UNEXPECTED of
  // it.
  bool platform_unknown = row->low == 0x47 || row->low == 0x49;
  return platform_unknown && call == DcapCall::kInit ? kNoPlatformCertData : row->aesm;
}

Error dcap_error(std::uint32_t status, DcapCall call, const std::string& explanation) {
  const Row* row = find(status);
  std::string why = !explanation.empty() ? explanation : row != nullptr ? row->remedy : "";
  return {row != nullptr ? row->kind : ErrorKind::kUnavailable,
          std::string(name_of(call)) + " failed with " + dcap_status_name(status) + (why.empty() ? "" : ": ") + why,
          aesm_code(status, call)};
}

Fault fault_of(std::uint32_t status) {
  const Row* row = find(status);
  return row != nullptr ? row->fault : Fault::kLibrary;
}

}  // namespace enclayer::quoting
