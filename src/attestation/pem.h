// SPDX-License-Identifier: Apache-2.0
// PEM certificates and CRLs (RFC 7468), read strictly: blocks, whitespace between them, a NUL or more at the end (as many quotes
// have), and nothing else.
#pragma once

#include <string_view>
#include <vector>

#include "enclayer/bytes.h"
#include "enclayer/error.h"

namespace enclayer::attestation {

inline constexpr std::size_t kMaxPemCertificates = 8;
inline constexpr std::size_t kMaxPemSize = 64 << 10;  // bytes; a PCK chain has 3.7 KB

// The DER of each block, in the order of the text; none for an empty text. kMalformed: anything but the above.
Result<std::vector<Bytes>> certificates_in_pem(std::string_view text);

// The DER of the one CRL that the text is, of any size; kMalformed: anything else.
Result<Bytes> crl_in_pem(std::string_view text);
bool looks_like_pem_crl(std::string_view text);  // it begins as one

}  // namespace enclayer::attestation
