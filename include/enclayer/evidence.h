// SPDX-License-Identifier: Apache-2.0
// Evidence in the forms that people have it. A quote is bytes, but it is mailed, logged, pasted and sent as many other
// things; this finds the bytes again, or says what it was given instead.
//
//   auto evidence = evidence_from(bytes);     // of a file, a request, a paste
//   if (!evidence) complain(evidence.error().message());  // "this is hexadecimal text of 20 bytes that is no quote: ..."
//   Verification v = verify(evidence->quote, collateral, TrustedRoot::intel(), now);
//
//   form                        how it is told
//   the quote itself            a version from 1 to 15 and a key type up to 15, 16 bits each, little-endian;
//                               Open Enclave's 16 bytes may stand before it (quote.h)
//   with its length in front    32 or 64 bits in either order, exactly the number of bytes that follow
//   hexadecimal digits          of either case, 0x or not, whitespace anywhere
//   base64, base64url           RFC 4648, sections 4 and 5; padded or not, whitespace anywhere
//   PEM                         one block of any label but those of keys (RFC 7468)
//   an RA-TLS certificate       DER, or PEM of the label CERTIFICATE (ra_tls.h)
//   a JSON object               one text "quote" or "report", in hexadecimal digits, base64, base64url or PEM
//   any of these texts          in double quotes, as jq prints it; with one NUL after it, as C programs write it
//
// What is told to be a quote need not be a good one: parse_quote() and verify() see to that.
#pragma once

#include <string>

#include "enclayer/bytes.h"
#include "enclayer/error.h"

namespace enclayer {

struct Evidence {
  std::string form;  // for people: "bytes", "hexadecimal text", "JSON with base64 text"
  Bytes quote;       // as the platform made it, not parsed; bytes may follow after it
  // DER, of an RA-TLS certificate; else empty. Its quote alone does not say whose key the certificate has: give it to
  // verify_ra_tls().
  Bytes certificate;

  // The most that is read, in bytes. A quote has about 5 KB, its hexadecimal digits 10 KB.
  static constexpr std::size_t kMaxSize = 1 << 20;
};

// Takes time in proportion to the size, whatever is in it. kMalformed: there is no quote in it; the message begins with
// what it is instead.
Result<Evidence> evidence_from(ByteView bytes);

}  // namespace enclayer
