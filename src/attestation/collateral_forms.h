// SPDX-License-Identifier: Apache-2.0
// The parts of collateral in the forms in which services, Intel's and other people's programs hand them out, each made
// into the one form that Collateral has. Nothing is believed: what is signed is checked when a quote is verified.
#pragma once

#include <string>
#include <string_view>

#include "enclayer/bytes.h"
#include "enclayer/error.h"

namespace enclayer::attestation {

inline constexpr std::size_t kMaxCrlText = 256 << 10;  // bytes; real ones have at most 7 KB in hexadecimal digits

// A CRL in DER (Intel's service), DER in hexadecimal digits (PCCS, dcap-qvl), or PEM (Intel's service when it is not
// asked for DER, collateral of version 1.0); one NUL may follow, as Intel's quote provider library and Open Enclave leave
// it there. That it is a CRL is not checked.
Result<Bytes> crl_in_der(ByteView crl);

// %XX to bytes; '+' stays itself, as in base64. kMalformed for a '%' without two hexadecimal digits.
Result<std::string> percent_decoded(std::string_view text);

// What Intel's service signs: {"<key>": {...}, "signature": "<hexadecimal digits>"}, the object byte for byte.
struct SignedText {
  std::string text;
  Bytes signature;
};
Result<SignedText> signed_text(std::string_view json, const char* key);

}  // namespace enclayer::attestation
